"""The HCoT chain for instruction-tuned models: each answer is context for the next."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from hcot_llm.aggregation.consistency import Contradiction, contradictions
from hcot_llm.prompts.prompts import chat_prompt
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import parse_answer
from hcot_llm.schema.errors import AnswerError

# Takes a prompt and the queried clauses (none at level 0); returns the model's text.
Ask = Callable[[str, Sequence[str]], str]
# The same for many chains at once: (number of the chain, prompt, queried clauses) of each.
AskTogether = Callable[[list[tuple[int, str, Sequence[str]]]], list[str]]


@dataclass(frozen=True)
class ChainResult:
    """What a chain came to.

    Attributes:
        description: The sentence that answers level 0.
        values: Value of each context clause and of each answered clause, in schema order.
        failed: Level -> reason why its last answer could not be used.
        contradictions: Rules that `values` still break after the last attempt.
    """

    description: str
    values: dict[str, str]
    failed: dict[int, str]
    contradictions: list[Contradiction]


Chain = Generator[tuple[str, Sequence[str]], str, ChainResult]


def chain(
    *,
    schema: AnnotationSchema,
    queried: Sequence[str],
    context: Mapping[str, str],
    knowledge: str,
    feedback: Mapping[str, str] | None = None,
    evidence: Mapping[str, object] | None = None,
    gsd_m: float | None = None,
    measured_pixels: Sequence[float] = (),
    picture: bool = False,
    attempts: int = 1,
) -> Chain:
    """Query the clauses level by level, then have contradictions corrected.

    It is a generator, so that the chains of many tiles can go level by level together. It yields a prompt and the
    clauses that its answer has to hold (none at level 0), is sent the model's text, and returns the result.

    Only queried clauses are answered and corrected. A level without a queried clause is skipped. The clauses of an
    unusable answer are missing in the result. A correction is taken where it leaves fewer contradictions.

    Args:
        schema: The schema of the clauses.
        queried: Clauses to answer.
        context: Clause -> value of the clauses that are not queried.
        knowledge: Sentences about the place.
        feedback: Clause -> likely values.
        evidence: Name -> measurement on the tile; None for none.
        gsd_m: Ground sample distance in metres per pixel, see `contradictions`.
        measured_pixels: Lengths, in pixels, of the bright blobs in the image, see `contradictions`.
        picture: Whether the model is shown the tile beside the prompt.
        attempts: How often level 5 sends contradictions back, at most.
    """
    wanted = schema.ordered(queried)
    scale = {"gsd_m": gsd_m, "measured_pixels": measured_pixels}
    common = {"knowledge": knowledge, "feedback": feedback, "evidence": evidence, "gsd_m": gsd_m, "picture": picture}
    description = (yield chat_prompt(schema, 0, evidence=evidence, gsd_m=gsd_m, picture=picture), ()).strip()
    values = {clause: value for clause, value in context.items() if clause not in wanted}
    failed: dict[int, str] = {}

    def answer(level: int, clauses: Sequence[str], found: Sequence[Contradiction] = ()):
        """Values of the clauses; an empty dictionary for an unusable answer."""
        prompt = chat_prompt(
            schema, level, queried=clauses, context=values, description=description, contradictions=found, **common
        )
        text = yield prompt, tuple(clauses)
        try:
            return parse_answer(schema, text, clauses)
        except AnswerError as error:
            failed[level] = error.reason
            return {}

    for level in schema.levels:
        if clauses := [clause for clause in schema.at_level(level.level) if clause in wanted]:
            values.update((yield from answer(level.level, clauses)))
    for _ in range(attempts):
        found = contradictions(schema, values, **scale)
        disputed = {clause for contradiction in found for clause in contradiction.clauses}
        if not (clauses := [clause for clause in wanted if clause in disputed]):
            break
        failed.pop(5, None)  # of an earlier attempt
        corrected = values | (yield from answer(5, clauses, found))
        if len(contradictions(schema, corrected, **scale)) < len(found):
            values = corrected
    return ChainResult(description, schema.in_order(values), failed, contradictions(schema, values, **scale))


def run_chain(ask: Ask, **settings) -> ChainResult:
    """Run one chain to its end.

    Args:
        ask: Answers a prompt.
        **settings: Arguments of `chain`.
    """
    [result] = run_chains(lambda prompts: [ask(prompt, clauses) for _, prompt, clauses in prompts], [settings])
    return result


def run_chains(ask: AskTogether, settings: Sequence[Mapping]) -> list[ChainResult]:
    """Run many chains to their ends, level by level together.

    Args:
        ask: Answers one prompt of each chain that has not ended.
        settings: Per chain the arguments of `chain`.
    """
    chains = [chain(**each) for each in settings]
    open_steps = {number: next(each) for number, each in enumerate(chains)}
    results: dict[int, ChainResult] = {}
    while open_steps:
        prompts = [(number, *step) for number, step in open_steps.items()]
        open_steps = {}
        for (number, *_), text in zip(prompts, ask(prompts), strict=True):
            try:
                open_steps[number] = chains[number].send(text)
            except StopIteration as end:
                results[number] = end.value
    return [results[number] for number in range(len(chains))]
