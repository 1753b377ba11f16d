"""SARATR-X v2: the encoder of an integrally pre-trained pyramid (iTPN), from tensors in its authors' names.

Cells of 4 pixels are merged twice, two by two, between layers without attention. The tokens of 16 pixels then look at
each other. The pyramid behind the encoder, which reconstructed, is left out, as in the linear probe of its authors.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.files import depth_of
from benchmark.baselines.checkpoints.layers import Layer

_EPSILON = 1e-6
_ENCODER = re.compile(r"(patch_embed|blocks)\.|absolute_pos_embed$")
_INNER = 4
"""Cells along a side of a token of the last stage."""


class Merge(nn.Module):
    """Four neighbours become one cell of twice the width.

    Args:
        width: of a cell.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * width, _EPSILON)
        self.reduction = nn.Linear(4 * width, 2 * width, bias=False)

    def forward(self, cells: Tensor) -> Tensor:
        """[B, h, w, width] to [B, h / 2, w / 2, 2 * width]."""
        four = [cells[:, row::2, column::2] for column in (0, 1) for row in (0, 1)]
        return self.reduction(self.norm(torch.cat(four, dim=-1)))


class PatchEmbed(nn.Module):
    """Cells of P pixels.

    Args:
        weight: float [width, channels, P, P], for the sizes.
        normalised: whether a norm follows.
    """

    def __init__(self, weight: Tensor, *, normalised: bool) -> None:
        super().__init__()
        width, channels, size, _ = weight.shape
        self.proj = nn.Conv2d(channels, width, size, size)
        self.norm = nn.LayerNorm(width, _EPSILON) if normalised else nn.Identity()

    def forward(self, images: Tensor) -> Tensor:
        """[B, channels, S, S] to [B, S / P, S / P, width]."""
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class Itpn(nn.Module):
    """Images float32 [B, channels, S, S] to features [B, width], the mean of the last tokens.

    Args:
        state: tensors in the names of its authors, of the encoder and of whatever else.
        heads: attention heads; 0: a 64th of the width.
        path: of the file, for messages.

    Raises:
        CheckpointError: they are of something else.
    """

    def __init__(self, state: Mapping[str, Tensor], heads: int, path: Path) -> None:
        super().__init__()
        own = {name: value.float() for name, value in state.items() if _ENCODER.match(name)}
        try:
            positions, stem = own["absolute_pos_embed"], own["patch_embed.proj.weight"]
            blocks = [_block(own, number, heads) for number in range(depth_of(own, "blocks."))]
        except KeyError as error:
            raise CheckpointError(f"{path} holds no iTPN: it has no {error.args[0]}.") from error
        self.patch_embed = PatchEmbed(stem, normalised="patch_embed.norm.weight" in own)
        self.blocks = nn.ModuleList(blocks)
        self.absolute_pos_embed = nn.Parameter(torch.empty_like(positions))
        try:
            self.load_state_dict(own)
        except RuntimeError as error:
            raise CheckpointError(f"{path} holds no iTPN without relative positions: {error}") from error
        self.channels = stem.shape[1]
        self.side = round(positions.shape[1] ** 0.5) * _INNER * stem.shape[-1]
        self.eval().requires_grad_(False)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Images to the maps of 4, 8 and 16 pixels a cell, each [B, D, h, h]."""
        cells, maps = self.patch_embed(images), []
        for block in self.blocks:
            if isinstance(block, Merge):
                maps.append(cells)
            if isinstance(block, Layer) and block.attn is not None and cells.ndim == 4:
                cells = cells.flatten(1, 2) + self.absolute_pos_embed
            cells = block(cells)
        side = round(cells.shape[1] ** 0.5)
        return [each.permute(0, 3, 1, 2) for each in (*maps, cells.unflatten(1, (side, side)))]

    def forward(self, images: Tensor) -> Tensor:
        """Images to features."""
        return F.adaptive_avg_pool2d(self.maps(images)[-1], 1).flatten(1)


def _block(own: Mapping[str, Tensor], number: int, heads: int) -> nn.Module:
    """An untrained block of the kind and the sizes that the tensors of a number have."""
    before = f"blocks.{number}."
    if f"{before}reduction.weight" in own:
        return Merge(own[f"{before}reduction.weight"].shape[0] // 2)
    hidden, width = own[f"{before}mlp.fc1.weight"].shape
    if f"{before}attn.qkv.weight" not in own:
        return Layer(width, hidden, 0)
    return Layer(width, hidden, heads or width // 64)
