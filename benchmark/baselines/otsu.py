"""Otsu's threshold, image by image: what two classes of pixels come to without any learning worth the name."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.datasets.base import LabelledMasks
from benchmark.metrics.segmentation import confusion, iou
from benchmark.suite.base import MethodInputs, MethodMissing
from corpus.geotiff.backscatter import Backscatter

_BINS = 256


class Otsu:
    """The threshold that leaves the least variance on both sides; training masks only say which side is which."""

    about = "Otsu's threshold on each image; training masks say whether dark or bright is the class"

    def open(self, inputs: MethodInputs) -> Otsu:
        """Itself."""
        return self

    def segment(
        self, train: LabelledMasks, test: Sequence[tuple[Backscatter, ...]], classes: int, seed: int
    ) -> list[np.ndarray]:
        """1 for the class of each pixel's side of the threshold."""
        if classes != 2:
            raise MethodMissing(f"Otsu's threshold separates two classes, and this set has {classes}")
        dark = [_is_dark(views[0]) for views in train.views]
        pairs = zip(train.masks, dark, strict=True)
        counts = np.sum([confusion(mask, side.astype(np.uint8), 2) for mask, side in pairs], axis=0)
        # Where bright is the class, what was called one is called the other.
        as_dark, as_bright = (float(np.nan_to_num(iou(each)[1])) for each in (counts, counts[:, ::-1]))
        flip = as_bright > as_dark
        sides = (_is_dark(views[0]) != flip for views in test)
        return [np.stack([~side, side]).astype(np.float32) for side in sides]


def threshold(values: np.ndarray) -> float:
    """Otsu's threshold of finite values float [n]: 256 bins, the largest variance between both sides."""
    counts, edges = np.histogram(values, _BINS)
    centres = (edges[1:] + edges[:-1]) / 2
    below, sums = np.cumsum(counts), np.cumsum(counts * centres)
    above, total = below[-1] - below, sums[-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (total - sums) / above) ** 2
    return float(edges[1 + int(np.nanargmax(between[:-1]))])


def _is_dark(image: Backscatter) -> np.ndarray:
    # In amplitude, as the picture was made for: in decibels noise in the shadows rules.
    amplitude = 10 ** (image.array[image.co_polarised] / 20)
    return np.nan_to_num(amplitude, nan=np.inf) < threshold(amplitude[np.isfinite(amplitude)])
