"""A small convolutional network, trained on the labels of the task alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmark.baselines.features import levelled, pixel_side, resized
from benchmark.baselines.training import TrainingPlan, train_classifier
from benchmark.datasets.base import LabelledImages, LabelledMasks
from benchmark.datasets.detection import Found, LabelledBoxes
from benchmark.suite.base import MethodInputs
from corpus.geotiff.backscatter import Backscatter

_SIDE, _LARGE = 64, 128
_SCALE_DB = 10.0
_WIDTHS = (24, 48, 96, 96)
PLAN = TrainingPlan(epochs=20, batch=32, learning_rate=3e-3)


class SmallCnn:
    """Four strided convolution blocks, mean and maximum, one linear layer: 0.15 million parameters."""

    about = "a supervised CNN or U-Net of 0.15 million parameters, from nothing"

    def open(self, inputs: MethodInputs) -> SmallCnn:
        """Itself."""
        return self

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """Softmax of the network after its last epoch."""
        import torch

        def pictures(images: Sequence[Backscatter]) -> torch.Tensor:
            return torch.from_numpy(resized(images, _SIDE)[:, None] / _SCALE_DB)

        return train_classifier(
            lambda: network(classes), pictures(train.images), train.labels, pictures(test), PLAN, seed
        )

    def segment(
        self, train: LabelledMasks, test: Sequence[tuple[Backscatter, ...]], classes: int, seed: int
    ) -> list[np.ndarray]:
        """A U-Net of the same blocks, whose head joins the maps of all of them."""
        from benchmark.baselines.pixel_head import segment_with

        return segment_with(_UNet(), train, test, classes, seed, frozen=False)

    def detect(self, train: LabelledBoxes, test: Sequence[Backscatter], classes: int, seed: int) -> list[Found]:
        """The same blocks with new weights under the head that finds objects."""
        from benchmark.baselines.detection_training import detect_with

        return detect_with(_Searcher(), train, test, classes, seed, frozen=False)


class _UNet:
    """The network's blocks with new weights, and a light head on them."""

    tunable = True

    def pixel_images(self, views: Sequence[tuple[Backscatter, ...]]) -> Any:
        """float32 [N, 1, views, bands, S, S]; S is 128, and 64 of smaller images."""
        import torch

        side = pixel_side(views)
        places = [np.stack([levelled(view, side) for view in place])[None] / _SCALE_DB for place in views]
        return torch.from_numpy(np.stack(places))

    def pixel_maps(self, channels: int, *, frozen: bool) -> tuple[Any, tuple[int, ...]]:
        """The blocks with new weights."""
        from benchmark.baselines.vision_maps import PlainMaps

        return PlainMaps(channels, _WIDTHS), _WIDTHS


class _Searcher:
    """The network's blocks with new weights, for windows of 128 x 128 pixels."""

    map_side = _LARGE
    tunable = True

    def map_images(self, windows: Sequence[Backscatter]) -> Any:
        """float32 [N, 1, 128, 128]."""
        import torch

        return torch.from_numpy(resized(windows, _LARGE)[:, None] / _SCALE_DB)

    def map_network(self) -> tuple[Any, tuple[int, ...]]:
        """The blocks."""
        from benchmark.baselines.vision_maps import PlainMaps

        return PlainMaps(1, _WIDTHS), _WIDTHS


def network(classes: int) -> Any:
    """The network with new weights: [B, 1, 64, 64] to logits [B, classes]."""
    import torch
    from torch import nn

    class Pooled(nn.Module):
        """Features [B, C, H, W] to their mean and maximum [B, 2 C]."""

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1)

    layers: list[nn.Module] = []
    width = 1
    for out in _WIDTHS:
        layers += [nn.Conv2d(width, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        width = out
    return nn.Sequential(*layers, Pooled(), nn.Dropout(0.2), nn.Linear(2 * width, classes))
