"""Training of a detection head on windows of scenes, and what it finds in scenes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from benchmark.baselines.detection_head import CoarseEnough, DetectionNetwork, decoded, detection_loss, targets
from benchmark.baselines.scene_windows import Cut, boxes_at, cut_for, merged, resampled, windows_at
from benchmark.baselines.training import TrainingPlan, fit
from benchmark.datasets.detection import Found, LabelledBoxes
from corpus.storage.rng import derive_seed

if TYPE_CHECKING:
    from benchmark.suite.base import MapEncoder
    from corpus.geotiff.backscatter import Backscatter

PLAN = TrainingPlan(epochs=6, batch=16, learning_rate=3e-3, shift=0.0, least_steps=450)
MOST_PIXELS = 3000 * 128 * 128
"""Of the windows that are learned from, at most; windows are drawn, and a half of them surround an object."""
_BATCH = 32


def detect_with(
    encoder: MapEncoder,
    train: LabelledBoxes,
    test: Sequence[Backscatter],
    classes: int,
    seed: int,
    *,
    frozen: bool,
) -> list[Found]:
    """Train a head, and the encoder too unless it is frozen; as `ObjectDetector.detect`."""
    cut = cut_for(train, encoder.map_side)
    images, boxes, labels = _training_windows(encoder, train, cut, seed)

    def make() -> nn.Module:
        backbone, widths = encoder.map_network()
        maps = CoarseEnough(backbone, widths, cut.side, images.shape[1])
        return DetectionNetwork(maps, maps.widths, classes, cut.scale * train.typical_side(), frozen=frozen)

    def loss_of(model: nn.Module, rows: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        said = model(seen)
        chosen, cells = rows.tolist(), said[0].shape[-1]
        wanted = targets([boxes[r] for r in chosen], [labels[r] for r in chosen], classes, cells, cut.side / cells)
        return detection_loss(said, wanted)

    network = fit(make, images, loss_of, PLAN, seed)
    return [_found(network, encoder, scene, cut) for scene in test]


def _training_windows(
    encoder: MapEncoder, train: LabelledBoxes, cut: Cut, seed: int
) -> tuple[torch.Tensor, list[np.ndarray], list[np.ndarray]]:
    """Windows as the network takes them, and the boxes and labels in each."""
    chosen = training_places(train, cut, np.random.default_rng(derive_seed(seed, "benchmark windows")))
    images, boxes, labels = [], [], []
    for index, places in chosen.items():
        windows = windows_at(resampled(train.images[index], cut), places, cut.side)
        images.append(encoder.map_images(windows))
        for place in places:
            own, rows = boxes_at(train.boxes[index], place, cut)
            boxes.append(own)
            labels.append(train.labels[index][rows])
    return torch.cat(images), boxes, labels


def training_places(train: LabelledBoxes, cut: Cut, generator: np.random.Generator) -> dict[int, np.ndarray]:
    """Image -> int64 [windows, 2], where windows to learn from begin: all that cover it, and one round each object."""
    covering = [(index, place) for index, shape in enumerate(train.shapes) for place in cut.places(shape)]
    round_objects = []
    for index, (boxes, shape) in enumerate(zip(train.boxes, train.shapes, strict=True)):
        room = np.maximum(np.array(cut.shape(shape)) - cut.side, 0)
        for box in boxes * cut.scale:
            middle = np.array([box[1] + box[3], box[0] + box[2]]) / 2
            start = middle - cut.side * generator.uniform(0.2, 0.8, 2)
            round_objects.append((index, np.clip(np.round(start), 0, room).astype(np.int64)))
    most = MOST_PIXELS // cut.side**2
    drawn: dict[int, list[np.ndarray]] = {}
    for places in (covering, round_objects):
        for number in np.sort(generator.permutation(len(places))[: most // 2]):
            index, place = places[number]
            drawn.setdefault(index, []).append(place)
    return {index: np.stack(drawn[index]) for index in sorted(drawn)}


def _found(network: nn.Module, encoder: MapEncoder, scene: Backscatter, cut: Cut) -> Found:
    shape = (scene.array.shape[1], scene.array.shape[2])
    places, seen = cut.places(shape), resampled(scene, cut)
    parts: list[Found] = []
    with torch.no_grad():
        for start in range(0, len(places), _BATCH):
            windows = windows_at(seen, places[start : start + _BATCH], cut.side)
            parts += decoded(network(encoder.map_images(windows)))
    return merged(parts, places, shape, cut)
