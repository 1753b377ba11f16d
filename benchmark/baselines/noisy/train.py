"""Trains a vision tower and a linear layer on labels of one clause, by a recipe; in this process, on the CPU."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from benchmark.baselines.noisy.recipes import RECIPES
from benchmark.baselines.vision_maps import TowerClassifier
from model.config import VisionConfig
from model.vision import VisionTower

_BATCH = 64
_LEARNING_RATE = 2e-3
_WEIGHT_DECAY = 0.05
_SYMMETRIES = 8


def train_recipe(
    name: str, images: np.ndarray, targets: np.ndarray, taught: np.ndarray, config: VisionConfig, passes: int, seed: int
) -> np.ndarray:
    """Train by a recipe, and say what the (first) network sees in all images.

    Args:
        name: of a registered recipe.
        images: float16 [N, channels, S, S].
        targets: float [N, V], the labels, one-hot or soft; rows sum to one.
        taught: bool [N], images that are trained on.
        config: of the vision tower.
        passes: over the taught images.
        seed: of weights, order and symmetries.

    Returns:
        float64 [N, V], probabilities averaged over the eight symmetries; rows sum to one.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return _train(name, images, targets, taught, config, passes, np.random.default_rng(seed))


def _train(
    name: str,
    images: np.ndarray,
    targets: np.ndarray,
    taught: np.ndarray,
    config: VisionConfig,
    passes: int,
    generator: np.random.Generator,
) -> np.ndarray:
    rows = np.flatnonzero(taught)
    recipe = RECIPES.find(name)(len(rows), targets.shape[1], passes)
    networks = [TowerClassifier(VisionTower(config), targets.shape[1]) for _ in range(recipe.networks)]
    optimiser = torch.optim.AdamW(
        [weight for network in networks for weight in network.parameters()], _LEARNING_RATE, weight_decay=_WEIGHT_DECAY
    )
    steps = passes * -(-len(rows) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _LEARNING_RATE, max(steps, 2), pct_start=0.1)
    labels, goal = targets[rows].argmax(axis=1), torch.from_numpy(targets[rows]).float()
    for number in range(passes):
        recipe.begin_pass(number, lambda: probabilities(networks[0], images[rows], (0,)), labels)
        for network in networks:
            network.train()
        for batch in np.array_split(generator.permutation(len(rows)), -(-len(rows) // _BATCH)):
            pixels = _turned(images[rows[batch]], int(generator.integers(_SYMMETRIES)))
            losses = recipe.losses([network(pixels) for network in networks], goal[batch], torch.from_numpy(batch))
            optimiser.zero_grad()
            torch.stack(losses).sum().backward()
            optimiser.step()
            schedule.step()
    return probabilities(networks[0], images, range(_SYMMETRIES))


def probabilities(network: nn.Module, images: np.ndarray, symmetries: Sequence[int] | range) -> np.ndarray:
    """What a network sees, averaged over symmetries: float64 [N, V]."""
    network.eval()
    with torch.inference_mode():
        found = [
            torch.cat(
                [network(_turned(part, each)).softmax(dim=1) for part in np.array_split(images, -(-len(images) // 256))]
            )
            for each in symmetries
        ]
    return torch.stack(found).mean(dim=0).double().numpy()


def _turned(images: np.ndarray, symmetry: int) -> Tensor:
    """Images turned by a multiple of 90 degrees and mirrored, float32."""
    turned = np.rot90(images, symmetry % 4, axes=(2, 3))
    return torch.from_numpy(np.ascontiguousarray(turned[..., ::-1] if symmetry >= 4 else turned)).float()
