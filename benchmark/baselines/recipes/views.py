"""Random changes of training tiles: other turns, another part, another calibration, other speckle, one polarisation."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.baselines.recipes.config import ViewConfig
from corpus.geotiff.model_input import CLIP, SCALE_DB

_UNIT_DB = SCALE_DB["co"]
SYMMETRIES = 8


def changed(images: Tensor, config: ViewConfig, symmetries: Tensor | None = None) -> Tensor:
    """Tiles as one view of each shows them. Draws come from torch's global generator.

    Args:
        images: float [B, channels, S, S] in the units of the input convention.
        config: what is changed.
        symmetries: int64 [B], of `turned`; None: not turned.

    Returns:
        float32 [B, channels, S, S].
    """
    images = images.float()
    if config.smallest_side_share < 1:
        images = _parts(images, config.smallest_side_share)
    count, channels = images.shape[:2]
    if channels == 2 and config.drop_polarisation_share:
        dropped = torch.rand(count) < config.drop_polarisation_share
        shown = torch.randint(2, (count,))
        alone = images[torch.arange(count), shown][:, None].expand_as(images)
        images = torch.where(dropped[:, None, None, None], alone, images)
    else:
        dropped = torch.zeros(count, dtype=torch.bool)
    if config.speckle_db:
        deviation = torch.rand(count, 1, 1, 1) * config.speckle_db / _UNIT_DB
        noise = torch.randn(images.shape)
        # The same polarisation in both channels has the same speckle.
        noise = torch.where(dropped[:, None, None, None], noise[:, :1].expand_as(noise), noise)
        images = images + deviation * noise
    if config.gain_db:
        images = images + torch.randn(count, 1, 1, 1) * config.gain_db / _UNIT_DB
    if symmetries is not None:
        images = turned(images, symmetries)
    return images.clamp(*CLIP)


def drawn_symmetries(count: int, config: ViewConfig, allowed: bool) -> Tensor:
    """One of the eight symmetries of the square for each tile, int64 [count]; 0 where turning is not allowed."""
    if not (allowed and config.turns):
        return torch.zeros(count, dtype=torch.int64)
    return torch.randint(SYMMETRIES, (count,))


def turned(images: Tensor, symmetries: Tensor) -> Tensor:
    """Each tile [C, S, S] turned by `symmetry` % 4 quarters, and mirrored from 4 on, as the loop's training does."""
    parts = []
    for image, symmetry in zip(images, symmetries.tolist(), strict=True):
        each = torch.rot90(image, symmetry % 4, (-2, -1))
        parts.append(each.flip(-1) if symmetry >= 4 else each)
    return torch.stack(parts)


def _parts(images: Tensor, smallest: float) -> Tensor:
    """A random square part of each tile, interpolated to the tile's size."""
    count = len(images)
    share = smallest + (1 - smallest) * torch.rand(count)
    shift = (2 * torch.rand(count, 2) - 1) * (1 - share)[:, None]
    frame = torch.zeros(count, 2, 3)
    frame[:, 0, 0] = frame[:, 1, 1] = share
    frame[:, :, 2] = shift
    grid = F.affine_grid(frame, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
