"""One clause weighed by itself: source weights and errors are fitted, then every tile has a posterior.

Only sums over tiles are needed for the fit, and the held-out tiles. So tiles are handed over in blocks, each as
`ClauseSources`, and a fitted clause is a few numbers.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hcot_llm.aggregation.label_noise import (
    NoiseModel,
    SourceWeightPrior,
    count_errors,
    fit_source_weights,
    fuse,
    noise_of,
    normalise,
    pool,
)
from hcot_llm.aggregation.workers import THIS_PROCESS, Workers, summed

_ITERATIONS: Final = 3  # of source weights and errors in turn
PRIOR_TILES: Final = 20
"""Tiles that an expected share, or a uniform distribution, is worth."""


@dataclass(frozen=True)
class ClauseSources:
    """What is said of one clause on n tiles.

    Attributes:
        sources: Per model its distribution, float [n, V]; NaN rows where the model was not queried.
        initial: int [n], indices of the initial values.
        accuracy: float [n], known accuracy of each initial value, in 0..1.
        said: float [n, V], how probable what people said is under each true value; None: nobody said anything.
    """

    sources: Sequence[np.ndarray]
    initial: np.ndarray
    accuracy: np.ndarray
    said: np.ndarray | None = None

    @property
    def values(self) -> int:
        """Number of values of the clause, V."""
        return self.sources[0].shape[1]

    def some(self, rows: np.ndarray | slice) -> "ClauseSources":
        """The same of some of the tiles."""
        said = None if self.said is None else self.said[rows]
        return ClauseSources([each[rows] for each in self.sources], self.initial[rows], self.accuracy[rows], said)

    def likelihood(self, noise: NoiseModel) -> np.ndarray:
        """Likelihood of each true value given the initial annotation and what people said, float [n, V]."""
        likelihood = noise.likelihood(self.initial, self.accuracy)
        return likelihood if self.said is None else likelihood * self.said


@dataclass(frozen=True)
class ClauseFit:
    """What was fitted for one clause.

    Attributes:
        source_weights: Per model its source weight.
        noise: Errors of the initial annotations.
    """

    source_weights: list[float]
    noise: NoiseModel

    @staticmethod
    def before(models: int, values: int, mean_accuracy: float) -> "ClauseFit":
        """Where the fit starts: none of the models counts, and errors are even."""
        return ClauseFit([0.0] * models, NoiseModel.even(mean_accuracy, values))


@dataclass(frozen=True)
class ClauseWeighing:
    """Posterior of one clause on n tiles, weighed by itself.

    Attributes:
        posterior: float [n, V], posterior of the true value.
        source_weights: Per model its source weight.
        pooled: float [n, V], distributions of all models, pooled by their source weights.
        total_source_weight: float [n], sum of the source weights of the models that were queried about the tile.
        noise: Errors of the initial annotations.
        said: float [n, V], how probable what people said is under each true value; None where nobody said anything.
    """

    posterior: np.ndarray
    source_weights: list[float]
    pooled: np.ndarray
    total_source_weight: np.ndarray
    noise: NoiseModel
    said: np.ndarray | None = None

    def tempered(self, inverse_temperature: float, class_prior: np.ndarray) -> np.ndarray:
        """The pooled models at an inverse temperature, times the likelihood of what people said.

        The class prior fills up what the models' weights lack to one. A uniform distribution in its place would not be
        neutral: of the consistent annotations far more have targets than have none.

        Args:
            inverse_temperature: The power to which the pooled distributions are taken.
            class_prior: float [V], how frequent each value is.

        Returns:
            float [n, V]; rows sum to one.
        """
        missing = np.maximum(0.0, 1.0 - inverse_temperature * self.total_source_weight)[:, None]
        models = normalise(self.pooled**inverse_temperature * class_prior**missing)
        return models if self.said is None else normalise(models * self.said)


def class_prior_of(posterior_sum: np.ndarray, tiles: int) -> np.ndarray:
    """How frequent each value is, float [V]; a uniform distribution counts as much as `PRIOR_TILES` tiles.

    Without the uniform part, a value that no initial annotation has would have probability zero, and the little
    probability that any model gives it would look like evidence for it: for targets in eight clauses at once.

    Args:
        posterior_sum: float [V], sum of the tiles' posteriors.
        tiles: their number.
    """
    return (posterior_sum + PRIOR_TILES / len(posterior_sum)) / (tiles + PRIOR_TILES)


def fit_clauses(
    held_out: Sequence[Any],
    blocks: Sequence[Any],
    before: Sequence[ClauseFit],
    noise_pseudo_count: float,
    priors: Sequence[SourceWeightPrior] | None = None,
    workers: Workers = THIS_PROCESS,
) -> list[ClauseFit]:
    """Fit each clause by itself: source weights and errors in turn.

    Args:
        held_out: Per clause what stands for the `ClauseSources` of the tiles that no model was trained on.
        blocks: What stands for the `ClauseSources` of all clauses on the tiles of each block.
        before: Per clause where its fit starts.
        noise_pseudo_count: see `AcceptanceConfig`.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
        workers: who holds the tiles.
    """
    fits = list(before)
    for _ in range(_ITERATIONS):
        weights = workers.map(
            _fit_weights, [(each, fit.noise, priors) for each, fit in zip(held_out, fits, strict=True)]
        )
        fits = [ClauseFit(each, fit.noise) for each, fit in zip(weights, fits, strict=True)]
        errors = summed(workers.map(_errors, [(block, fits) for block in blocks]))
        fits = [
            ClauseFit(fit.source_weights, noise_of(each, fit.noise.accuracy, noise_pseudo_count))
            for each, fit in zip(errors, fits, strict=True)
        ]
    return fits


def _fit_weights(held_out: ClauseSources, noise: NoiseModel, priors: Sequence[SourceWeightPrior] | None) -> list[float]:
    """Source weights from the held-out tiles, given the errors of the initial annotations."""
    return fit_source_weights(held_out.sources, held_out.likelihood(noise), priors)


def _errors(block: Sequence[ClauseSources], fits: Sequence[ClauseFit]) -> list[np.ndarray]:
    """Per clause the expected number of each error among the tiles, float64 [V, V], rows true, columns annotated."""
    return [
        count_errors(fuse(pool(clause.sources, fit.source_weights), clause.likelihood(fit.noise)), clause.initial)
        for clause, fit in zip(block, fits, strict=True)
    ]


def weigh_with(clause: ClauseSources, fit: ClauseFit) -> ClauseWeighing:
    """Weigh tiles with what was fitted."""
    pooled = pool(clause.sources, fit.source_weights)
    total = np.zeros(len(clause.initial))
    for source_weight, source in zip(fit.source_weights, clause.sources, strict=True):
        total += source_weight * ~np.isnan(source).any(axis=1)
    posterior = fuse(pooled, clause.likelihood(fit.noise))
    return ClauseWeighing(posterior, fit.source_weights, pooled, total, fit.noise, clause.said)


def weigh_clause(
    clause: ClauseSources,
    held_out: np.ndarray,
    noise_pseudo_count: float,
    priors: Sequence[SourceWeightPrior] | None = None,
) -> ClauseWeighing:
    """Fit one clause to tiles that all lie here, and weigh them.

    Args:
        clause: What is said of N tiles.
        held_out: bool [N], True for tiles that no model was trained on.
        noise_pseudo_count: see `AcceptanceConfig`.
        priors: Per model the prior of its source weight, see `fit_source_weights`.
    """
    before = ClauseFit.before(len(clause.sources), clause.values, float(clause.accuracy.mean()))
    [fit] = fit_clauses([clause.some(held_out)], [[clause]], [before], noise_pseudo_count, priors)
    return weigh_with(clause, fit)
