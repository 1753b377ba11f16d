"""Copernicus-FM: a patch embedding generated from wavelength and bandwidth; positions with tokens of what is unknown.

Wang et al.: "Towards a Unified Copernicus Foundation Model for Earth Vision", 2025. The generator is that of DOFA, and
is asked about the bandwidth too. Place, area and time of an image are not told: a learned token stands for each.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.baselines.checkpoints.dofa import SCALE, generated_numbers
from benchmark.baselines.checkpoints.files import inside, wanted
from benchmark.baselines.checkpoints.plain_vit import PatchEmbedding

_WAVELENGTHS_NM: Final = (100.0, 1e9)
_BANDWIDTHS_NM: Final = (1.0, 1e9)
_UNKNOWN: Final = ("coord", "scale", "time")


@torch.no_grad()
def spectral_patches(state: Mapping[str, Tensor], entry: Checkpoint, path: Path) -> PatchEmbedding:
    """The convolution for the channels of an entry.

    Args:
        state: the checkpoint's tensors.
        entry: with wavelengths and bandwidth.
        path: of the file, for messages.

    Raises:
        CheckpointError: the file has no weight generator.
    """
    waves, bands = 1000 * torch.tensor(entry.wavelengths_um), torch.tensor([1000 * entry.bandwidth_um])

    def said_of(width: int) -> Tensor:
        return fourier(waves, width, *_WAVELENGTHS_NM) + fourier(bands, width, *_BANDWIDTHS_NM)

    own = {name: value.float() for name, value in inside(state, "patch_embed_spectral.").items()}
    numbers, bias = generated_numbers(own, said_of, path)
    side = round((numbers.shape[1] / len(bias)) ** 0.5)
    weight = numbers.reshape(len(waves), side, side, len(bias)).permute(3, 0, 1, 2)
    return PatchEmbedding(weight * SCALE, bias * SCALE, padding=1)


@torch.no_grad()
def positions_of_unknown_places(state: Mapping[str, Tensor], path: Path) -> Tensor:
    """Positions [1, 1 + tokens, width] with what is said where place, area and time are not known.

    Raises:
        CheckpointError: a tensor is missing.
    """
    positions = wanted(state, "pos_embed", path).float()
    for name in _UNKNOWN:
        token, weight, bias = (
            wanted(state, part, path).float() for part in (f"{name}_token", f"{name}_fc.weight", f"{name}_fc.bias")
        )
        positions = positions + F.linear(token, weight, bias)
    return positions


def fourier(values: Tensor, width: int, lowest: float, highest: float) -> Tensor:
    """Sines and cosines of values at wavelengths from the lowest to the highest: float32 [N, width].

    The angles are made in double precision, as a value can be a billion times the lowest wavelength.
    """
    periods = torch.logspace(math.log10(lowest), math.log10(highest), width // 2, dtype=torch.float64)
    angles = values.double()[:, None] * (2 * math.pi / periods)
    return torch.cat([angles.sin(), angles.cos()], dim=1).float()
