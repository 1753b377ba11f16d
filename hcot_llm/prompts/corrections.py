"""Level-5 corrections of the native captioner: which of its answers contradict the rest of a tile.

The greedy answer is checked together with the context clauses. Answered clauses that take part in a contradiction are
queried once more, with the rest of the answer as context. Context clauses never change. The new answer is one more
candidate, and is weighed like all others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.prompts.retry import Retry
from hcot_llm.schema.annotation_schema import AnnotationSchema


@dataclass(frozen=True)
class Answered:
    """A greedy answer.

    Attributes:
        question: Position of its question in the shard.
        context: Clause -> value of the clauses that were not queried.
        values: Clause -> answered value.
        question_seed: Seed of the question.
        gsd_m: Ground sample distance of the tile, in metres per pixel.
    """

    question: int
    context: Mapping[str, str]
    values: Mapping[str, str]
    question_seed: int
    gsd_m: float


def plan_corrections(schema: AnnotationSchema, answers: Sequence[Answered], candidate: int) -> list[Retry]:
    """Plan the corrections of greedy answers.

    Args:
        schema: The schema with the rules.
        answers: Greedy answers of a shard.
        candidate: Number of the candidate that each correction becomes.

    Returns:
        One question for each answer that contradicts a rule.
    """
    planned = []
    for answer in answers:
        broken = contradictions(schema, {**answer.context, **answer.values}, gsd_m=answer.gsd_m)
        disputed = {clause for found in broken for clause in found.clauses}
        queried = tuple(schema.in_order({clause: None for clause in answer.values if clause in disputed}))
        if queried:
            said = tuple(
                (clause, value) for clause, value in schema.in_order(answer.values).items() if clause not in disputed
            )
            planned.append(
                Retry(
                    answer.question,
                    candidate,
                    queried,
                    True,
                    derive_seed(answer.question_seed, candidate, "correction"),
                    said,
                )
            )
    return planned
