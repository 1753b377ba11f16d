"""A box round every object: the protocol of three tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from benchmark.datasets.detection import Detection, Found, ReadWhenAsked
from benchmark.metrics.detection import best_threshold, detection_scores
from benchmark.suite.base import MapEncoder, ObjectDetector, Outcome, Setting
from corpus.geotiff.backscatter import Backscatter

SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "light_head": Setting("encoder frozen, a light head on its feature maps", True, True),
        "all_labels": Setting("the method learns from all boxes; of an encoder: fine-tuned with the head", True, True),
    }
)
_COUNTED = 60  # training images at most, on which the threshold of counts is chosen


@dataclass(frozen=True)
class DetectionTask:
    """Judges by COCO's average precision, by AP50 whatever the class, and by the error of counts.

    A count is the number of boxes from a score upward. The score is the one that counts training images best.
    """

    about: str
    data_sets: tuple[str, ...]
    settings: Mapping[str, Setting] = field(default_factory=lambda: SETTINGS)

    def applies(self, setting: str, method: Any) -> bool:
        """A light head needs feature maps; an encoder that has them may be fine-tuned too."""
        if isinstance(method, MapEncoder):
            return setting == "light_head" or method.tunable
        return setting == "all_labels" and isinstance(method, ObjectDetector)

    def run(self, data: Detection, setting: str, method: Any, seed: int) -> Outcome:
        """Judge on the test images."""
        again, counted = data.test_again, data.train.spread(_COUNTED)
        parts = [data.test, counted] if again is None else [data.test, counted, again]
        found = _detect(method, data, [part.images for part in parts], setting, seed)
        threshold = best_threshold(counted, found[1])
        scores = detection_scores(data.test, found[0], data.classes, threshold)
        if again is not None:
            under = detection_scores(again, found[2], data.classes, threshold)
            scores |= {f"{name}_other_speckle": under[name] for name in ("ap", "ap50")}
        return Outcome(scores)


def _detect(
    method: Any, data: Detection, parts: Sequence[Sequence[Backscatter]], setting: str, seed: int
) -> list[list[Found]]:
    """What is found in the images of each part, by a method that has learned once."""
    images = ReadWhenAsked([partial(part.__getitem__, row) for part in parts for row in range(len(part))])
    if isinstance(method, MapEncoder):
        from benchmark.baselines.detection_training import detect_with

        frozen = setting == "light_head"
        found = detect_with(method, data.train, images, len(data.classes), seed, frozen=frozen)
    else:
        found = method.detect(data.train, images, len(data.classes), seed)
    ends = np.cumsum([len(part) for part in parts]).tolist()
    return [found[end - len(part) : end] for end, part in zip(ends, parts, strict=True)]
