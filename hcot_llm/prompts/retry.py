"""Which unusable answers are queried again, and how. The policy knows numbers and clauses, and no engine.

A greedy answer that failed would fail again: same weights, same prompt, same tokens. A failed answer is therefore
queried again in two smaller questions, each for one half of its clauses. Their prompts differ, and their answers need
half as many tokens, which mends the most frequent failure: an answer that runs out of tokens. They stay greedy, so the
captioner's distributions are read as for any greedy answer. If only one half succeeds, its clauses are saved. The
clauses of the other half are not in the context of a question, because their values are flagged. A question for one
clause cannot be made smaller and is sampled.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import Field

from corpus.storage.models import StrictModel
from corpus.storage.rng import derive_seed


class RetryConfig(StrictModel):
    """How unusable answers are queried again."""

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
    """An answer that could not be used.

    Attributes:
        question: Position of its question in the shard.
        candidate: Number of the candidate; 0 is the greedy one.
        queried: Clauses that it had to answer.
        question_seed: Seed of the question.
    """

    question: int
    candidate: int
    queried: tuple[str, ...]
    question_seed: int


@dataclass(frozen=True)
class Retry:
    """One answer to generate, in the place of an unusable one or to correct one.

    Attributes:
        question: Position of the question in the shard.
        candidate: Number of the candidate that the answer becomes.
        queried: Clauses to answer.
        greedy: Whether the answer is greedy; else it is sampled.
        seed: Seed of its sampling, derived for this answer alone.
        said: (clause, value) pairs that were answered before and are further context.
    """

    question: int
    candidate: int
    queried: tuple[str, ...]
    greedy: bool
    seed: int
    said: tuple[tuple[str, str], ...] = ()


def plan_retries(
    unusable: Sequence[Unusable], attempt: int, *, first_answers: int, spent: int, config: RetryConfig
) -> list[Retry]:
    """Plan the repeated questions of a shard, within the budget.

    Greedy answers come first, because the captioner's distribution of a clause is read from a greedy answer.

    Args:
        unusable: Answers of the shard that could not be used.
        attempt: Number of the repetition; 1 for the first.
        first_answers: Number of first answers of the shard, usable or not.
        spent: Number of answers of the shard that were generated again so far.
        config: How often an answer is queried again, and the budget.
    """
    if attempt > config.attempts:
        return []
    left = math.floor(config.budget_share * first_answers) - spent
    retries: list[Retry] = []
    for answer in sorted(unusable, key=lambda answer: (answer.candidate, answer.question)):
        parts = _halves(answer.queried)
        if len(retries) + len(parts) > left:
            break
        retries += [
            Retry(
                answer.question,
                answer.candidate,
                part,
                answer.candidate == 0 and len(answer.queried) > 1,
                derive_seed(answer.question_seed, answer.candidate, attempt, str(part[0]), "retry"),
            )
            for part in parts
        ]
    return retries


def _halves(queried: tuple[str, ...]) -> list[tuple[str, ...]]:
    middle = (len(queried) + 1) // 2
    return [part for part in (queried[:middle], queried[middle:]) if part]
