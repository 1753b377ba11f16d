"""The tokens of somebody's network as a feature map, never trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class TokenMap(nn.Module):
    """A network that is asked and never trained.

    Args:
        grid: from images [B, channels, S, S] to a list of one map [B, D, h, w].
    """

    def __init__(self, grid: Callable[[Tensor], list[Tensor]]) -> None:
        super().__init__()
        self.grid = grid

    def widths(self, channels: int, side: int) -> tuple[int, ...]:
        """Channels of the map."""
        return tuple(each.shape[1] for each in self(torch.zeros(1, channels, side, side)))

    def forward(self, images: Tensor) -> list[Tensor]:
        """Images to their map."""
        with torch.no_grad():
            return [each.float() for each in self.grid(images)]
