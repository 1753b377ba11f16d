"""Which unusable answers are asked again, and how: a policy that knows numbers and clauses, and nothing of engines.

A greedy answer that failed would fail again: same weights, same prompt, same tokens. So a failed answer is asked for
again as two smaller questions, each for one half of its clauses. That is another prompt, and half as many tokens, which
mends what fails most: answers that run out of tokens. It also stays greedy, so that the distributions of the captioner
are read where they would have been, and if only one half succeeds, its clauses are saved. The clauses of the other half
are not shown as kept: they are in doubt. A question for one clause cannot be made smaller and is sampled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from corpus.storage.models import StrictModel
from corpus.storage.rng import derive_seed


class RetryConfig(StrictModel):
    """Asking again where an answer could not be used."""

    attempts: int = Field(
        default=1,
        ge=0,
        le=4,
        description="how often an unusable answer is asked for again; each time its "
        "clauses are asked in two smaller questions",
    )
    budget_share: float = Field(
        default=0.25,
        ge=0,
        le=1,
        description="answers generated again in a shard, at most, as a share "
        "of its first answers; what is left over keeps its last good annotation",
    )


@dataclass(frozen=True)
class Unusable:
    """An answer that could not be used. question: its position in the shard. candidate: 0 is the greedy one."""

    question: int
    candidate: int
    asked: tuple[str, ...]
    question_seed: int


@dataclass(frozen=True)
class Retry:
    """One answer to generate, in the place of an unusable one or to correct one.

    seed: of its sampling, drawn for it alone. said: what was answered meanwhile and is context now.
    """

    question: int
    candidate: int
    asked: tuple[str, ...]
    greedy: bool
    seed: int
    said: tuple[tuple[str, str], ...] = ()


def plan_retries(
    unusable: Sequence[Unusable], attempt: int, *, first_answers: int, spent: int, config: RetryConfig
) -> list[Retry]:
    """What to ask again, as far as the budget reaches.

    Greedy answers come first: without theirs, a clause has no distribution of the captioner to be weighed by.

    Args:
        unusable: answers of the shard that could not be used.
        attempt: 1 for the first repetition.
        first_answers: number of first answers of the shard, usable or not.
        spent: answers of the shard generated again so far.
        config: how often an answer is asked for again, and the budget.
    """
    if attempt > config.attempts:
        return []
    left = math.floor(config.budget_share * first_answers) - spent
    retries: list[Retry] = []
    for answer in sorted(unusable, key=lambda answer: (answer.candidate, answer.question)):
        parts = _halves(answer.asked)
        if len(retries) + len(parts) > left:
            break
        retries += [
            Retry(
                answer.question,
                answer.candidate,
                part,
                answer.candidate == 0 and len(answer.asked) > 1,
                derive_seed(answer.question_seed, answer.candidate, attempt, str(part[0]), "retry"),
            )
            for part in parts
        ]
    return retries


def _halves(asked: tuple[str, ...]) -> list[tuple[str, ...]]:
    middle = (len(asked) + 1) // 2
    return [part for part in (asked[:middle], asked[middle:]) if part]
