"""Accept or reject a proposed value by weighing all label sources, never by trusting the proposal.

The label sources of a clause are the encoder's zero-shot distribution, the captioner's distribution, and the initial
annotation, read through a model of its errors. hcot_llm/aggregation/posterior.py weighs them. The initial annotation
never changes and is weighed anew every round, so a clause can return to its initial value.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import Field

from corpus.storage.models import StrictModel

NOT_PROPOSED = -1


class AcceptanceConfig(StrictModel):
    """How evidence is weighed and how much better a proposal must be."""

    rule: Literal["posterior", "proposal"] = Field(
        default="posterior",
        description="a clause becomes the most probable of proposals, initial and current value; or the "
        "captioner's first proposal, untested (ablation)",
    )
    use_encoder: bool = Field(default=True, description="the encoder's distribution counts")
    use_captioner: bool = Field(default=True, description="the captioner's distribution counts")
    consistency: bool = Field(
        default=True,
        description="HCoT level 5: the clauses of a tile are weighed together, under the rules of consistency, and "
        "an annotation can be wrong as a whole; false weighs each clause for itself",
    )
    minimum_proposal: float = Field(
        default=0.02,
        gt=0,
        le=1,
        description="a value to which the captioner gives at least this probability is proposed too",
    )
    minimum_margin: float = Field(
        default=0.1, ge=0, le=1, description="posterior of the new value minus that of the current one, at least"
    )
    minimum_trust: float = Field(
        default=0.5, ge=0, le=1, description="a clause less probable than this is no target of the next round's losses"
    )
    initial_accuracy: Literal["stated", "estimated"] = Field(
        default="stated",
        description="the accuracy of the initial annotations: what they state, as where experts checked them; or "
        "estimated for each clause from what the models say of held-out tiles, where nobody knows it",
    )
    noise_pseudo_count: float = Field(
        default=10,
        gt=0,
        description="clauses per true value that evenly distributed errors of the initial annotations are worth",
    )

    @property
    def stated(self) -> "AcceptanceConfig":
        """The same, where the confidence of the initial annotations is their accuracy already."""
        return self.model_copy(update={"initial_accuracy": "stated"})


@dataclass(frozen=True)
class Decision:
    """Outcome for one clause of N tiles.

    Attributes:
        value: int [N], index of the value after the decision, which is the current one or a new one.
        accepted: bool [N], whether a new value was taken.
        rejected: bool [N], whether a proposal differed from the current value and was refused.
        confidence: float [N], posterior probability of `value`.
    """

    value: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    confidence: np.ndarray


def decide(
    posterior: np.ndarray,
    current: np.ndarray,
    initial: np.ndarray,
    proposed: np.ndarray,
    distribution: np.ndarray,
    config: AcceptanceConfig,
) -> Decision:
    """Choose among the current value, the proposals and the initial value, for one clause of N tiles.

    Args:
        posterior: float [N, V], posterior of the true value.
        current: int [N], indices of the current values.
        initial: int [N], indices of the initial values.
        proposed: int [N, K], indices of the captioner's answers; NOT_PROPOSED where there is none.
        distribution: float [N, V], the captioner's probabilities; NaN where there are none. Where the clause was
            queried, a value of at least `config.minimum_proposal` is a proposal as well.
        config: The rule and its thresholds.

    Returns:
        The value of each tile. A tile without a proposal keeps its current value.
    """
    rows = np.arange(len(current))
    if config.rule == "proposal":
        value = np.where(proposed[:, 0] == NOT_PROPOSED, current, proposed[:, 0])
        return Decision(value, value != current, np.zeros(len(current), dtype=bool), posterior[rows, value])
    candidate = np.logical_or.reduce(np.eye(posterior.shape[1] + 1, dtype=bool)[proposed], axis=1)[:, :-1]
    queried = candidate.any(axis=1)
    candidate |= np.nan_to_num(distribution) >= config.minimum_proposal
    differs = queried & (candidate & (np.arange(posterior.shape[1]) != current[:, None])).any(axis=1)
    # Wherever the clause was queried, its initial value is a candidate too.
    candidate[rows, initial] = True
    candidate &= queried[:, None]
    best = np.where(candidate, posterior, -1.0).argmax(axis=1)
    margin = posterior[rows, best] - posterior[rows, current]
    accepted = queried & (best != current) & (margin > config.minimum_margin)
    value = np.where(accepted, best, current)
    return Decision(value, accepted, differs & ~accepted, posterior[rows, value])
