"""A detector of constant false-alarm rate: bright against its surroundings. And one that finds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.datasets.detection import NOTHING, Found, LabelledBoxes
from benchmark.metrics.detection import MOST_AN_IMAGE, matched
from benchmark.suite.base import MethodInputs
from corpus.geotiff.backscatter import Backscatter

FALSE_ALARM_RATE = 1e-5
"""Of a pixel, in single-look speckle."""
_GUARD, _RING = 1.5, 3.0  # outer sides of the guard and of the ring round a pixel, in sides of a typical object
_APART = 0.25  # bright pixels closer than this, in the same unit, are one object
_LOOKED_AT = 50  # training images that choose how boxes are drawn


@dataclass(frozen=True)
class _Size:
    """Of a typical object in pixels."""

    width: float
    height: float

    @property
    def side(self) -> float:
        return float(np.sqrt(self.width * self.height))


class Cfar:
    """A pixel is bright where its power exceeds the mean of a ring round it by a factor that speckle seldom reaches.

    Bright pixels near each other are one object. Training boxes say how large an object is, which class is the most
    frequent, and whether boxes end where the bright pixels do or have the typical size round their middle.
    """

    about = "constant false-alarm rate on intensity; training boxes say only the typical size and the usual class"

    def open(self, inputs: MethodInputs) -> Cfar:
        """Itself."""
        return self

    def detect(self, train: LabelledBoxes, test: Sequence[Backscatter], classes: int, seed: int) -> list[Found]:
        """Bright clusters; the more power above the ring, the surer."""
        sides = np.concatenate([boxes[:, 2:] - boxes[:, :2] for boxes in train.boxes])
        size = _Size(*np.median(sides, axis=0))
        label = int(np.bincount(np.concatenate(train.labels)).argmax())
        some = train.spread(_LOOKED_AT)
        bright = [clusters(image, size) for image in some.images]
        ways = (_as_they_are, _of_typical_size)
        worth = [_worth(some, [way(*each, size, label) for each in bright]) for way in ways]
        way = ways[int(np.argmax(worth))]
        return [way(*clusters(image, size), size, label) for image in test]


class Nothing:
    """Finds nothing: what a count costs where no object is ever seen."""

    about = "finds no object: the error of counts to beat"

    def open(self, inputs: MethodInputs) -> Nothing:
        """Itself."""
        return self

    def detect(self, train: LabelledBoxes, test: Sequence[Backscatter], classes: int, seed: int) -> list[Found]:
        """Nothing for every image."""
        return [NOTHING] * len(test)


def clusters(image: Backscatter, size: _Size) -> tuple[np.ndarray, np.ndarray]:
    """Boxes float64 [n, 4] round clusters of bright pixels, and scores [n] between 0 and 1, the surest first."""
    from scipy.ndimage import find_objects, label, maximum_filter, sum_labels

    ratio = over_ring(image, size.side)
    threshold = -np.log(FALSE_ALARM_RATE)
    bright = ratio > threshold
    reach = 1 + 2 * round(_APART * size.side / 2)
    numbers, count = label(maximum_filter(bright, reach))  # pyright: ignore[reportGeneralTypeIssues]  # two values
    numbers = np.where(bright, numbers, 0)
    power = np.asarray(sum_labels(ratio, numbers, np.arange(1, count + 1)))
    boxes = np.array(
        [(at[1].start, at[0].start, at[1].stop, at[0].stop) for at in find_objects(numbers, count) if at is not None],
        np.float64,
    ).reshape(-1, 4)
    order = np.argsort(-power, kind="stable")[:MOST_AN_IMAGE]
    return boxes[order], power[order] / (power[order] + 100 * threshold)


def over_ring(image: Backscatter, side: float) -> np.ndarray:
    """float64 [H, W]: the power of each pixel over the mean of a square ring round it.

    Args:
        image: in dB; a pixel without a value counts as the median.
        side: of a typical object in pixels.
    """
    from scipy.ndimage import uniform_filter

    band = image.array[image.co_polarised].astype(np.float64)
    power = 10 ** (np.nan_to_num(band, nan=float(np.nanmedian(band))) / 10)
    guard, ring = (1 + 2 * max(1, round(factor * side / 2)) for factor in (_GUARD, _RING))
    ring = min(max(ring, guard + 2), 2 * min(band.shape) - 1)
    guard = min(guard, ring - 2)
    inside, whole = (uniform_filter(power, width, mode="reflect") for width in (guard, ring))
    around = (whole * ring**2 - inside * guard**2) / (ring**2 - guard**2)
    return power / np.maximum(around, 1e-12)


def _as_they_are(boxes: np.ndarray, scores: np.ndarray, size: _Size, label: int) -> Found:
    return Found(boxes, scores, np.full(len(scores), label))


def _of_typical_size(boxes: np.ndarray, scores: np.ndarray, size: _Size, label: int) -> Found:
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    half = np.array([size.width, size.height]) / 2
    return Found(np.concatenate([middle - half, middle + half], axis=1), scores, np.full(len(scores), label))


def _worth(truth: LabelledBoxes, found: Sequence[Found]) -> float:
    [matches] = matched(truth, found, 1)["all"]
    return float(matches.average_precision(np.ones(len(truth)))[0])
