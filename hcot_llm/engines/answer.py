"""One answer of a captioner to a question about a tile, whatever kind of captioner gave it."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Answer:
    """One generated answer.

    Attributes:
        values: Per queried clause the value that was generated. Empty when the answer is invalid; where one level of an
            HCoT chain failed, it has what the other levels answered.
        distributions: Per clause float [V], the probability of each value: when the clause was generated or, where the
            captioner reads its image tokens, of every clause of the tile. Empty for sampled candidates, which say
            nothing of it that the greedy one does not.
        error: Why the answer, or a part of it, is invalid; None for a valid answer.
        tokens: The number of generated tokens; 0 where the captioner does not say.
        injected: The damage that fault injection did to the answer; None where it did none.
        further_errors: Why further levels of an HCoT chain failed, one each.
    """

    values: dict[str, str]
    distributions: dict[str, np.ndarray]
    error: str | None
    tokens: int
    injected: str | None = None
    further_errors: tuple[str, ...] = ()

    @property
    def errors(self) -> tuple[str, ...]:
        """Everything that is invalid about the answer, to be counted by reason."""
        return () if self.error is None else (self.error, *self.further_errors)
