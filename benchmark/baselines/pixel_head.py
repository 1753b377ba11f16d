"""A light head that reads the feature maps of a network, from coarse to fine, and its training on masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.pyramid import WIDTH, Pyramid
from benchmark.baselines.training import TrainingPlan, fit
from benchmark.datasets.base import IGNORED, LabelledMasks

if TYPE_CHECKING:
    from benchmark.suite.base import PixelEncoder
    from corpus.geotiff.backscatter import Backscatter

PLAN = TrainingPlan(epochs=10, batch=16, learning_rate=2e-3, shift=0.0, least_steps=150)


class PixelNetwork(nn.Module):
    """A backbone looks at each view; a head joins the maps of all views from the coarsest to the finest.

    Args:
        backbone: from [B, channels, S, S] to feature maps of falling size.
        widths: channels of those maps.
        views: rasters of a place.
        classes: of a pixel.
        frozen: whether the backbone keeps its weights.
    """

    def __init__(
        self,
        backbone: Callable[[Tensor], list[Tensor]],
        widths: Sequence[int],
        views: int,
        classes: int,
        *,
        frozen: bool,
    ) -> None:
        super().__init__()
        self.backbone, self.frozen = backbone, frozen
        self.pyramid = Pyramid([width * views for width in widths])
        self.classes = nn.Conv2d(WIDTH, classes, 1)

    def train(self, mode: bool = True) -> PixelNetwork:
        """As of every module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen and isinstance(self.backbone, nn.Module):
            self.backbone.eval()
        return self

    def forward(self, places: Tensor) -> Tensor:
        """[B, views, channels, S, S] to logits [B, classes, S, S]."""
        batch, views = places.shape[:2]
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.backbone(places.flatten(0, 1))
        x = self.pyramid([each.unflatten(0, (batch, views)).flatten(1, 2) for each in maps])
        return F.interpolate(self.classes(x), size=places.shape[-2:], mode="bilinear", align_corners=False)


def segment_with(
    encoder: PixelEncoder,
    train: LabelledMasks,
    test: Sequence[tuple[Backscatter, ...]],
    classes: int,
    seed: int,
    *,
    frozen: bool,
) -> list[np.ndarray]:
    """Train a head, and the encoder too unless it is frozen; as `ImageSegmenter.segment`."""
    images, masks = encoder.pixel_images(train.views), train.masks
    parts, size = images.shape[1], images.shape[-1]
    target = torch.from_numpy(np.stack([_cut(mask, parts, size) for mask in masks]).astype(np.int64)).flatten(0, 1)
    network = fit(
        lambda: encoder.pixel_network(images.shape[2], images.shape[3], classes, frozen=frozen),
        images.flatten(0, 1),
        lambda model, rows, seen: F.cross_entropy(model(seen), target[rows], ignore_index=IGNORED),
        PLAN,
        seed,
    )
    return [_said(network, encoder.pixel_images([views])[0], views[0].array.shape[1:]) for views in test]


def _said(network: nn.Module, parts: Tensor, shape: Sequence[int]) -> np.ndarray:
    """Probabilities float32 [classes, H, W] of a place from its parts, row by row."""
    side = int(len(parts) ** 0.5)
    with torch.no_grad():
        logits = network(parts)
    whole = torch.cat([torch.cat(list(row), dim=2) for row in logits.unflatten(0, (side, side))], dim=1)
    return F.interpolate(whole[None], size=tuple(shape), mode="bilinear", align_corners=False)[0].softmax(0).numpy()


def parts_along(shape: Sequence[int], size: int) -> int:
    """Parts along a side in which a raster of [H, W] is looked at by a network of `size` pixels."""
    return max(1, round(min(shape) / size))


def _cut(mask: np.ndarray, parts: int, size: int) -> np.ndarray:
    """A mask [H, W] as uint8 [parts, size, size], the nearest pixel of each, as images are cut."""
    side = int(parts**0.5)
    rows, columns = (
        np.minimum((np.arange(side * size) + 0.5) * n / (side * size), n - 1).astype(int) for n in mask.shape
    )
    return split_parts(mask[np.ix_(rows, columns)][None], side)[:, 0]


def split_parts(array: np.ndarray, side: int) -> np.ndarray:
    """[C, side * S, side * S] to [side * side, C, S, S], row by row."""
    channels, height, width = array.shape
    cells = array.reshape(channels, side, height // side, side, width // side)
    return cells.transpose(1, 3, 0, 2, 4).reshape(side * side, channels, height // side, width // side)
