"""TerraMind as an encoder of Sentinel-1: its embedding of one modality and its layers, from its authors' tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.files import depth_of, inside, wanted
from benchmark.baselines.checkpoints.layers import Layer

MODALITY: Final = "encoder_embeddings.untok_sen1grd@224."
"""Ground-range detected backscatter of VV and VH: sigma nought, as our own images."""
_EPSILON = 1e-6
_SIDE = 224
_TEMPERATURE = 10000.0


class TerraMind(nn.Module):
    """Images float32 [B, 2, S, S] to features [B, width], the mean of the last tokens.

    Args:
        state: tensors in the names of its authors.
        heads: attention heads; 0: a 64th of the width.
        path: of the file, for messages.

    Raises:
        CheckpointError: they are of something else.
    """

    def __init__(self, state: Mapping[str, Tensor], heads: int, path: Path) -> None:
        super().__init__()
        projection = wanted(state, f"{MODALITY}proj.weight", path).float()
        width, numbers = projection.shape
        patch = round((numbers / 2) ** 0.5)
        # A patch is a row of numbers with its two channels side by side; a convolution has the channels first.
        self.stem = nn.Parameter(projection.reshape(width, patch, patch, 2).permute(0, 3, 1, 2).contiguous())
        own = inside(state, "encoder.")
        try:
            hidden = own["0.mlp.fc1.weight"].shape[0]
            biased = "0.mlp.fc1.bias" in own
            gated = "0.mlp.fc3.weight" in own
            self.encoder = nn.ModuleList(
                Layer(width, hidden, heads or width // 64, biases=biased, gated=gated) for _ in range(depth_of(own, ""))
            )
            self.encoder_norm = nn.LayerNorm(width, _EPSILON)
            norm = inside(state, "encoder_norm.")
            # Norms without a bias are written without one, or with zeros.
            self.encoder.load_state_dict({**_zero_biases(self.encoder), **{n: v.float() for n, v in own.items()}})
            self.encoder_norm.load_state_dict({**_zero_biases(self.encoder_norm), **norm})
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} holds no encoder of TerraMind: {error}") from error
        positions = state.get(f"{MODALITY}pos_emb")
        if positions is None:
            positions = sine_positions(_SIDE // patch, width)
        self.positions = nn.Parameter(positions.float() + wanted(state, f"{MODALITY}mod_emb", path).float())
        self.side = round(positions.shape[1] ** 0.5) * patch
        self.eval().requires_grad_(False)

    def states(self, images: Tensor) -> Tensor:
        """Images to the states of all patches, [B, h * h, width]."""
        tokens = F.conv2d(images, self.stem, stride=self.stem.shape[-1]).flatten(2).transpose(1, 2) + self.positions
        for layer in self.encoder:
            tokens = layer(tokens)
        return self.encoder_norm(tokens)

    def forward(self, images: Tensor) -> Tensor:
        """Images to features."""
        return self.states(images).mean(1)


def sine_positions(side: int, width: int) -> Tensor:
    """Positions float32 [1, side * side, width] by sines and cosines, as MoCo v3 has them: first those of the row."""
    rates = _TEMPERATURE ** -(torch.arange(width // 4) / (width // 4))
    slow, fast = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    angles = [index.reshape(-1, 1) * rates for index in (slow, fast)]
    return torch.cat([wave for angle in angles for wave in (angle.sin(), angle.cos())], dim=1)[None]


def _zero_biases(module: nn.Module) -> dict[str, Tensor]:
    """Zeros for the bias of each norm of a module."""
    return {
        f"{name}.bias".lstrip("."): torch.zeros_like(each.bias)
        for name, each in module.named_modules()
        if isinstance(each, nn.LayerNorm)
    }
