"""Overlap of boxes, and the suppression of those that say what a surer one says already."""

from __future__ import annotations

import numpy as np


def overlap(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union float64 [M, N] of boxes float [M, 4] and [N, 4]: left, top, right, bottom."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    areas = [np.clip(boxes[:, 2:] - boxes[:, :2], 0, None).prod(axis=1) for boxes in (first, second)]
    union = areas[0][:, None] + areas[1][None] - shared
    return np.divide(shared, union, out=np.zeros_like(shared, dtype=np.float64), where=union > 0)


def suppressed(boxes: np.ndarray, scores: np.ndarray, labels: np.ndarray, most_overlap: float = 0.5) -> np.ndarray:
    """Rows int64 that stay, the surest first: none overlaps a surer one of its class by more than `most_overlap`.

    Args:
        boxes: float [N, 4]: left, top, right, bottom.
        scores: float [N].
        labels: int [N].
        most_overlap: intersection over union.
    """
    waiting = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(int(best))
        same = labels[rest] == labels[best]
        waiting = rest[~(same & (overlap(boxes[best][None], boxes[rest])[0] > most_overlap))]
    return np.array(kept, np.int64)
