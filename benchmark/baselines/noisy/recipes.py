"""What each recipe makes of a batch: its loss, and which images teach.

A recipe is added by `RECIPES.add(name, factory)`; a factory takes the numbers of training images, values and passes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmark.baselines.fusion import confident_noise
from corpus.registry import Registry

_WARM_UP = 1 / 3
"""Share of the passes in which networks learn before labels are doubted: right labels are learned first."""


class Recipe(Protocol):
    """One clause's recipe."""

    networks: int
    """Networks that are trained side by side."""

    def begin_pass(self, number: int, probabilities: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        """A pass begins.

        Args:
            number: of the pass, counted from 0.
            probabilities: gives the first network's on all training images, float [N, V].
            labels: int [N], as they came.
        """
        ...

    def losses(self, logits: list[Tensor], targets: Tensor, rows: Tensor) -> list[Tensor]:
        """Loss of each network on a batch.

        Args:
            logits: of each network float [B, V].
            targets: float [B, V], rows sum to one.
            rows: int [B], which training images they are.
        """
        ...


class Plain:
    """Cross-entropy: every label is believed."""

    networks = 1

    def __init__(self, images: int, values: int, passes: int) -> None:
        pass

    def begin_pass(self, number: int, probabilities: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        """Nothing changes between passes."""

    def losses(self, logits: list[Tensor], targets: Tensor, rows: Tensor) -> list[Tensor]:
        """Cross-entropy."""
        return [F.cross_entropy(logits[0], targets)]


class ForwardCorrection:
    """Predictions are passed through the estimated confusion before they are compared with the labels.

    Patrini et al.: "Making deep neural networks robust to label noise", CVPR 2017. The confusion comes from the
    confident disagreements after a third of the passes.
    """

    networks = 1

    def __init__(self, images: int, values: int, passes: int) -> None:
        self._confusion = torch.eye(values)
        self._estimate_at = max(1, round(_WARM_UP * passes))

    def begin_pass(self, number: int, probabilities: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        """Estimate the confusion once."""
        if number == self._estimate_at:
            found = probabilities()
            agree = float((found.argmax(axis=1) == labels).mean())
            accuracy = min(max(agree, 1 / found.shape[1] + 0.05), 0.99)
            self._confusion = torch.from_numpy(confident_noise(found, labels, accuracy).confusion).float()

    def losses(self, logits: list[Tensor], targets: Tensor, rows: Tensor) -> list[Tensor]:
        """Cross-entropy of the corrupted prediction."""
        corrupted = logits[0].softmax(dim=1) @ self._confusion
        return [-(targets * corrupted.clamp_min(1e-6).log()).sum(dim=1).mean()]


class EarlyLearning:
    """Early-learning regularisation: a network is held to what it believed early, averaged over passes.

    Liu et al.: "Early-learning regularization prevents memorization of noisy labels", NeurIPS 2020, with its lambda and
    beta for CIFAR-10.
    """

    networks = 1
    _LAMBDA, _BETA = 3.0, 0.7

    def __init__(self, images: int, values: int, passes: int) -> None:
        self._believed = torch.zeros(images, values)

    def begin_pass(self, number: int, probabilities: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        """Nothing changes between passes."""

    def losses(self, logits: list[Tensor], targets: Tensor, rows: Tensor) -> list[Tensor]:
        """Cross-entropy and the regulariser."""
        probability = logits[0].softmax(dim=1).clamp(1e-4, 1 - 1e-4)
        detached = probability.detach()
        held = self._BETA * self._believed[rows] + (1 - self._BETA) * detached / detached.sum(dim=1, keepdim=True)
        self._believed[rows] = held
        agreement = (held * probability).sum(dim=1).clamp_max(1 - 1e-4)
        return [F.cross_entropy(logits[0], targets) + self._LAMBDA * (1 - agreement).log().mean()]


class CoTeaching:
    """Two networks; each is taught the images on which the other's loss is small.

    Han et al.: "Co-teaching: robust training of deep neural networks with extremely noisy labels", NeurIPS 2018. The
    share of wrong labels, which the paper takes as known, is the share of labels that the first network contradicts
    after a third of the passes.
    """

    networks = 2

    def __init__(self, images: int, values: int, passes: int) -> None:
        self._ramp = max(1, round(_WARM_UP * passes))
        self._wrong = self._forget = 0.0

    def begin_pass(self, number: int, probabilities: Callable[[], np.ndarray], labels: np.ndarray) -> None:
        """Forget more and more images, up to the share of the wrong ones."""
        if number == self._ramp:
            self._wrong = min(float((probabilities().argmax(axis=1) != labels).mean()), 0.8)
        self._forget = self._wrong * min(1.0, max(0, number - self._ramp + 1) / self._ramp)

    def losses(self, logits: list[Tensor], targets: Tensor, rows: Tensor) -> list[Tensor]:
        """Cross-entropy on the images that the other network chooses."""
        each = [F.cross_entropy(one, targets, reduction="none") for one in logits]
        kept = max(1, round((1 - self._forget) * len(targets)))
        first, second = (loss.detach().argsort()[:kept] for loss in each)
        return [each[0][second].mean(), each[1][first].mean()]


RECIPES: Registry[Callable[[int, int, int], Recipe]] = Registry("recipe")
RECIPES.add("plain", Plain)
RECIPES.add("forward_correction", ForwardCorrection)
RECIPES.add("early_learning", EarlyLearning)
RECIPES.add("co_teaching", CoTeaching)
