"""Prediction of what is hidden of a tile, whatever is predicted: the part that MAE and SAR-JEPA share.

A cell is the square of pixels of one token. The tower is convolutional or has a convolutional stem, so hidden cells
cannot be left out as MAE does with patches: they show a learned value instead, and a light decoder reads the tokens, as
in SimMIM (Xie et al., CVPR 2022).
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from benchmark.baselines.recipes.base import Material, TrainedRecipe
from benchmark.baselines.recipes.config import MaskedConfig
from benchmark.baselines.recipes.views import changed, drawn_symmetries
from benchmark.baselines.vision_tower import OpenedTower
from model.config import VisionConfig
from model.encoder import initialise
from model.vision import VisionTower

_BATCH = 64


class MaskedNetwork(nn.Module):
    """A tower, the value of hidden pixels, and a decoder from tokens to what is predicted of each cell.

    Args:
        config: of the tower.
        values: numbers that are predicted of a cell.
        mask_share: share of the cells that are hidden.
    """

    def __init__(self, config: VisionConfig, values: int, mask_share: float) -> None:
        super().__init__()
        self.tower = new_tower(config)
        self.hidden = nn.Parameter(torch.zeros(1, config.channels, 1, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(config.width, config.width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(config.width, config.width, 3, padding=1),
            nn.GELU(),
            nn.Conv2d(config.width, values, 1),
        )
        self._count = max(1, round(mask_share * config.grid**2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images [B, channels, S, S] to predictions [B, cells, values] and hidden cells bool [B, cells]."""
        grid, stride = self.tower.config.grid, self.tower.config.stride
        mask = hidden_cells(len(images), grid**2, self._count)
        pixels = mask.reshape(-1, 1, grid, grid).repeat_interleave(stride, 2).repeat_interleave(stride, 3)
        tokens = self.tower(torch.where(pixels, self.hidden, images))
        said = self.decoder(tokens.transpose(1, 2).unflatten(2, (grid, grid)))
        return said.flatten(2).transpose(1, 2), mask


def hidden_cells(batch: int, cells: int, count: int) -> Tensor:
    """Drawn cells of each image, `count` of them: bool [batch, cells]."""
    order = torch.rand(batch, cells).argsort(1)
    return order.argsort(1) < count


def cells_of(images: Tensor, grid: int) -> Tensor:
    """[B, channels, S, S] to [B, grid * grid, channels * pixels], row by row."""
    batch, channels, size = images.shape[:3]
    side = size // grid
    cut = images.reshape(batch, channels, grid, side, grid, side).permute(0, 2, 4, 1, 3, 5)
    return cut.reshape(batch, grid * grid, channels * side * side)


def normalised(cells: Tensor) -> Tensor:
    """Each cell less its mean, over its deviation."""
    centre = cells.mean(-1, keepdim=True)
    return (cells - centre) / (cells.var(-1, keepdim=True) + 1e-4).sqrt()


def new_tower(config: VisionConfig) -> VisionTower:
    """A tower with new weights, drawn as those of our own encoder."""
    tower = VisionTower(config)
    tower.apply(initialise)
    return tower


class MaskedRecipe(TrainedRecipe):
    """A recipe that predicts something of hidden cells."""

    @abstractmethod
    def targets(self, images: Tensor, grid: int, config: Any) -> Tensor:
        """What is predicted: float32 [B, grid * grid, values] of whole images float32 [B, channels, S, S]."""

    def empty(self, material: Material) -> VisionTower:
        """The tower."""
        return VisionTower(material.pretraining.model.encoder.vision)

    def train(self, material: Material) -> tuple[VisionTower, str]:
        """Squared error on hidden cells; then the statistics of batch normalisation are those of whole images."""
        vision, config = material.pretraining.model.encoder.vision, material.config
        assert isinstance(config, MaskedConfig)
        allowed = material.tiles.turns
        values = self.targets(material.images[:1].float(), vision.grid, config).shape[-1]

        def loss_of(network: MaskedNetwork, rows: Tensor, images: Tensor) -> Tensor:
            seen = changed(images, config.views, drawn_symmetries(len(rows), config.views, allowed))
            said, mask = network(seen)
            return (said - self.targets(seen, vision.grid, config))[mask].square().mean()

        network = material.fit(lambda: MaskedNetwork(vision, values, config.mask_share), loss_of)
        tower = network.get_submodule("tower")
        assert isinstance(tower, VisionTower)
        settle_normalisation(tower, material.images)
        return tower, ""

    def opened(self, kept: Any, material: Material) -> OpenedTower:
        """Its summary was not trained, and is no feature."""
        return OpenedTower(kept, summary=False)


@torch.no_grad()
def settle_normalisation(tower: VisionTower, images: Tensor) -> None:
    """Have batch normalisation know whole images: in training it saw half-hidden ones.

    Args:
        tower: left in evaluation mode.
        images: float [N, channels, S, S].
    """
    layers = [each for each in tower.modules() if isinstance(each, (nn.BatchNorm1d, nn.BatchNorm2d))]
    before = [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the mean of all batches
    tower.train()
    for part in images.split(_BATCH):
        tower(part.float())
    for layer, momentum in zip(layers, before, strict=True):
        layer.momentum = momentum
    tower.eval()
