"""A learnable softmax temperature."""

import math

import torch
from torch import Tensor, nn

LOWEST, HIGHEST = 0.01, 0.5


class Temperature(nn.Module):
    """Positive temperatures within (0.01, 0.5).

    Bounded by a sigmoid and not by clamping the parameter in place: an optimizer that keeps its own copy of
    the weights (ZeRO) would undo the clamp, and a clamped value has no gradient to come back.
    """

    def __init__(self, initial: float, size: int = 1) -> None:
        super().__init__()
        share = (initial - LOWEST) / (HIGHEST - LOWEST)
        self.raw = nn.Parameter(torch.full((size,), math.log(share / (1 - share))))

    def forward(self) -> Tensor:
        """float32 [size]."""
        return LOWEST + (HIGHEST - LOWEST) * torch.sigmoid(self.raw)
