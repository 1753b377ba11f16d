"""The plain supervised training that every learning method of the benchmark shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from corpus.storage.rng import derive_seed

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class TrainingPlan:
    """How a network is trained.

    Attributes:
        epochs: passes over the images at most.
        batch: images a step.
        learning_rate: at its highest; it falls to 0 by half a cosine, after a tenth of the steps of rise.
        shift: images are moved by up to this share of their side, round the edge.
        least_steps: a small set is passed more often, until there were so many steps.
    """

    epochs: int
    batch: int
    learning_rate: float
    shift: float = 0.06
    least_steps: int = 200
    weight_decay: float = 0.05
    label_smoothing: float = 0.05


def train_classifier(
    make: Callable[[], nn.Module],
    images: torch.Tensor,
    labels: np.ndarray,
    test: torch.Tensor,
    plan: TrainingPlan,
    seed: int,
) -> np.ndarray:
    """Train with cross-entropy, and say what the network makes of the test images after its last epoch.

    Args:
        make: a new network, from images to logits [B, classes].
        images: float32 [M, channels, S, S].
        labels: int64 [M].
        test: float32 [N, channels, S, S].
        plan: how.
        seed: of weights, order and augmentation.

    Returns:
        Probabilities float64 [N, classes].
    """
    import torch
    from torch.nn import functional as F

    target = torch.from_numpy(labels.astype(np.int64))

    def loss_of(model: nn.Module, rows: torch.Tensor, moved: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(model(moved), target[rows], label_smoothing=plan.label_smoothing)

    model = fit(make, images, loss_of, plan, seed)
    said = []
    with torch.no_grad():
        for start in range(0, len(test), 64):
            said.append(model(test[start : start + 64]).softmax(1).double().numpy())
    return np.concatenate(said)


def fit(
    make: Callable[[], nn.Module],
    images: torch.Tensor,
    loss_of: Callable[[nn.Module, torch.Tensor, torch.Tensor], torch.Tensor],
    plan: TrainingPlan,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> nn.Module:
    """Train a new network with AdamW; returned in evaluation mode.

    Args:
        make: makes the network.
        images: float32 [M, channels, S, S].
        loss_of: loss of a network, int64 rows [B] of `images`, and these images as augmented.
        plan: how.
        seed: of weights, order and augmentation.
        progress: called with (done, total) after each pass.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(seed, "benchmark training") % 2**63)
        model = make().train()
        generator = torch.Generator().manual_seed(derive_seed(seed, "benchmark order") % 2**63)
        steps_an_epoch = max(1, len(images) // plan.batch)
        epochs = max(plan.epochs, -(-plan.least_steps // steps_an_epoch))
        steps = epochs * steps_an_epoch
        optimizer = torch.optim.AdamW(model.parameters(), plan.learning_rate, weight_decay=plan.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, plan.learning_rate, total_steps=steps, pct_start=0.1)
        reach = int(plan.shift * images.shape[-1])
        for epoch in range(epochs):
            order = torch.randperm(len(images), generator=generator)
            for step in range(steps_an_epoch):
                rows = order[step * plan.batch : (step + 1) * plan.batch]
                loss = loss_of(model, rows, _moved(images[rows], reach, generator))
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
                schedule.step()
            if progress is not None:
                progress(epoch + 1, epochs)
    return model.eval()


def _moved(images: torch.Tensor, reach: int, generator: torch.Generator) -> torch.Tensor:
    """Each image moved by its own (row, column), what leaves on one side coming back on the other."""
    import torch

    if reach == 0:
        return images
    by = torch.randint(-reach, reach + 1, (len(images), 2), generator=generator).tolist()
    return torch.stack([image.roll((down, right), (1, 2)) for image, (down, right) in zip(images, by, strict=True)])
