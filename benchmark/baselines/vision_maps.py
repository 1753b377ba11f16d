"""Feature maps of networks, from fine to coarse, for a head that reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from model.vision import ConvolutionStem, VisionTower


class VisionMaps(nn.Module):
    """Maps of a vision tower: its stem's each time the resolution falls, and the tokens as the coarsest.

    Attributes:
        widths: channels of each map.
    """

    def __init__(self, tower: VisionTower) -> None:
        super().__init__()
        self.tower = tower
        config = tower.config
        fine = config.stem_channels[:-1] if isinstance(tower.stem, ConvolutionStem) else ()
        self.widths = (*fine, config.width)

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, channels, S, S] to maps of falling size."""
        maps: list[Tensor] = []
        if isinstance(self.tower.stem, ConvolutionStem):
            x, before = images.contiguous(memory_format=torch.channels_last), None
            for layer in self.tower.stem.layers:
                if isinstance(layer, nn.Conv2d) and layer.stride != (1, 1) and before is not None:
                    maps.append(x)
                before = x = layer(x)
        tokens = self.tower(images)
        side = self.tower.config.grid
        return [*maps, tokens.transpose(1, 2).unflatten(2, (side, side))]


class TowerClassifier(nn.Module):
    """A vision tower with a new linear layer on its summary: images [B, channels, S, S] to logits [B, classes].

    Args:
        tower: keeps its weights.
        classes: number of classes.
    """

    def __init__(self, tower: VisionTower, classes: int) -> None:
        super().__init__()
        self.tower, self.head = tower, nn.Linear(tower.summary.width, classes)

    def forward(self, images: Tensor) -> Tensor:
        """Images to logits."""
        return self.head(self.tower.summary(self.tower(images)))


class PlainMaps(nn.Module):
    """Strided convolution blocks with new weights, and the map of each.

    Args:
        channels: of the images.
        widths: channels of each block's map.
    """

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        for out in widths:
            self.blocks.append(
                nn.Sequential(nn.Conv2d(channels, out, 3, 2, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())
            )
            channels = out

    def forward(self, images: Tensor) -> list[Tensor]:
        """[B, channels, S, S] to maps of falling size."""
        maps = []
        for block in self.blocks:
            images = block(images)
            maps.append(images)
        return maps
