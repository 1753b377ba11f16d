"""HCoT level 5 of the native captioner: which of its answers contradict the rest of a tile, and are asked for again.

The greedy answer is checked together with the clauses that were kept. What it says in contradiction is asked for once
more, with the rest of the answer as context; kept clauses are not its to change. The new answer is one more candidate:
as all of them it has to win by evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.prompts.retry import Retry
from hcot_llm.schema.annotation_schema import AnnotationSchema


@dataclass(frozen=True)
class Answered:
    """A greedy answer. question: its position in the shard. kept, values: of the other clauses and of the answered.

    gsd_m: metres per pixel of its tile.
    """

    question: int
    kept: Mapping[str, str]
    values: Mapping[str, str]
    question_seed: int
    gsd_m: float


def plan_corrections(schema: AnnotationSchema, answers: Sequence[Answered], candidate: int) -> list[Retry]:
    """What to ask again, as candidate number `candidate`; nothing for answers that contradict nothing."""
    planned = []
    for answer in answers:
        broken = contradictions(schema, {**answer.kept, **answer.values}, gsd_m=answer.gsd_m)
        disputed = {clause for found in broken for clause in found.clauses}
        asked = tuple(schema.in_order({clause: None for clause in answer.values if clause in disputed}))
        if asked:
            said = tuple(
                (clause, value) for clause, value in schema.in_order(answer.values).items() if clause not in disputed
            )
            planned.append(
                Retry(
                    answer.question,
                    candidate,
                    asked,
                    True,
                    derive_seed(answer.question_seed, candidate, "correction"),
                    said,
                )
            )
    return planned
