"""How much to believe each witness of a clause's true value, without ever seeing the truth.

Witnesses are the models (encoder, captioner) and the seed annotation. The seed's accuracy is known from expert
checks (it comes with the seed as its confidence); how its errors are spread is estimated. How much a model is to
be believed is fitted on tiles that it was not trained on: the better a model, the better the seed annotations
there are explained by "the model's value, corrupted by the seed's errors". A model that knows nothing gets
exponent zero, and then the seed stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

TINY = 1e-9
LARGEST_EXPONENT = 4.0
# Shares of the best exponents that are tried, from none of them to all, and how much worse one may explain.
_SHARES = np.linspace(0.0, 1.0, 11)
_STANDARD_ERRORS = 0.5


@dataclass(frozen=True)
class NoiseModel:
    """Errors of the seed annotations of one clause.

    accuracy: share of right ones, whatever the true value. spread: float64 [V, V], rows true, columns annotated: what
    is said instead where it is wrong; the diagonal is zero and rows sum to one.
    """

    accuracy: float
    spread: np.ndarray

    @staticmethod
    def even(accuracy: float, values: int) -> "NoiseModel":
        """Right with probability `accuracy`, else any other value."""
        return NoiseModel(accuracy, (1 - np.eye(values)) / max(values - 1, 1))

    @property
    def confusion(self) -> np.ndarray:
        """Probability of each annotation, float64 [V, V], rows true, columns annotated."""
        return self.accuracy * np.eye(len(self.spread)) + (1 - self.accuracy) * self.spread

    def likelihood(self, annotated: np.ndarray, accuracy: np.ndarray | None = None) -> np.ndarray:
        """p(annotated value | each true value), float [N, V].

        Args:
            annotated: int [N], indices of the annotated values.
            accuracy: float [N], of each annotation, where they are not all alike (hedged texts are less sure).
        """
        right = np.arange(len(self.spread)) == annotated[:, None]
        sure = np.full(len(annotated), self.accuracy) if accuracy is None else accuracy
        return np.where(right, sure[:, None], (1 - sure)[:, None] * self.spread[:, annotated].T)


@dataclass(frozen=True)
class ExponentPrior:
    """What is expected of a model before held-out tiles are seen: a Gaussian on its exponent, for when they are few."""

    expected: float
    spread: float


# A model trained on this corpus; and one that was not, which has to show on held-out tiles that it knows anything.
TRAINED = ExponentPrior(1.0, 1.0)
UNTRAINED = ExponentPrior(0.0, 0.5)


def normalise(array: np.ndarray) -> np.ndarray:
    """Rows that sum to one."""
    return array / np.maximum(array.sum(axis=-1, keepdims=True), TINY)


def pool(witnesses: Sequence[np.ndarray], exponents: Sequence[float] | np.ndarray) -> np.ndarray:
    """Product of distributions float [N, V], each to its exponent. Rows that are NaN (no answer) do not take part."""
    total = np.zeros_like(witnesses[0])
    for witness, exponent in zip(witnesses, exponents, strict=True):
        present = ~np.isnan(witness).any(axis=1, keepdims=True)
        total += np.where(present, exponent * np.log(np.maximum(np.nan_to_num(witness), 1e-4)), 0.0)
    return normalise(np.exp(total - total.max(axis=1, keepdims=True)))


def fit_exponents(
    witnesses: Sequence[np.ndarray], likelihood: np.ndarray, priors: Sequence[ExponentPrior] | None = None
) -> list[float]:
    """The least belief that explains the seed of tiles that the models were not trained on as well as the best does.

    As well means within half a standard error of the difference (after the rule of Breiman et al., 1984, for choosing
    among models): what a few tiles seem to say for a model is no reason to believe it.

    Args:
        witnesses: float [N, V] each, over calibration tiles.
        likelihood: float [N, V], p(their seed annotation | each true value); no model has seen the annotation.
        priors: of each witness, TRAINED by default.
    """
    from scipy.optimize import minimize  # a configuration is read without SciPy

    priors = [TRAINED] * len(witnesses) if priors is None else priors
    expected = np.asarray([prior.expected for prior in priors])
    spread = np.asarray([prior.spread for prior in priors])
    if len(likelihood) == 0:
        return (expected / len(witnesses)).tolist()

    def explained(exponents: np.ndarray) -> np.ndarray:
        """Logarithm of how probable each annotation is, float [n]."""
        return np.log(np.maximum((pool(witnesses, exponents) * likelihood).sum(axis=1), TINY))

    def loss(exponents: np.ndarray) -> float:
        return float(-explained(exponents).sum() + 0.5 * np.sum(((exponents - expected) / spread) ** 2))

    best = min(
        (
            minimize(
                loss,
                np.full(len(witnesses), start),
                method="L-BFGS-B",
                bounds=[(0.0, LARGEST_EXPONENT)] * len(witnesses),
            )
            for start in (0.2, 1.0)
        ),
        key=lambda result: result.fun,
    ).x
    most = explained(best)

    def as_good(share: float) -> bool:
        worse = most - explained(share * best)
        return worse.mean() * np.sqrt(len(worse)) <= _STANDARD_ERRORS * worse.std()

    return [float(exponent) for exponent in next(share for share in _SHARES if as_good(share)) * best]


def estimate_noise(posterior: np.ndarray, seed: np.ndarray, accuracy: float, pseudo_count: float) -> NoiseModel:
    """How the seed's errors are spread over the values, from the posterior of the truth.

    How many errors there are is known and not estimated: a posterior that leans on the seed finds it better than
    it is, leans on it more, and so on.

    Args:
        posterior: float [N, V], p(true value | all witnesses); rows may sum to less where an annotation counts less.
        seed: int [N], indices of the annotated values.
        accuracy: share of right seed annotations, whatever the true value.
        pseudo_count: clauses per true value that an even spread of errors is worth.
    """
    values = posterior.shape[1]
    errors = posterior.T @ np.eye(values)[seed] + pseudo_count * NoiseModel.even(accuracy, values).confusion
    np.fill_diagonal(errors, 0.0)
    return NoiseModel(accuracy, normalise(errors))


def fuse(models: np.ndarray, likelihood: np.ndarray) -> np.ndarray:
    """Posterior of the true value, from the pooled models and the seed's likelihood, all float [N, V]."""
    return normalise(models * likelihood)
