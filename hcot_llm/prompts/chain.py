"""The HCoT chain for instruction-tuned models: each answer is context for the next."""

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass

from hcot_llm.aggregation.consistency import Contradiction, contradictions
from hcot_llm.prompts.prompts import chat_prompt
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import parse_answer
from hcot_llm.schema.errors import AnswerError

# Gets a prompt and the clauses its answer has to hold (none at level 0); returns the model's text.
Ask = Callable[[str, Sequence[str]], str]
# The same for many chains at once: (number of the chain, prompt, clauses) of each.
AskTogether = Callable[[list[tuple[int, str, Sequence[str]]]], list[str]]


@dataclass(frozen=True)
class ChainResult:
    """values: of the kept and the answered clauses. failed: level -> why its answer could not be used.

    contradictions: what was still contradictory after the last attempt.
    """

    description: str
    values: dict[str, str]
    failed: dict[int, str]
    contradictions: list[Contradiction]


Chain = Generator[tuple[str, Sequence[str]], str, ChainResult]


def chain(
    *,
    schema: AnnotationSchema,
    asked: Sequence[str],
    kept: Mapping[str, str],
    knowledge: str,
    feedback: Mapping[str, str] | None = None,
    evidence: Mapping[str, object] | None = None,
    gsd_m: float | None = None,
    measured_pixels: Sequence[float] = (),
    picture: bool = False,
    attempts: int = 1,
) -> Chain:
    """Ask level by level for the asked clauses, then have contradictions corrected, `attempts` times at most.

    A correction is kept where it leaves fewer contradictions.

    A generator, so that the chains of many tiles can go level by level together: it yields a prompt and the clauses
    its answer has to hold (none at level 0), is sent the model's text, and returns the result.

    Only asked clauses are ever answered or corrected; a level of which none is asked is skipped. An unusable answer
    leaves its clauses out and is named in `failed`, so the caller keeps what it had; of corrections the last one.

    gsd_m, measured_pixels: see `contradictions`; the other settings are those of `chat_prompt`.
    """
    wanted = schema.ordered(asked)
    scale = {"gsd_m": gsd_m, "measured_pixels": measured_pixels}
    common = {"knowledge": knowledge, "feedback": feedback, "evidence": evidence, "gsd_m": gsd_m, "picture": picture}
    description = (yield chat_prompt(schema, 0, evidence=evidence, gsd_m=gsd_m, picture=picture), ()).strip()
    values = {clause: value for clause, value in kept.items() if clause not in wanted}
    failed: dict[int, str] = {}

    def answer(level: int, clauses: Sequence[str], found: Sequence[Contradiction] = ()):
        """Values of the clauses; none for an unusable answer."""
        prompt = chat_prompt(
            schema, level, asked=clauses, kept=values, description=description, contradictions=found, **common
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
    """One chain to its end, with a function that answers. settings: those of `chain`."""
    [result] = run_chains(lambda prompts: [ask(prompt, clauses) for _, prompt, clauses in prompts], [settings])
    return result


def run_chains(ask: AskTogether, settings: Sequence[Mapping]) -> list[ChainResult]:
    """Many chains, level by level together, each to its end. settings: those of `chain`, for each chain."""
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
