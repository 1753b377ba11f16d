"""A vision tower of ours, however it was trained: how images come to it, its features, fine-tuning, a head on it."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.baselines.training import TrainingPlan, train_classifier
from benchmark.datasets.base import LabelledImages
from corpus.geotiff.backscatter import Backscatter, resample_power
from corpus.geotiff.model_input import to_model_image

if TYPE_CHECKING:
    import torch
    from torch import nn

    from model.vision import VisionTower

_BATCH, _CELLS = 64, 16
FINE_TUNING = TrainingPlan(epochs=15, batch=32, learning_rate=1e-3)


class OpenedTower:
    """A tower and how images come to it.

    An image without georeference is seen whole, resampled to the tower's square. Its level is its own median unless
    it is calibrated, and a lone band fills both channels (docs/input.md). Its contrast stays as it is.

    Args:
        vision: the tower, in evaluation mode.
        summary: whether its summary was trained too; if not, it is no feature.
    """

    tunable = True

    def __init__(self, vision: VisionTower, *, summary: bool = True) -> None:
        self.vision, self._summary = vision, summary

    @property
    def map_side(self) -> int:
        """Pixels along a side of the tower's images."""
        return self.vision.config.image_size_px

    def images_of(self, images: Sequence[Backscatter]) -> torch.Tensor:
        """float32 [N, 2, S, S] as the encoder sees them."""
        import torch

        return torch.from_numpy(np.stack([as_model_image(image, self.map_side) for image in images]).astype(np.float32))

    def tokens(self, images: Sequence[Backscatter]) -> torch.Tensor:
        """float32 [N, grid * grid, width]."""
        import torch

        with torch.no_grad():
            return torch.cat(
                [self.vision(self.images_of(images[start : start + _BATCH])) for start in range(0, len(images), _BATCH)]
            )

    def embed(self, images: Sequence[Backscatter]) -> np.ndarray:
        """float32 [N, D]: the stem's finest map in 16 x 16 cells, mean and maximum of the tokens, and the summary.

        What a target looks like in detail is gone in the tokens: on MSTAR's training chips, the nearest neighbour by
        the finest map was right in .79, by the tokens in .49 and by the summary in .30.
        """
        import torch
        from torch.nn import functional as F

        from benchmark.baselines.vision_maps import VisionMaps

        maps = VisionMaps(self.vision).eval()
        rows = []
        with torch.no_grad():
            for start in range(0, len(images), _BATCH):
                found = maps(self.images_of(images[start : start + _BATCH]))
                tokens = found[-1].flatten(2).transpose(1, 2)
                cells = F.adaptive_avg_pool2d(found[0], _CELLS).flatten(1)
                parts = [cells, tokens.mean(1), tokens.amax(1)]
                if self._summary:
                    parts.append(self.vision.summary(tokens))
                rows.append(torch.cat(parts, dim=1))
        return torch.cat(rows).numpy()

    def classify(self, train: LabelledImages, test: Sequence[Backscatter], classes: int, seed: int) -> np.ndarray:
        """Fine-tune the vision tower with a linear layer on its summary, and say what it makes of the test images."""
        from benchmark.baselines.vision_maps import TowerClassifier

        return train_classifier(
            lambda: TowerClassifier(copy.deepcopy(self.vision), classes),
            self.images_of(train.images),
            train.labels,
            self.images_of(test),
            FINE_TUNING,
            seed,
        )

    def pixel_images(self, views: Sequence[tuple[Backscatter, ...]]) -> torch.Tensor:
        """float32 [N, parts, views, 2, S, S]: each place in as many parts as its pixels fill."""
        import torch

        return torch.from_numpy(parts_of(views, self.map_side))

    def pixel_maps(self, channels: int, *, frozen: bool) -> tuple[nn.Module, tuple[int, ...]]:
        """As `map_network`."""
        return self.map_network()

    def map_images(self, windows: Sequence[Backscatter]) -> torch.Tensor:
        """As `images_of`."""
        return self.images_of(windows)

    def map_network(self) -> tuple[nn.Module, tuple[int, ...]]:
        """The maps of the stem, each time its resolution halves, and the tokens."""
        from benchmark.baselines.vision_maps import VisionMaps

        backbone = VisionMaps(copy.deepcopy(self.vision))
        return backbone, backbone.widths


def parts_of(places: Sequence[tuple[Backscatter, ...]], size: int) -> np.ndarray:
    """float32 [N, parts, views, 2, size, size]: each place, at its own level, in as many parts as its pixels fill."""
    from benchmark.baselines.pixel_head import parts_along, split_parts

    side = min(parts_along(views[0].array.shape[1:], size) for views in places)
    found = [np.stack([split_parts(as_model_image(view, side * size), side) for view in views], 1) for views in places]
    return np.stack(found).astype(np.float32)


def as_model_image(image: Backscatter, size: int) -> np.ndarray:
    """A raster of any size and aspect as one image, float16 [2, size, size], at its own level unless calibrated."""
    reference_db, _ = image.references()
    array = image.array if image.array.shape[1:] == (size, size) else resample_power(image.array, size)
    return to_model_image(array, image.polarisations, reference_db)
