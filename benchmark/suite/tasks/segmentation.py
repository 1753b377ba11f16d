"""A class for every pixel: the protocol of two tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from benchmark.datasets.base import Segmentation
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.group_bootstrap import Estimate
from benchmark.metrics.segmentation import confusion, segmentation_scores
from benchmark.suite.base import ImageSegmenter, Outcome, PixelEncoder, Setting

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "light_head": Setting("encoder frozen, a light head on its feature maps and the picture", True, True),
        "all_labels": Setting(
            "the method learns from all masks by itself; of an encoder: fine-tuned with the head", True, True
        ),
    }
)


@dataclass(frozen=True)
class SegmentationTask:
    """Judges by IoU of each class and its mean, pixel accuracy and calibration error of the pixels."""

    about: str
    data_sets: tuple[str, ...]
    settings: Mapping[str, Setting] = field(default_factory=lambda: SETTINGS)

    def applies(self, setting: str, method: Any) -> bool:
        """A light head needs feature maps; an encoder that has them can be fine-tuned too."""
        if isinstance(method, PixelEncoder):
            return setting == "light_head" or method.tunable
        return setting == "all_labels" and isinstance(method, ImageSegmenter)

    def run(self, data: Segmentation, setting: str, method: Any, seed: int) -> Outcome:
        """Judge on the test places."""
        classes = len(data.classes)
        views = [*data.test.views, *data.test_again]
        if isinstance(method, PixelEncoder):
            from benchmark.baselines.pixel_head import segment_with

            every = segment_with(method, data.train, views, classes, seed, frozen=setting == "light_head")
        else:
            every = method.segment(data.train, views, classes, seed)
        said, again = every[: len(data.test)], every[len(data.test) :]
        guess = [each.argmax(axis=0) for each in said]
        scores = _scores(data, guess)
        if again:
            headline, score = next(iter(_scores(data, [each.argmax(axis=0) for each in again]).items()))
            scores[f"{headline}_other_speckle"] = score
        judged = [mask < classes for mask in data.test.masks]
        confidence = np.concatenate([each.max(0)[use] for each, use in zip(said, judged, strict=True)])
        right = np.concatenate([(g == m)[u] for g, m, u in zip(guess, data.test.masks, judged, strict=True)])
        return Outcome({**scores, "ece": Estimate(expected_calibration_error(np.clip(confidence, 0, 1), right))})


def _scores(data: Segmentation, guess: Sequence[np.ndarray]) -> dict[str, Estimate]:
    """Scores of classes [H, W] of the test places."""
    counts = np.stack([confusion(*pair, len(data.classes)) for pair in zip(data.test.masks, guess, strict=True)])
    return dict(segmentation_scores(counts, data.classes, data.test.groups, data.positive))
