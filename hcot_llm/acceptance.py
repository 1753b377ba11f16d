"""Accept or reject a proposed value by weighing all evidence, never by trusting the proposal.

Evidence on a clause: the encoder's zero-shot distribution, the captioner's own distribution, and the seed
annotation through a model of the seed's errors (hcot_llm/noise.py). The seed is an observation that never
changes, so it is weighed anew every round: a clause can win its old value back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hcot_llm.noise import NoiseModel, estimate_noise, fit_exponents, fuse, pool

NOT_PROPOSED = -1


class AcceptanceConfig(BaseModel):
    """How evidence is weighed and how much better a proposal must be."""

    model_config = ConfigDict(extra="forbid")

    rule: Literal["posterior", "proposal"] = Field(
        "posterior", description="a clause becomes the most probable of proposals, seed and current value; or the "
                                 "captioner's first proposal, untested (ablation)")
    use_encoder: bool = Field(True, description="the encoder's distribution counts")
    use_captioner: bool = Field(True, description="the captioner's distribution counts")
    minimum_margin: float = Field(
        0.0, ge=0, le=1, description="posterior of the new value minus that of the current one, at least")
    minimum_trust: float = Field(
        0.5, ge=0, le=1, description="a clause less probable than this is no target of the next round's losses")
    noise_pseudo_count: float = Field(
        10, gt=0, description="clauses per true value that an even spread of the seed's errors is worth")


@dataclass(frozen=True)
class Weighing:
    """Posterior of the true value, float [N, V], and how it came about."""

    posterior: np.ndarray
    exponents: list[float]
    noise: NoiseModel


@dataclass(frozen=True)
class Decision:
    """Outcome for one clause of N tiles.

    value: int [N], index of the value to keep or take. accepted: bool [N], a new value was taken.
    rejected: bool [N], a proposal differed from the current value and was refused.
    confidence: float [N], posterior of the outcome.
    """

    value: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    confidence: np.ndarray


def weigh(witnesses: Sequence[np.ndarray], seed: np.ndarray, seed_accuracy: float, calibration: np.ndarray,
          config: AcceptanceConfig, iterations: int = 3) -> Weighing:
    """Posterior of the true value of one clause.

    Args:
        witnesses: the models' distributions, float [N, V] each, NaN rows where a model was not asked.
        seed: int [N], the values as they first came. seed_accuracy: their known accuracy.
        calibration: bool [N], tiles that no model was trained on. Without any, the models are believed half.
    """
    noise = NoiseModel.even(seed_accuracy, witnesses[0].shape[1])
    for _ in range(iterations):
        exponents = fit_exponents([witness[calibration] for witness in witnesses], seed[calibration], noise)
        posterior = fuse(pool(witnesses, exponents), seed, noise)
        noise = estimate_noise(posterior, seed, seed_accuracy, config.noise_pseudo_count)
    return Weighing(fuse(pool(witnesses, exponents), seed, noise), exponents, noise)


def decide(posterior: np.ndarray, current: np.ndarray, seed: np.ndarray, proposed: np.ndarray,
           config: AcceptanceConfig) -> Decision:
    """Choose among the current value, the proposals and the seed's value, for one clause of N tiles.

    Args:
        posterior: float [N, V], of the true value.
        current, seed: int [N], value indices.
        proposed: int [N, K], the captioner's candidates; NOT_PROPOSED where there is none.
    """
    rows = np.arange(len(current))
    if config.rule == "proposal":
        value = np.where(proposed[:, 0] == NOT_PROPOSED, current, proposed[:, 0])
        return Decision(value, value != current, np.zeros(len(current), dtype=bool), posterior[rows, value])
    asked = (proposed != NOT_PROPOSED).any(axis=1)
    # The seed stands for election wherever the clause is open at all.
    candidates = np.concatenate([proposed, np.where(asked, seed, NOT_PROPOSED)[:, None]], axis=1)
    scores = np.where(candidates == NOT_PROPOSED, -1.0, posterior[rows[:, None], np.maximum(candidates, 0)])
    best = candidates[rows, scores.argmax(axis=1)]
    margin = scores.max(axis=1) - posterior[rows, current]
    accepted = asked & (best != current) & (margin > config.minimum_margin)
    differs = ((proposed != NOT_PROPOSED) & (proposed != current[:, None])).any(axis=1)
    value = np.where(accepted, best, current)
    return Decision(value, accepted, differs & ~accepted, posterior[rows, value])
