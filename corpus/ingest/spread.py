"""Median and standard deviation of a scene's decibels, from the windows that are read of it anyway."""

from __future__ import annotations

from typing import Final

import numpy as np

_MOST: Final = 2**22  # values that are kept of a band: 16 MB
_THINNED: Final = 3  # sides of windows are powers of two, and what is kept must not be of the same columns in each row


class Spread:
    """The values of each band: all of them or, of a large scene, every third, ninth and so on in their order."""

    def __init__(self, bands: int, most: int = _MOST):
        self.seen = 0
        """Values of the band that has fewest."""
        self._most = most
        self._kept: list[list[np.ndarray]] = [[] for _ in range(bands)]
        self._counts, self._steps, self._seen = [0] * bands, [1] * bands, [0] * bands

    def add(self, decibels: np.ndarray) -> None:
        """Take in a window, float [bands, H, W], NaN where there is no value."""
        for band, values in enumerate(decibels):
            finite = values[np.isfinite(values)]
            step = self._steps[band]
            some = finite[-self._seen[band] % step :: step].astype(np.float32)
            self._seen[band] += len(finite)
            if len(some):
                self._kept[band].append(some)
                self._counts[band] += len(some)
            while self._counts[band] > self._most:
                self._kept[band] = [np.concatenate(self._kept[band])[::_THINNED]]
                self._counts[band] = len(self._kept[band][0])
                self._steps[band] *= _THINNED
        self.seen = min(self._seen)

    def statistics(self) -> tuple[list[float], list[float]]:
        """(medians, standard deviations) in dB by band; NaN where no pixel has a value."""
        values = [np.concatenate([*kept, np.empty(0, np.float32)]).astype(np.float64) for kept in self._kept]
        return (
            [float(np.median(each)) if len(each) else float("nan") for each in values],
            [float(each.std()) if len(each) else float("nan") for each in values],
        )
