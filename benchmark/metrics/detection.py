"""COCO's average precision with intervals, and how far a count of objects is off.

pycocotools matches found boxes with true ones. It cannot weigh images, which a bootstrap has to, so its last step
stands here once more: with every image counting once it gives what pycocotools gives (a test compares them).
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from benchmark.datasets.detection import Found, LabelledBoxes
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.box_overlap import suppressed
from benchmark.metrics.group_bootstrap import Estimate, estimate, mean_estimate

THRESHOLDS: Final = np.linspace(0.5, 0.95, 10)
"""Intersections over union from which a found box is right."""
RECALLS: Final = np.linspace(0, 1, 101)
AREAS: Final[Mapping[str, tuple[float, float]]] = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
"""Sizes of true objects in square pixels."""
MOST_AN_IMAGE: Final = 100
"""Found boxes of an image and class that are looked at, the surest first."""

_SLACK = 0.05  # of the objects that may be miscounted beyond the best threshold


@dataclass(frozen=True)
class Matches:
    """Found boxes of one class and size, the surest first.

    Attributes:
        image: int [D], the image of each.
        right: bool [thresholds, D].
        wrong: bool [thresholds, D]; one that is neither is not judged.
        objects: int [N], true objects of each image.
        scores: float [D], the higher the surer.
    """

    image: np.ndarray
    right: np.ndarray
    wrong: np.ndarray
    objects: np.ndarray
    scores: np.ndarray

    def average_precision(self, weights: np.ndarray) -> np.ndarray:
        """float64 [thresholds] where each image counts so often; NaN without any true object.

        Args:
            weights: float64 [N].
        """
        total = float(weights @ self.objects)
        if total <= 0:
            return np.full(len(THRESHOLDS), np.nan)
        each = weights[self.image]
        right, wrong = np.cumsum(self.right * each, axis=1), np.cumsum(self.wrong * each, axis=1)
        recall = right / total
        precision = right / np.maximum(right + wrong, np.spacing(1))
        # The best precision at this recall or a higher one; 0 where no recall is so high.
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.concatenate([best, np.zeros((len(best), 1))], axis=1)
        at = [np.searchsorted(row, RECALLS, side="left") for row in recall]
        return np.array([row[index].mean() for row, index in zip(best, at, strict=True)])


def detection_scores(
    truth: LabelledBoxes, found: Sequence[Found], classes: Sequence[str], threshold: float
) -> dict[str, Estimate]:
    """AP, AP50, AP75, AP by size, AP50 whatever the class, the mean absolute error of counts, and calibration error.

    The calibration error is that of all found boxes, once a place: score beside share of right ones at an IoU of .5,
    whatever the class.

    Args:
        truth: what is there.
        found: of each of its images what was found.
        classes: names.
        threshold: score from which a found box counts as an object.
    """
    by_class = matched(truth, found, len(classes))
    found = [once_a_place(each) for each in found]
    [anything] = matched(truth, found, 1)["all"]
    scores = {
        "ap": _mean_ap(by_class["all"], slice(None), truth.groups),
        "ap50": _mean_ap(by_class["all"], slice(0, 1), truth.groups),
        "ap75": _mean_ap(by_class["all"], slice(5, 6), truth.groups),
        "ap50_any_class": _mean_ap([anything], slice(0, 1), truth.groups),
    }
    for size in ("small", "medium", "large"):
        if any(each.objects.any() for each in by_class[size]):
            scores[f"ap_{size}"] = _mean_ap(by_class[size], slice(None), truth.groups)
    scores["count_mae"] = mean_estimate(count_errors(truth, found, threshold), truth.groups)
    judged = anything.right[0] | anything.wrong[0]
    if judged.any():
        confidence = np.clip(anything.scores[judged], 0, 1)
        scores["ece"] = Estimate(expected_calibration_error(confidence, anything.right[0][judged]))
    return scores


def once_a_place(found: Found) -> Found:
    """What was found, without boxes that overlap a surer one of any class: an object of unsure class is one object."""
    return found.take(suppressed(found.boxes, found.scores, np.zeros_like(found.labels)))


def count_errors(truth: LabelledBoxes, found: Sequence[Found], threshold: float) -> np.ndarray:
    """float64 [N]: found boxes from a score upward less the true ones of each image, without sign."""
    said = np.array([(each.scores >= threshold).sum() for each in found])
    return np.abs(said - np.array([len(boxes) for boxes in truth.boxes])).astype(np.float64)


def best_threshold(truth: LabelledBoxes, found: Sequence[Found]) -> float:
    """The lowest score from which found boxes number nearly as many as there are, as well as any score can say.

    Nearly: an object in twenty more is miscounted than at the best score. It is chosen on images that the detector
    learned from, and unseen objects score lower: at the best score itself, one sure mistake would hide them all.
    """
    found = [once_a_place(each) for each in found]
    scores = np.unique(np.concatenate([each.scores for each in found]))
    edges = np.concatenate([scores[:1], np.nextafter(scores, np.inf)])
    if not len(edges):
        return 0.0
    errors = np.zeros(len(edges))
    for each, boxes in zip(found, truth.boxes, strict=True):
        said = len(each) - np.searchsorted(np.sort(each.scores), edges)
        errors += np.abs(said - len(boxes))
    enough = errors.min() + _SLACK * sum(len(boxes) for boxes in truth.boxes)
    return float(edges[np.flatnonzero(errors <= enough)[0]])


def matched(truth: LabelledBoxes, found: Sequence[Found], classes: int) -> dict[str, list[Matches]]:
    """Size -> what each class's found boxes are worth; of a single class, labels are not looked at."""
    judge = _judged(truth, found, classes)
    count, sizes = len(truth), list(AREAS)
    result: dict[str, list[Matches]] = {}
    for size in sizes:
        result[size] = []
        for label in range(classes):
            start = (label * len(sizes) + sizes.index(size)) * count
            result[size].append(_one(judge[start : start + count], count))
    return result


def _one(images: Sequence[dict[str, Any] | None], count: int) -> Matches:
    objects = np.zeros(count)
    parts = []
    for index, each in enumerate(images):
        if each is not None:
            objects[index] = np.count_nonzero(~np.asarray(each["gtIgnore"], bool))
            hit, ignored = each["dtMatches"] > 0, np.asarray(each["dtIgnore"], bool)
            parts.append((np.full(hit.shape[1], index), each["dtScores"], hit & ~ignored, ~hit & ~ignored))
    if not parts:
        empty = np.zeros((len(THRESHOLDS), 0), bool)
        return Matches(np.zeros(0, np.int64), empty, empty, objects, np.zeros(0))
    image, scores, right, wrong = (np.concatenate(each, axis=-1) for each in zip(*parts, strict=True))
    order = np.argsort(-scores, kind="mergesort")
    return Matches(image[order].astype(np.int64), right[:, order], wrong[:, order], objects, scores[order])


def _judged(truth: LabelledBoxes, found: Sequence[Found], classes: int) -> list[dict[str, Any] | None]:
    """What pycocotools says of each class, size and image, in this order of loops."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    images = [{"id": index} for index in range(len(truth))]
    categories = [{"id": label} for label in range(classes)]

    def opened(rows: list[dict[str, Any]]) -> Any:
        # A match with an object of id 0 would count as none.
        for number, row in enumerate(rows, start=1):
            row |= {"id": number, "iscrowd": 0}
        api: Any = COCO()
        api.dataset = {"images": images, "categories": categories, "annotations": rows}
        api.createIndex()
        return api

    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        judge: Any = COCOeval(
            opened(_rows(truth.boxes, truth.labels, classes)),
            opened(_rows([f.boxes for f in found], [f.labels for f in found], classes, [f.scores for f in found])),
            "bbox",
        )
        judge.params.iouThrs, judge.params.maxDets = THRESHOLDS, [MOST_AN_IMAGE]
        judge.params.areaRng, judge.params.areaRngLbl = [list(each) for each in AREAS.values()], list(AREAS)
        judge.evaluate()
    return list(judge.evalImgs)


def _rows(
    boxes: Sequence[np.ndarray],
    labels: Sequence[np.ndarray],
    classes: int,
    scores: Sequence[np.ndarray] | None = None,
) -> list[dict[str, Any]]:
    rows = []
    for image, (own, names) in enumerate(zip(boxes, labels, strict=True)):
        for index, (left, top, right, bottom) in enumerate(own.tolist()):
            width, height = right - left, bottom - top
            row = {"image_id": image, "category_id": int(names[index]) if classes > 1 else 0}
            row |= {"bbox": [left, top, width, height], "area": width * height}
            rows.append(row if scores is None else row | {"score": float(scores[image][index])})
    return rows


def _mean_ap(matches: Sequence[Matches], thresholds: slice, groups: Sequence[Hashable]) -> Estimate:
    judged = [each for each in matches if each.objects.any()]

    def mean(weights: np.ndarray) -> float:
        values = np.array([each.average_precision(weights)[thresholds] for each in judged])
        there = values[np.isfinite(values)]
        return float(there.mean()) if there.size else np.nan  # a draw may have no object at all

    return estimate(mean, groups)
