"""What networks that never saw a tile say of it: trained once for every fold, or once on all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmark.baselines.noisy.config import NetworkConfig
from benchmark.baselines.noisy.train import train_recipe
from model.config import VisionConfig


def network_distributions(
    config: NetworkConfig,
    images: np.ndarray,
    targets: np.ndarray,
    held_out: np.ndarray,
    groups: Sequence[str],
    vision: VisionConfig,
    passes: int,
    seed: int,
) -> np.ndarray:
    """Probabilities of one clause's values.

    Args:
        config: how networks are trained.
        images: float16 [N, channels, S, S].
        targets: float [N, V], labels; rows sum to one.
        held_out: bool [N], tiles that no network is taught.
        groups: N names; tiles of one group are in one fold.
        vision: of the networks.
        passes: over the taught tiles.
        seed: of all draws.

    Returns:
        float64 [N, V]; rows sum to one. Held-out tiles have the mean of all networks.
    """
    if config.folds == 1:
        return train_recipe(config.recipe, images, targets, ~held_out, vision, passes, seed)
    names, group_of = np.unique(np.asarray(groups), return_inverse=True)
    fold_of = np.random.default_rng(seed).permutation(len(names))[group_of] % config.folds
    found = np.zeros(targets.shape)
    for fold in range(config.folds):
        judged = ~held_out & (fold_of == fold)
        said = train_recipe(config.recipe, images, targets, ~held_out & ~judged, vision, passes, seed + fold)
        found[judged] = said[judged]
        found[held_out] += said[held_out] / config.folds
    return found
