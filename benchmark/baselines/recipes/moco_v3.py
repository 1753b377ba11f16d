"""MoCo v3: two views of a tile are to be alike, and unlike all others, as a slowly following network sees them.

Chen, Xie, He: "An empirical study of training self-supervised vision transformers", ICCV 2021.
"""

from __future__ import annotations

import copy
from math import cos, pi
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.recipes.base import Material, TrainedRecipe
from benchmark.baselines.recipes.config import MocoConfig
from benchmark.baselines.recipes.masked import new_tower
from benchmark.baselines.recipes.views import changed, drawn_symmetries
from benchmark.baselines.vision_tower import OpenedTower
from model.config import VisionConfig
from model.vision import VisionTower


class MocoNetwork(nn.Module):
    """A tower with projector and predictor, and the slowly following tower and projector.

    Args:
        vision: of the tower.
        config: of the recipe.
        steps: of the training; the follower moves less and less, and not at all at its end.
    """

    def __init__(self, vision: VisionConfig, config: MocoConfig, steps: int) -> None:
        super().__init__()
        self.tower = new_tower(vision)
        width = self.tower.summary.width
        assert isinstance(width, int)
        self.projector = _perceptron(width, config.hidden_width, config.width)
        self.predictor = _perceptron(config.width, config.hidden_width, config.width)
        self.slow = copy.deepcopy(nn.ModuleList([self.tower, self.projector])).requires_grad_(False)
        self._config, self._steps, self._done = config, steps, 0

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        """The loss of two views of the same tiles, float32 [B, channels, S, S] each."""
        self._follow()
        mine = [self.projector(self._seen(self.tower, view)) for view in (one, other)]
        queries = [F.normalize(self.predictor(each), dim=1) for each in mine]
        with torch.no_grad():
            tower, projector = self.slow
            keys = [F.normalize(projector(self._seen(tower, view)), dim=1) for view in (one, other)]
        heat = self._config.temperature
        right = torch.arange(len(one))
        losses = [F.cross_entropy(query @ key.T / heat, right) for query, key in zip(queries, keys[::-1], strict=True)]
        return 2 * heat * (losses[0] + losses[1])

    def _seen(self, tower: Any, view: Tensor) -> Tensor:
        return tower.summary(tower(view))

    @torch.no_grad()
    def _follow(self) -> None:
        momentum = 1 - (1 - self._config.momentum) * (1 + cos(pi * self._done / self._steps)) / 2
        self._done += 1
        for mine, theirs in zip(
            self.slow.parameters(), (*self.tower.parameters(), *self.projector.parameters()), strict=True
        ):
            mine.lerp_(theirs, 1 - momentum)


class MocoV3(TrainedRecipe):
    """Method `moco_v3`."""

    name: ClassVar[str] = "moco_v3"

    def empty(self, material: Material) -> VisionTower:
        """The tower."""
        return VisionTower(material.pretraining.model.encoder.vision)

    def train(self, material: Material) -> tuple[VisionTower, str]:
        """Two views of each tile a step."""
        config, allowed = material.config, material.tiles.turns
        assert isinstance(config, MocoConfig)
        vision = material.pretraining.model.encoder.vision

        def loss_of(network: MocoNetwork, rows: Tensor, images: Tensor) -> Tensor:
            views = [
                changed(images, config.views, drawn_symmetries(len(rows), config.views, allowed)) for _ in range(2)
            ]
            return network(*views)

        network = material.fit(lambda: MocoNetwork(vision, config, material.steps), loss_of)
        tower = network.get_submodule("tower")
        assert isinstance(tower, VisionTower)
        return tower, "two views of each tile a pass"

    def opened(self, kept: Any, material: Material) -> OpenedTower:
        """With the summary, on which the contrast rests."""
        return OpenedTower(kept)


def _perceptron(width: int, hidden: int, out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(width, hidden, bias=False),
        nn.BatchNorm1d(hidden),
        nn.ReLU(),
        nn.Linear(hidden, out, bias=False),
        nn.BatchNorm1d(out, affine=False),
    )
