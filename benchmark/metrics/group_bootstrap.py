"""Intervals of any score by drawing groups of related samples, and how those of several seeds become one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

import numpy as np

DRAWS = 200
LEVEL = 0.95
_NORMAL = 1.959964  # quantile of the normal distribution of a two-sided 95 % interval


@dataclass(frozen=True)
class Estimate:
    """A score and its 95 % interval; no interval where there is nothing to draw from."""

    value: float
    low: float | None = None
    high: float | None = None


def estimate(
    statistic: Callable[[np.ndarray], float], groups: Sequence[Hashable], draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """A score of N samples with the interval of its values when groups are drawn with replacement.

    Args:
        statistic: the score under weights float64 [N], how often each sample counts.
        groups: N names; samples of one group are drawn together.
        draws: number of draws.
        seed: of the draws.
    """
    names = {group: index for index, group in enumerate(dict.fromkeys(groups))}
    member = np.array([names[group] for group in groups])
    value = float(statistic(np.ones(len(member))))
    if len(names) < 2 or draws < 2:
        return Estimate(value)
    generator = np.random.default_rng(seed)
    counts = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), draws)
    drawn = [statistic(count[member].astype(np.float64)) for count in counts]
    low, high = np.nanpercentile(drawn, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Estimate(value, float(low), float(high))


def mean_estimate(values: np.ndarray, groups: Sequence[Hashable]) -> Estimate:
    """The mean of real or bool [N] values with its interval; see `estimate`."""
    return estimate(lambda weights: float(weights @ values / weights.sum()), groups)


def combine(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of the scores of one thing over seeds, whose interval holds both test set and seed.

    The variance of the mean is that of one test set, which all seeds share and which their intervals tell, and the
    variance over seeds divided by their number. One seed keeps its own interval.
    """
    if len(estimates) == 1:
        return estimates[0]
    values = np.array([each.value for each in estimates])
    mean, over_seeds = float(values.mean()), float(values.var(ddof=1)) / len(values)
    widths = [each.high - each.low for each in estimates if each.low is not None and each.high is not None]
    over_samples = float(np.mean([(width / (2 * _NORMAL)) ** 2 for width in widths])) if widths else 0.0
    half = _NORMAL * float(np.sqrt(over_samples + over_seeds))
    return Estimate(mean, mean - half, mean + half)
