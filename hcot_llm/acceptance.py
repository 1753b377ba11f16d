"""Accept or reject a proposed value by weighing all evidence, never by trusting the proposal.

Evidence on a clause: the encoder's zero-shot distribution, the captioner's own distribution, the neighbours'
vote, and the seed annotation through a model of the seed's errors (hcot_llm/noise.py). The seed is an
observation that never changes, so it is weighed anew every round: a clause can win its old value back.
"""

from dataclasses import dataclass

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from hcot_llm.noise import NoiseModel, clean_posterior, estimate_noise, fuse

NOT_PROPOSED = -1


class AcceptanceConfig(BaseModel):
    """How evidence is weighed and how much better a proposal must be."""

    model_config = ConfigDict(extra="forbid")

    encoder_weight: float = Field(1.0, ge=0, description="exponent of the encoder's distribution")
    captioner_weight: float = Field(1.0, ge=0, description="exponent of the captioner's distribution")
    neighbour_weight: float = Field(0.0, ge=0, description="exponent of the neighbours' vote")
    minimum_margin: float = Field(
        0.0, ge=0, le=1, description="posterior of the new value minus that of the current one, at least")
    model_error: float = Field(
        0.02, gt=0, lt=1, description="share of the models' probability spread evenly over the values")
    minimum_trust: float = Field(
        0.5, ge=0, le=1, description="a clause less probable than this is no target of the next round's losses")
    seed_accuracy: float = Field(
        0.8, gt=0, lt=1, description="expected share of right seed values, where the prior of the noise model is centred")


@dataclass(frozen=True)
class Decision:
    """Outcome for one clause of N tiles.

    value: int [N], index of the value to keep or take. accepted: bool [N], a new value was taken.
    rejected: bool [N], a proposal differed from the current value and was refused.
    confidence: float [N], posterior of the outcome. posterior: float [N, V].
    """

    value: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    confidence: np.ndarray
    posterior: np.ndarray


def pool_evidence(distributions: list[tuple[np.ndarray, float]]) -> np.ndarray:
    """Weighted geometric mean of distributions float [N, V], by exponents that are normalised to sum to one.

    The models see the same image and learned from the same labels, so their errors are not independent:
    a product would count the same evidence twice. Rows that are NaN (no answer) do not take part.
    """
    total = 0.0
    weights = 0.0
    for distribution, weight in distributions:
        present = ~np.isnan(distribution).any(axis=1, keepdims=True)
        total = total + np.where(present, weight * np.log(np.maximum(np.nan_to_num(distribution), 1e-6)), 0.0)
        weights = weights + weight * present
    if np.any(weights == 0):
        raise ValueError("no evidence on some tiles: every distribution is missing or has weight zero")
    pooled = np.exp(total / weights)
    return pooled / pooled.sum(axis=1, keepdims=True)


def posterior_of_truth(pooled: np.ndarray, trained_on: np.ndarray, seed: np.ndarray,
                       config: AcceptanceConfig) -> tuple[np.ndarray, NoiseModel]:
    """Posterior of the true value, float [N, V], and the estimated noise of the seed annotations.

    Args:
        pooled: float [N, V], the models' distribution over annotated values.
        trained_on: int [N], the values the models were trained on this round.
        seed: int [N], the values as they first came.
    """
    # Labels that the loop has repaired are better than the seed, and the prior should not say otherwise.
    unchanged = float(np.mean(trained_on == seed))
    expected = config.seed_accuracy + (1.0 - unchanged) * (1.0 - config.seed_accuracy)
    clean, _ = clean_posterior(pooled, trained_on, expected_accuracy=expected)
    seed_noise = estimate_noise(clean, seed, expected_accuracy=config.seed_accuracy)
    return fuse(clean, seed, seed_noise, model_error=config.model_error), seed_noise


def decide(posterior: np.ndarray, current: np.ndarray, seed: np.ndarray, proposed: np.ndarray,
           config: AcceptanceConfig) -> Decision:
    """Choose among the current value, the proposal and the seed's value, for one clause of N tiles.

    Args:
        posterior: float [N, V], of the true value.
        current, seed: int [N], value indices.
        proposed: int [N, K], the captioner's candidates; NOT_PROPOSED where there is none.
    """
    rows = np.arange(len(current))
    asked = (proposed != NOT_PROPOSED).any(axis=1)
    # The seed stands for election wherever the clause is open at all.
    candidates = np.concatenate([proposed, np.where(asked, seed, NOT_PROPOSED)[:, None]], axis=1)
    scores = np.where(candidates == NOT_PROPOSED, -1.0,
                      posterior[rows[:, None], np.maximum(candidates, 0)])
    best = candidates[rows, scores.argmax(axis=1)]
    margin = scores.max(axis=1) - posterior[rows, current]
    accepted = asked & (best != current) & (margin > config.minimum_margin)
    differs = ((proposed != NOT_PROPOSED) & (proposed != current[:, None])).any(axis=1)
    value = np.where(accepted, best, current)
    return Decision(value, accepted, differs & ~accepted, posterior[rows, value], posterior)
