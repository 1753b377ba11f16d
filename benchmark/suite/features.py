"""Features of a data set, made once for all settings of a method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakKeyDictionary

import numpy as np

from benchmark.datasets.base import Classification, SeveralLabels
from benchmark.suite.base import ImageEncoder
from corpus.geotiff.backscatter import Backscatter

Labelled = Classification | SeveralLabels
SHIFTS: Final = ((0, 0), (1, 1), (-1, 1), (1, -1), (-1, -1))
"""Views of an image for linear probes, the plain one first: how far it is moved, in STEPs."""
STEP: Final = 1 / 32
"""Share of an image's height and width, at least a pixel."""


@dataclass(frozen=True)
class Features:
    """Features of the training and of all test images under a view, made when they are first asked for.

    The test images are followed by those under another draw of speckle, where the set has them.
    """

    encoder: ImageEncoder
    train: Sequence[Backscatter]
    test: Sequence[Backscatter]
    _made: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)

    def of(self, view: int) -> tuple[np.ndarray, np.ndarray]:
        """float32 [M, D] and [N, D] of a view, one of SHIFTS."""
        if view not in self._made:
            parts = ([moved(image, *SHIFTS[view]) for image in images] for images in (self.train, self.test))
            train, test = (self.encoder.embed(images) for images in parts)
            self._made[view] = train, test
        return self._made[view]

    def plain(self) -> tuple[np.ndarray, np.ndarray]:
        """float32 [M, D] and [N, D] of the images as they are."""
        return self.of(0)

    def views(self, rows: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """Of each view the features of some training images, and of all test images."""
        every = [self.of(view) for view in range(len(SHIFTS))]
        return [train[rows] for train, _ in every], [test for _, test in every]


_LAST: WeakKeyDictionary[ImageEncoder, tuple[Labelled, Features]] = WeakKeyDictionary()


def features_of(encoder: ImageEncoder, data: Labelled) -> Features:
    """Features of a data set; those of the last one are kept."""
    last = _LAST.get(encoder)
    if last is None or last[0] is not data:
        last = (data, Features(encoder, data.train.images, every_test_image(data)))
        _LAST[encoder] = last
    return last[1]


def moved(image: Backscatter, down: int, right: int) -> Backscatter:
    """An image moved by so many STEPs, what leaves on one side coming back on the other."""
    if down == right == 0:
        return image
    height, width = image.array.shape[1:]
    by = (down * max(1, round(STEP * height)), right * max(1, round(STEP * width)))
    return Backscatter(np.roll(image.array, by, (1, 2)), image.polarisations, image.calibrated)


def every_test_image(data: Labelled) -> list[Backscatter]:
    """The test images, and then those under another draw of speckle."""
    again = None if isinstance(data, SeveralLabels) else data.test_again
    return [*data.test.images, *(again.images if again is not None else ())]
