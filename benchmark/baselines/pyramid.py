"""Feature maps of falling size joined to one of the finest size: what light heads read."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 32
"""Channels of the joined map."""


class Pyramid(nn.Module):
    """Joins maps from the coarsest to the finest.

    Args:
        widths: channels of the maps, from fine to coarse.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.lateral = nn.ModuleList(nn.Conv2d(width, WIDTH, 1) for width in widths)
        self.smooth = nn.ModuleList(
            nn.Sequential(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, bias=False), nn.BatchNorm2d(WIDTH), nn.ReLU())
            for _ in widths
        )

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps [B, width, h, w] of falling size to [B, WIDTH, h, w] of the first one's size."""
        x = torch.zeros(())
        for level in reversed(range(len(maps))):
            own = self.lateral[level](maps[level])
            if level < len(maps) - 1:
                own = own + F.interpolate(x, size=own.shape[-2:], mode="bilinear", align_corners=False)
            x = self.smooth[level](own)
        return x
