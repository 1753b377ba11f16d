"""A plain vision transformer with its class token, from tensors: what several published encoders are inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ViTConfig
from transformers.models.vit.modeling_vit import ViTLayer


@dataclass(frozen=True)
class PatchEmbedding:
    """A convolution that makes tokens of pixels.

    Attributes:
        weight: float [width, channels, P, P].
        bias: float [width].
        padding: pixels of 0 around the image.
    """

    weight: Tensor
    bias: Tensor
    padding: int = 0


class PlainVit(nn.Module):
    """Images float32 [B, channels, S, S] to features [B, 2 * width]: the class token, and the mean of the others.

    Args:
        state: layers and norm as `VisionTower` names them, and `positions` [1, 1 + tokens, width], the class's first.
        class_token: float [1, 1, width].
        patches: the patch embedding.
        heads: attention heads.
        activation: of the layers.
    """

    def __init__(
        self, state: Mapping[str, Tensor], class_token: Tensor, patches: PatchEmbedding, heads: int, activation: str
    ) -> None:
        super().__init__()
        width = patches.weight.shape[0]
        depth = len({name.split(".")[1] for name in state if name.startswith("layers.")})
        config = ViTConfig(
            hidden_size=width,
            num_attention_heads=heads,
            intermediate_size=state["layers.0.mlp.fc1.weight"].shape[0],
            hidden_act=activation,
            layer_norm_eps=1e-6,
        )
        config._attn_implementation = "sdpa"
        self.layers = nn.ModuleList(ViTLayer(config) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.positions = nn.Parameter(state["positions"].float())
        self.class_token = nn.Parameter(class_token.float())
        self.stem = nn.Parameter(patches.weight.float())
        self.stem_bias = nn.Parameter(patches.bias.float())
        self._padding = patches.padding
        own = {name: value for name, value in state.items() if name.startswith(("layers.", "norm."))}
        kept = {"positions", "class_token", "stem", "stem_bias"}
        wanted = {name for name in self.state_dict() if name not in kept}
        if different := sorted(wanted ^ set(own)):
            raise ValueError(f"{different[0]} is in the file or in a plain vision transformer only")
        self.load_state_dict(own, strict=False)
        self.side = round((self.positions.shape[1] - 1) ** 0.5) * self.stem.shape[-1]
        self.eval().requires_grad_(False)

    def states(self, images: Tensor) -> Tensor:
        """Images to the states of the class token and of all patches, [B, 1 + h * h, D]."""
        tokens = F.conv2d(images, self.stem, self.stem_bias, self.stem.shape[-1], self._padding)
        tokens = tokens.flatten(2).transpose(1, 2)
        states = torch.cat([self.class_token.expand(len(tokens), -1, -1), tokens], dim=1) + self.positions
        for layer in self.layers:
            states = layer(states)
        return self.norm(states)

    def forward(self, images: Tensor) -> Tensor:
        """Images to features."""
        states = self.states(images)
        return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)
