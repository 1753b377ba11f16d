"""Intervals of mean scores over several fields, drawing blocks of ground: windows side by side tell the same twice."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 2000
LEVEL = 0.95
BLOCK_DEGREES = 0.1
"""Side of a block of ground, degrees of latitude: some 11 km."""


@dataclass(frozen=True)
class MeanScore:
    """Accuracy and kappa, means over fields, with the interval that 95 % of the draws lie in."""

    accuracy: float
    accuracy_interval: tuple[float, float]
    kappa: float
    kappa_interval: tuple[float, float]


def block_of(lon: float, lat: float) -> tuple[int, int]:
    """The block of ground that a place in degrees lies in."""
    return int(lat // BLOCK_DEGREES), int(lon * np.cos(np.deg2rad(lat)) // BLOCK_DEGREES)


def mean_score(
    predicted: Sequence[Sequence[str]], true: Sequence[Sequence[str]], blocks: Sequence[Hashable], seed: int = 0
) -> MeanScore:
    """Score fields together.

    Args:
        predicted: of each field, a value for each of N windows.
        true: the same of the reference.
        blocks: of each window, the block that it is drawn with.
        seed: of the draws.
    """
    names = {block: index for index, block in enumerate(dict.fromkeys(blocks))}
    member = np.eye(len(names))[[names[block] for block in blocks]]  # [N, blocks]
    drawn = np.random.default_rng(seed).multinomial(len(names), np.full(len(names), 1 / len(names)), DRAWS)
    weights = np.vstack([np.ones(len(member)), drawn @ member.T])  # the first row is the windows as they are
    scores = np.mean([_weighted(*pair, weights) for pair in zip(predicted, true, strict=True)], axis=0)
    low, high = np.percentile(scores[:, 1:], [50 * (1 - LEVEL), 50 * (1 + LEVEL)], axis=1)
    return MeanScore(
        float(scores[0, 0]), (float(low[0]), float(high[0])), float(scores[1, 0]), (float(low[1]), float(high[1]))
    )


def _weighted(predicted: Sequence[str], true: Sequence[str], weights: np.ndarray) -> np.ndarray:
    """[2, draws]: accuracy and kappa of one field under each row of weights [draws, N]."""
    classes, codes = np.unique(np.asarray([*predicted, *true]), return_inverse=True)
    found, target = np.eye(len(classes))[codes[: len(true)]], np.eye(len(classes))[codes[len(true) :]]
    total = weights.sum(1)
    right = weights @ (found * target).sum(1) / total
    chance = ((weights @ found) * (weights @ target)).sum(1) / total**2
    with np.errstate(divide="ignore", invalid="ignore"):
        kappa = np.where(chance < 1, (right - chance) / (1 - chance), 1.0)
    return np.stack([right, kappa])
