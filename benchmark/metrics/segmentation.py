"""Scores of pixel classes from one confusion matrix an image, so that images can be drawn anew for intervals."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np

from benchmark.metrics.group_bootstrap import Estimate, estimate


def confusion(truth: np.ndarray, guess: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes]: how many pixels of class i (row) were called j (column); others are not counted.

    Args:
        truth: uint8, any shape; a value of `classes` and above is ignored.
        guess: integers of the same shape, below `classes`.
        classes: number of classes.
    """
    judged = truth < classes
    pairs = truth[judged].astype(np.int64) * classes + guess[judged]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


def iou(counts: np.ndarray) -> np.ndarray:
    """Intersection over union float64 [classes] of a confusion matrix; NaN of a class that is in neither."""
    hit = np.diagonal(counts).astype(np.float64)
    union = counts.sum(0) + counts.sum(1) - hit
    return np.divide(hit, union, out=np.full(len(hit), np.nan), where=union > 0)


def segmentation_scores(
    counts: np.ndarray, classes: Sequence[str], groups: Sequence[Hashable], positive: str = ""
) -> dict[str, Estimate]:
    """IoU of each class, their mean over classes that occur in the truth, and pixel accuracy.

    Args:
        counts: int64 [N, classes, classes], of each image.
        classes: names.
        groups: N names; images of one group are drawn together.
        positive: the class whose IoU stands first; "": the mean does.
    """
    present = [index for index in range(len(classes)) if counts[:, index].sum()]

    def total(weights: np.ndarray) -> np.ndarray:
        return np.tensordot(weights, counts, axes=1)

    found = {
        "mean_iou": estimate(lambda weights: float(np.nanmean(iou(total(weights))[present])), groups),
        "pixel_accuracy": estimate(lambda weights: float(np.trace(total(weights)) / total(weights).sum()), groups),
    }
    for index in present:
        name = f"iou_{classes[index].replace(' ', '_')}"
        found[name] = estimate(lambda weights, index=index: float(iou(total(weights))[index]), groups)
    first = f"iou_{positive}"
    return {first: found[first], **found} if first in found else found
