"""Source weights and label noise of one clause, estimated without the truth.

The label sources are the models (encoder, captioner) and the initial annotation. The accuracy of the initial
annotations is known from expert checks and comes with them as their confidence. Their confusion, which says what is
annotated instead of the true value, is estimated. The source weight of a model is fitted on tiles that the model was
not trained on. The better a model is, the more probable are the initial annotations there under "the model's value,
corrupted by the errors of the initial annotations". A model that knows nothing gets weight zero, and the initial
annotation stays.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TINY = 1e-9
LARGEST_SOURCE_WEIGHT = 4.0
# Shares of the way to the best source weights that are tried, from none to all; and how much lower the held-out
# likelihood may be.
_SHARES = np.linspace(0.0, 1.0, 11)
_STANDARD_ERRORS = 0.5


@dataclass(frozen=True)
class NoiseModel:
    """Errors of the initial annotations of one clause.

    Attributes:
        accuracy: Share of right annotations in 0..1, the same for every true value.
        error_confusion: float64 [V, V], rows true, columns annotated: probability of each wrong value where the
            annotation is wrong. The diagonal is zero and rows sum to one.
    """

    accuracy: float
    error_confusion: np.ndarray

    @staticmethod
    def even(accuracy: float, values: int) -> "NoiseModel":
        """Noise that gives the right value with probability `accuracy`, else any of the others with equal chance.

        Args:
            accuracy: Share of right annotations in 0..1.
            values: Number of values of the clause.
        """
        return NoiseModel(accuracy, (1 - np.eye(values)) / max(values - 1, 1))

    @property
    def confusion(self) -> np.ndarray:
        """Probability of each annotation, float64 [V, V], rows true, columns annotated."""
        return self.accuracy * np.eye(len(self.error_confusion)) + (1 - self.accuracy) * self.error_confusion

    def likelihood(self, annotated: np.ndarray, accuracy: np.ndarray | None = None) -> np.ndarray:
        """Likelihood of each true value, p(annotated value | true value).

        Args:
            annotated: int [N], indices of the annotated values.
            accuracy: float [N], accuracy of each annotation, where they differ (hedged texts are less sure); None
                takes that of the noise model.

        Returns:
            float [N, V].
        """
        right = np.arange(len(self.error_confusion)) == annotated[:, None]
        sure = np.full(len(annotated), self.accuracy) if accuracy is None else accuracy
        return np.where(right, sure[:, None], (1 - sure)[:, None] * self.error_confusion[:, annotated].T)


@dataclass(frozen=True)
class SourceWeightPrior:
    """Gaussian prior of a model's source weight, which counts where held-out tiles are few.

    Attributes:
        expected: Mean of the source weight.
        standard_deviation: Standard deviation of the source weight.
        without_evidence: What the weight falls back to where held-out tiles do not tell.
    """

    expected: float
    standard_deviation: float
    without_evidence: float = 0.0


# TRAINED: a model trained on this corpus. UNTRAINED: any other, which has to show on held-out tiles what it knows.
# CALIBRATED: its distributions were weighed out of fold on all tiles before, so that they count as what they say.
TRAINED = SourceWeightPrior(1.0, 1.0)
UNTRAINED = SourceWeightPrior(0.0, 0.5)
CALIBRATED = SourceWeightPrior(1.0, 0.3, without_evidence=1.0)


def normalise(array: np.ndarray) -> np.ndarray:
    """The array scaled so that its last axis sums to one."""
    return array / np.maximum(array.sum(axis=-1, keepdims=True), TINY)


def pool(sources: Sequence[np.ndarray], source_weights: Sequence[float] | np.ndarray) -> np.ndarray:
    """Pool distributions: their product, each to the power of its source weight.

    Args:
        sources: Per label source float [N, V]. Rows that are NaN (no answer) do not take part.
        source_weights: Per label source its weight, at least 0.

    Returns:
        float [N, V]; rows sum to one.
    """
    return _pooled([_logs(source) for source in sources], source_weights)


def _logs(source: np.ndarray) -> np.ndarray:
    """Logarithm of a source's distributions, float64 [N, V]; zero where there is none."""
    present = ~np.isnan(source).any(axis=1, keepdims=True)
    numbers = np.nan_to_num(source).astype(np.float64)  # distributions are kept with fewer digits
    return np.where(present, np.log(np.maximum(numbers, 1e-4)), 0.0)


def _pooled(logs: Sequence[np.ndarray], source_weights: Sequence[float] | np.ndarray) -> np.ndarray:
    total = np.zeros_like(logs[0])
    for log, source_weight in zip(logs, source_weights, strict=True):
        total += source_weight * log
    return normalise(np.exp(total - total.max(axis=1, keepdims=True)))


def fit_source_weights(
    sources: Sequence[np.ndarray], likelihood: np.ndarray, priors: Sequence[SourceWeightPrior] | None = None
) -> list[float]:
    """Fit the smallest source weights whose held-out likelihood is about as high as that of the best weights.

    "Smallest" is measured from what each weight falls back to without evidence, which is zero of most models. "About as
    high" means within half a standard error of the difference, after the rule of Breiman et al. (1984) for choosing
    among models. A few tiles that happen to agree with a model therefore give it no weight.

    Args:
        sources: Per label source float [N, V], its distributions on held-out tiles.
        likelihood: float [N, V], p(initial annotation of the tile | each true value). No model was trained on it.
        priors: Per label source the prior of its weight; None takes TRAINED for all.

    Returns:
        Per label source its weight, from 0 to LARGEST_SOURCE_WEIGHT. Without tiles the expected weights of the priors,
        divided by the number of sources.
    """
    from scipy.optimize import minimize  # a configuration is read without SciPy

    priors = [TRAINED] * len(sources) if priors is None else priors
    expected = np.asarray([prior.expected for prior in priors])
    deviation = np.asarray([prior.standard_deviation for prior in priors])
    if len(likelihood) == 0:
        return (expected / len(sources)).tolist()

    logs = [_logs(source) for source in sources]  # what is the same in every step of the fit

    def log_likelihood(source_weights: np.ndarray) -> np.ndarray:
        """Held-out log-likelihood of each tile's initial annotation, float [N], in nats."""
        return np.log(np.maximum((_pooled(logs, source_weights) * likelihood).sum(axis=1), TINY))

    def loss(source_weights: np.ndarray) -> float:
        return float(
            -log_likelihood(source_weights).sum() + 0.5 * np.sum(((source_weights - expected) / deviation) ** 2)
        )

    best = min(
        (
            minimize(
                loss,
                np.full(len(sources), start),
                method="L-BFGS-B",
                bounds=[(0.0, LARGEST_SOURCE_WEIGHT)] * len(sources),
            )
            for start in (0.2, 1.0)
        ),
        key=lambda result: result.fun,
    ).x
    least = np.asarray([prior.without_evidence for prior in priors])
    highest = log_likelihood(best)

    def as_good(share: float) -> bool:
        worse = highest - log_likelihood(least + share * (best - least))
        return worse.mean() * np.sqrt(len(worse)) <= _STANDARD_ERRORS * worse.std()

    share = next((share for share in _SHARES[:-1] if as_good(share)), 1.0)
    return [float(weight) for weight in least + share * (best - least)]


def count_errors(posterior: np.ndarray, initial: np.ndarray) -> np.ndarray:
    """Expected number of each error, float64 [V, V], rows true, columns annotated; the diagonal has what is right.

    Args:
        posterior: float [N, V], p(true value | all label sources). Rows may sum to less than one where an annotation
            counts less.
        initial: int [N], indices of the initial values.
    """
    return posterior.T @ np.eye(posterior.shape[1])[initial]


def noise_of(errors: np.ndarray, accuracy: float, pseudo_count: float) -> NoiseModel:
    """Estimate the confusion of the initial annotations from expected errors.

    The number of errors is known and not estimated. A posterior that depends on the initial annotations would find
    them more accurate than they are, then depend on them more, and so on.

    Args:
        errors: float64 [V, V], what `count_errors` counted over all tiles.
        accuracy: Share of right initial annotations in 0..1, the same for every true value.
        pseudo_count: Clauses per true value that evenly distributed errors are worth.
    """
    errors = errors + pseudo_count * NoiseModel.even(accuracy, len(errors)).confusion
    np.fill_diagonal(errors, 0.0)
    return NoiseModel(accuracy, normalise(errors))


def fuse(models: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Posterior of the true value.

    Args:
        models: float [N, V], the pooled distributions of the models.
        likelihood: float [N, V], p(initial annotation | each true value).

    Returns:
        float [N, V]; rows sum to one.
    """
    return normalise(models * likelihood)
