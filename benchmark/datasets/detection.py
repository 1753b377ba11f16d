"""What a data set of objects in boxes is to the benchmark, and what a detector says of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import overload

import numpy as np

from corpus.geotiff.backscatter import Backscatter


@dataclass(frozen=True)
class LabelledBoxes:
    """N images and the objects in them.

    Attributes:
        images: N rasters in dB, of any size; they may be read from disk each time that they are asked for.
        shapes: N pairs (height, width) in pixels.
        boxes: of each image float64 [n, 4]: left, top, right, bottom in pixels, inside the image.
        labels: of each image int64 [n], index into the classes.
        groups: N names; images of one group are related, and are drawn together by a bootstrap.
    """

    images: Sequence[Backscatter]
    shapes: Sequence[tuple[int, int]]
    boxes: Sequence[np.ndarray]
    labels: Sequence[np.ndarray]
    groups: Sequence[str]

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows: Sequence[int]) -> LabelledBoxes:
        """Those of some rows, in their order; images are not read for it."""
        return LabelledBoxes(
            ReadWhenAsked([partial(self.images.__getitem__, row) for row in rows]),
            [self.shapes[row] for row in rows],
            [self.boxes[row] for row in rows],
            [self.labels[row] for row in rows],
            [self.groups[row] for row in rows],
        )

    def spread(self, most: int) -> LabelledBoxes:
        """So many at most, evenly from the first to the last."""
        return self.take(np.unique(np.linspace(0, len(self) - 1, min(most, len(self))).astype(int)).tolist())

    def typical_side(self) -> float:
        """Median over all boxes of the side of a square of equal area, in pixels."""
        sides = np.concatenate([boxes[:, 2:] - boxes[:, :2] for boxes in self.boxes])
        return float(np.median(np.sqrt(sides.prod(axis=1))))


@dataclass(frozen=True)
class Detection:
    """A data set of images with a box around every object.

    Attributes:
        classes: names, in the order of the labels.
        train: what methods may learn from.
        test: what they are judged on.
        note: what a reader of the numbers has to know of the split.
        test_again: the test images under another draw of speckle, in the same order; None: there is none.
    """

    classes: tuple[str, ...]
    train: LabelledBoxes
    test: LabelledBoxes
    note: str = ""
    test_again: LabelledBoxes | None = None


@dataclass(frozen=True)
class Found:
    """What a detector says of one image.

    Attributes:
        boxes: float64 [n, 4]: left, top, right, bottom in pixels.
        scores: float64 [n], the higher the surer.
        labels: int64 [n], index into the classes.
    """

    boxes: np.ndarray
    scores: np.ndarray
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, rows: np.ndarray) -> Found:
        """Those of int or bool rows."""
        return Found(self.boxes[rows], self.scores[rows], self.labels[rows])


NOTHING = Found(np.zeros((0, 4)), np.zeros(0), np.zeros(0, np.int64))
"""No object at all."""


class ReadWhenAsked(Sequence[Backscatter]):
    """Rasters that are read anew each time: a set of large scenes does not fit in memory.

    Args:
        readers: each gives one raster.
    """

    def __init__(self, readers: Sequence[Callable[[], Backscatter]]) -> None:
        self._readers = readers

    def __len__(self) -> int:
        return len(self._readers)

    @overload
    def __getitem__(self, index: int) -> Backscatter: ...
    @overload
    def __getitem__(self, index: slice) -> ReadWhenAsked: ...
    def __getitem__(self, index: int | slice) -> Backscatter | ReadWhenAsked:
        """Read one, or choose several without reading them."""
        return ReadWhenAsked(self._readers[index]) if isinstance(index, slice) else self._readers[index]()
