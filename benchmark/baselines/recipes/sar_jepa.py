"""SAR-JEPA: gradients by ratio of hidden cells, at several scales.

Li et al.: "Predicting gradient is better: exploring self-supervised learning for SAR ATR with a joint-embedding
predictive architecture", ISPRS Journal 2024. What is predicted are not pixels but features that speckle hardly moves.
Its local windows are left out: a convolutional tower looks at surroundings only anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.baselines.recipes.config import SarJepaConfig
from benchmark.baselines.recipes.masked import MaskedRecipe, cells_of


class SarJepa(MaskedRecipe):
    """Method `sar_jepa`."""

    name: ClassVar[str] = "sar_jepa"

    def targets(self, images: Tensor, grid: int, config: SarJepaConfig) -> Tensor:
        """Gradients of every channel at every scale, at some points of each cell."""
        return cells_of(gradients_by_ratio(images, config.radii_px, config.step_px), grid)


@torch.no_grad()
def gradients_by_ratio(images: Tensor, radii: Sequence[int], step: int) -> Tensor:
    """How much the mean power differs between both sides of a point: the length of the logarithms of two ratios.

    Args:
        images: float32 [B, channels, S, S] in the units of the input convention, 10 dB.
        radii: of the windows, in pixels, less than S.
        step: pixels between the points.

    Returns:
        float32 [B, channels * radii, S / step, S / step], natural logarithms.
    """
    power = torch.pow(10.0, images)
    found = []
    for radius in radii:
        padded = F.pad(power, (radius,) * 4, mode="reflect")
        across = _log_ratio(padded, radius, step)
        down = _log_ratio(padded.transpose(2, 3), radius, step).transpose(2, 3)
        found.append((across.square() + down.square()).sqrt())
    return torch.cat(found, dim=1)


def _log_ratio(padded: Tensor, radius: int, step: int) -> Tensor:
    """Logarithm of the mean power to the right of each point over that to its left; both sides hold the point."""
    rows = F.avg_pool2d(padded, (2 * radius + 1, 1), stride=(step, 1))
    left = F.avg_pool2d(rows[..., :-radius], (1, radius + 1), stride=(1, step))
    right = F.avg_pool2d(rows[..., radius:], (1, radius + 1), stride=(1, step))
    return (right / left).log()
