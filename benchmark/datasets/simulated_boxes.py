"""Boxes of ships and of aircraft in the benchmark's own simulated scenes: exact truth, cities held out to test on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmark.datasets.base import DATA_SETS, DataSetError
from benchmark.datasets.detection import Detection, LabelledBoxes, ReadWhenAsked
from benchmark.datasets.simulated import read_scenes, simulated, split_note

_LEAST_PX = 2.0  # along a side of a box: nothing is smaller than what the sensor resolves


def read_boxes(folder: Path, category: str) -> Detection:
    """Scenes with a box round every target of one category; those without one are there too.

    Raises:
        DataSetError: the scenes are damaged, or a split has no such target.
    """
    scenes = read_scenes(folder)
    train, test, apart = scenes.split()

    def part(rows: Sequence[int], name: str, *, again: bool = False) -> LabelledBoxes:
        shape = scenes.cover.shape[1:]
        boxes = [target_boxes(scenes.rows[row], category, shape[0]) for row in rows]
        if not any(len(own) for own in boxes):
            raise DataSetError(
                f"The {name} scenes in {folder} have no {category}. Remove the folder: it is made again."
            )
        images = ReadWhenAsked([partial(scenes.image, row, again=again) for row in rows])
        labels = [np.zeros(len(own), np.int64) for own in boxes]
        return LabelledBoxes(images, [shape] * len(rows), boxes, labels, [scenes.rows[row]["city"] for row in rows])

    parts = part(train, "training"), part(test, "test")
    return Detection((category,), *parts, split_note(apart), part(test, "test", again=True))


def target_boxes(row: Mapping[str, Any], category: str, side: int) -> np.ndarray:
    """float64 [n, 4] in pixels, clipped to the scene: the upright boxes round a scene's targets of one category.

    Args:
        row: of `Scenes.rows`.
        category: "ship" or "aircraft".
        side: of the scene in pixels.
    """
    boxes = []
    for target in row["targets"]:
        if target["category"] == category:
            heading = np.deg2rad(target["heading_deg"])
            along, aside = abs(np.cos(heading)), abs(np.sin(heading))
            length, width = target["length_m"] / row["gsd_m"], target["width_m"] / row["gsd_m"]
            across, down = length * aside + width * along, length * along + width * aside
            # Positions are those of pixels' middles.
            middle = np.array([target["col"], target["row"]]) + 0.5
            half = np.maximum([across, down], _LEAST_PX) / 2
            boxes.append(np.clip(np.concatenate([middle - half, middle + half]), 0, side))
    return np.array(boxes, np.float64).reshape(-1, 4)


DATA_SETS.add("simulated_ships", simulated(partial(read_boxes, category="ship")))
DATA_SETS.add("simulated_aircraft", simulated(partial(read_boxes, category="aircraft")))
