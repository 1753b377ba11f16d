"""A light head that reads the feature maps of a network and the picture itself, from coarse to fine, and its training.

The picture is for edges: an encoder's finest map has cells of several pixels. It is the same for all encoders, and has
all bands, of which an encoder may see fewer. What it brings alone says the row of `nearest_pixels`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.features import levelled
from benchmark.baselines.pyramid import WIDTH, Pyramid
from benchmark.baselines.training import TrainingPlan, fit
from benchmark.datasets.base import IGNORED, LabelledMasks

if TYPE_CHECKING:
    from benchmark.suite.base import PixelEncoder
    from corpus.geotiff.backscatter import Backscatter

PLAN = TrainingPlan(epochs=10, batch=16, learning_rate=2e-3, shift=0.0, least_steps=300)
_PICTURE_WIDTH = 16
_SCALE_DB = 10.0


class PixelNetwork(nn.Module):
    """A backbone looks at each view; a head joins the maps of all views, and the picture, from coarse to fine.

    Args:
        backbone: from [B, channels, S, S] to feature maps of falling size; None: the picture is all that is read.
        widths: channels of those maps.
        views: rasters of a place.
        channels: of an image.
        bands: of the pictures of all views together.
        classes: of a pixel.
        frozen: whether the backbone keeps its weights.
    """

    def __init__(
        self,
        backbone: Callable[[Tensor], list[Tensor]] | None,
        widths: Sequence[int],
        *,
        views: int,
        channels: int,
        bands: int,
        classes: int,
        frozen: bool,
    ) -> None:
        super().__init__()
        self.backbone, self.frozen = backbone, frozen
        self.views, self.channels = views, channels
        self.picture = nn.Sequential(
            nn.Conv2d(bands, _PICTURE_WIDTH, 3, 2, 1, bias=False), nn.BatchNorm2d(_PICTURE_WIDTH), nn.ReLU()
        )
        self.pyramid = Pyramid([_PICTURE_WIDTH, *(width * views for width in widths)])
        self.classes = nn.Conv2d(WIDTH, classes, 1)

    def train(self, mode: bool = True) -> PixelNetwork:
        """As of every module; a frozen backbone stays in evaluation mode."""
        super().train(mode)
        if self.frozen and isinstance(self.backbone, nn.Module):
            self.backbone.eval()
        return self

    def forward(self, places: Tensor) -> Tensor:
        """[B, views * channels + bands, S, S], as `stacked` gives them, to logits [B, classes, S, S]."""
        images, pictures = places.split([self.views * self.channels, places.shape[1] - self.views * self.channels], 1)
        maps = [self.picture(pictures)]
        if self.backbone is not None:
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                found = self.backbone(images.unflatten(1, (self.views, self.channels)).flatten(0, 1))
            maps += [each.unflatten(0, (len(places), self.views)).flatten(1, 2) for each in found]
        x = self.pyramid(maps)
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
    images = encoder.pixel_images(train.views)
    _, parts, views, channels, size, _ = images.shape
    places = stacked(images, train.views)
    target = torch.from_numpy(np.stack([_cut(mask, parts, size) for mask in train.masks]).astype(np.int64))
    target = target.flatten(0, 1)

    def make() -> PixelNetwork:
        backbone, widths = encoder.pixel_maps(channels, frozen=frozen)
        bands = places.shape[1] - views * channels
        return PixelNetwork(
            backbone, widths, views=views, channels=channels, bands=bands, classes=classes, frozen=frozen
        )

    def loss_of(model: nn.Module, rows: Tensor, seen: Tensor) -> Tensor:
        turn = int(torch.randint(8, ()))
        return F.cross_entropy(model(turned(seen, turn)), turned(target[rows], turn), ignore_index=IGNORED)

    network = fit(make, places, loss_of, PLAN, seed)
    return [_said(network, stacked(encoder.pixel_images([own]), [own]), own[0].array.shape[1:]) for own in test]


def stacked(images: Tensor, places: Sequence[tuple[Backscatter, ...]]) -> Tensor:
    """Images as an encoder takes them and, behind them, the pictures: float32 [N * parts, C, S, S].

    Args:
        images: float32 [N, parts, views, channels, S, S].
        places: the same N places.
    """
    parts, size = images.shape[1], images.shape[-1]
    side = int(parts**0.5)
    pictures = np.stack(
        [split_parts(np.concatenate([levelled(view, side * size) for view in views]), side) for views in places]
    )
    flat = torch.from_numpy(pictures.astype(np.float32) / _SCALE_DB).flatten(0, 1)
    return torch.cat([images.flatten(0, 1).flatten(1, 2), flat], dim=1)


def turned(x: Tensor, turn: int) -> Tensor:
    """[..., S, S] turned by quarters and mirrored, in one of eight ways."""
    return torch.rot90(x.flip(-1) if turn >= 4 else x, turn % 4, (-2, -1))


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
