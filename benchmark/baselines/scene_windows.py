"""Scenes of any size cut in overlapping windows of a network's size, and what is found in them put back together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.datasets.detection import NOTHING, Found, LabelledBoxes
from benchmark.datasets.pictures import at_reference_level
from benchmark.metrics.box_overlap import suppressed
from benchmark.metrics.detection import MOST_AN_IMAGE
from corpus.geotiff.backscatter import Backscatter, resample_power

OBJECT_SHARE = 0.3
"""Side of a typical object in sides of a window, to which scenes are resampled."""
SMALLEST, LARGEST = 1 / 16, 2.0
"""Scenes are resampled by factors within these."""


@dataclass(frozen=True)
class Cut:
    """How scenes are cut for a network.

    Attributes:
        scale: pixels of a window to a pixel of the scene.
        side: pixels along a window's side.
        overlap: pixels that neighbours share at least, so that an object is whole in one of them.
    """

    scale: float
    side: int
    overlap: int

    def shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """Height and width of a scene of [H, W] pixels once it is resampled."""
        height, width = (max(1, round(length * self.scale)) for length in shape)
        return height, width

    def starts(self, length: int) -> np.ndarray:
        """int64: where windows begin along so many resampled pixels, evenly apart."""
        if length <= self.side:
            return np.zeros(1, np.int64)
        count = 1 + int(np.ceil((length - self.side) / (self.side - self.overlap)))
        return np.round(np.linspace(0, length - self.side, count)).astype(np.int64)

    def places(self, shape: tuple[int, int]) -> np.ndarray:
        """int64 [windows, 2]: rows and columns where the windows of a scene of [H, W] pixels begin."""
        rows, columns = (self.starts(length) for length in self.shape(shape))
        return np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def cut_for(train: LabelledBoxes, side: int) -> Cut:
    """The cut at which a typical training object has OBJECT_SHARE of a window's side."""
    scale = float(np.clip(OBJECT_SHARE * side / train.typical_side(), SMALLEST, LARGEST))
    sides = np.concatenate([(boxes[:, 2:] - boxes[:, :2]).max(axis=1) for boxes in train.boxes])
    overlap = int(np.ceil(1.1 * scale * float(np.quantile(sides, 0.95))))
    return Cut(scale, side, min(overlap, side // 2))


def resampled(scene: Backscatter, cut: Cut) -> Backscatter:
    """A scene at the scale of a cut, at a level that its windows keep; filled up to a window with no value."""
    scene = scene if scene.calibrated else at_reference_level(scene)
    array = resample_power(scene.array, cut.shape(scene.array.shape[1:]))  # pyright: ignore[reportArgumentType]  # two
    missing = [(0, max(0, cut.side - length)) for length in array.shape[1:]]
    array = np.pad(array, [(0, 0), *missing], constant_values=np.nan)
    return Backscatter(array, scene.polarisations, scene.calibrated)


def windows_at(scene: Backscatter, places: np.ndarray, side: int) -> list[Backscatter]:
    """Windows of a resampled scene.

    Args:
        scene: as `resampled` gives it.
        places: int [windows, 2], rows and columns where they begin.
        side: pixels along their sides.
    """
    parts = [scene.array[:, row : row + side, column : column + side] for row, column in places.tolist()]
    return [Backscatter(part, scene.polarisations, scene.calibrated) for part in parts]


def boxes_at(boxes: np.ndarray, place: np.ndarray, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of a scene as a window has them, clipped to it, and the rows of those whose middle lies in it.

    Args:
        boxes: float64 [n, 4] in pixels of the scene.
        place: int [2], row and column where the window begins.
        cut: how the scene was cut.
    """
    moved = boxes * cut.scale - np.tile(place[::-1], 2)
    middle = (moved[:, :2] + moved[:, 2:]) / 2
    rows = np.flatnonzero(((middle >= 0) & (middle < cut.side)).all(axis=1))
    return np.clip(moved[rows], 0, cut.side), rows


def merged(parts: Sequence[Found], places: np.ndarray, shape: tuple[int, int], cut: Cut) -> Found:
    """What was found in the windows of a scene, in its pixels.

    A point belongs to one window, up to the middle of what neighbours share, and a box to the window of its middle:
    there it was seen whole. Boxes of one class that still overlap are suppressed by the surest.

    Args:
        parts: of each window, in its pixels.
        places: int [windows, 2], where they begin.
        shape: height and width of the scene.
        cut: how it was cut.
    """
    rows, columns = (_borders(np.unique(places[:, axis]), cut.side) for axis in (0, 1))
    whole = []
    for found, place in zip(parts, places, strict=True):
        boxes = found.boxes + np.tile(place[::-1], 2)
        middle = (boxes[:, :2] + boxes[:, 2:]) / 2
        (top, bottom), (left, right) = rows[int(place[0])], columns[int(place[1])]
        own = (middle >= [left, top]) & (middle < [right, bottom])
        whole.append(Found(boxes, found.scores, found.labels).take(np.flatnonzero(own.all(axis=1))))
    if not whole:
        return NOTHING
    height, width = shape
    boxes = np.concatenate([each.boxes for each in whole]) / cut.scale
    boxes = np.clip(boxes, 0, [width, height, width, height])
    found = Found(boxes, np.concatenate([f.scores for f in whole]), np.concatenate([f.labels for f in whole]))
    found = found.take(np.flatnonzero(((boxes[:, 2:] - boxes[:, :2]) > 0).all(axis=1)))
    return found.take(suppressed(found.boxes, found.scores, found.labels)[:MOST_AN_IMAGE])


def _borders(starts: np.ndarray, side: int) -> dict[int, tuple[float, float]]:
    """Of each window that begins at one of int [n] the interval that belongs to it."""
    inner = (starts[1:] + starts[:-1] + side) / 2
    low, high = np.concatenate([[-np.inf], inner]), np.concatenate([inner, [np.inf]])
    return {int(start): (float(a), float(b)) for start, a, b in zip(starts, low, high, strict=True)}
