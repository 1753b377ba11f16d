"""The shallow classifiers of the committee: each is fitted to soft targets of all clauses at once."""

from typing import Any, Protocol

import numpy as np

from actors.statistics.features import Features
from corpus.registry import Registry

_TREES = 200
_RIDGE = 0.5
"""What is added to the diagonal of a kernel whose diagonal is one: half a tile's own word."""
_WIDTHS = (3.0, 1.0)
"""Inverse squared length scales of the kernels of statistics and pixels, times the number of features."""
_AT_ONCE = 4096


class Member(Protocol):
    """A classifier of tiles."""

    def fit_predict(self, taught: Features, targets: np.ndarray, asked: Features, seed: int) -> np.ndarray:
        """Learn the targets of some tiles, and say those of others.

        Args:
            taught: of n tiles.
            targets: float [n, T], probabilities of the values of all clauses, one clause after the other.
            asked: of m tiles.
            seed: of all draws.

        Returns:
            real [m, T], about a probability; may be a little below zero or above one.
        """
        ...


MEMBERS: Registry[Member] = Registry("classifier on statistics")


class KernelRidge:
    """Ridge regression with the mean of two Gaussian kernels, one of statistics and one of pixels."""

    def fit_predict(self, taught: Features, targets: np.ndarray, asked: Features, seed: int) -> np.ndarray:
        """See `Member`. One factorisation serves all clauses."""
        from scipy.linalg import solve
        from sklearn.metrics.pairwise import rbf_kernel
        from sklearn.preprocessing import StandardScaler

        views = []
        for own, other, width in (
            (taught.statistics, asked.statistics, _WIDTHS[0]),
            (taught.pixels, asked.pixels, _WIDTHS[1]),
        ):
            scaler = StandardScaler().fit(own)
            views.append((scaler.transform(own), scaler.transform(other), width / own.shape[1]))
        kernel = np.mean([rbf_kernel(own, gamma=gamma) for own, _, gamma in views], axis=0)
        kernel[np.diag_indices_from(kernel)] += _RIDGE
        mean = targets.mean(axis=0)
        weights = solve(kernel, targets - mean, assume_a="pos")
        return np.concatenate(
            [
                np.mean(
                    [rbf_kernel(other[start : start + _AT_ONCE], own, gamma=gamma) for own, other, gamma in views],
                    axis=0,
                )
                @ weights
                + mean
                for start in range(0, len(asked), _AT_ONCE)
            ]
        )


class Trees:
    """Extremely randomised trees on one kind of features.

    Args:
        kind: the attribute of `Features`.
    """

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def fit_predict(self, taught: Features, targets: np.ndarray, asked: Features, seed: int) -> np.ndarray:
        """See `Member`."""
        from sklearn.ensemble import ExtraTreesRegressor

        settings: Any = {"max_features": "sqrt"}  # scikit-learn's default says float, and so do its types
        forest = ExtraTreesRegressor(_TREES, min_samples_leaf=2, random_state=seed % 2**32, **settings)
        said = forest.fit(getattr(taught, self._kind), targets).predict(getattr(asked, self._kind))
        return said.reshape(len(asked), -1)


MEMBERS.add("kernel_ridge", KernelRidge())
MEMBERS.add("trees", Trees("statistics"))
MEMBERS.add("pixel_trees", Trees("pixels"))
