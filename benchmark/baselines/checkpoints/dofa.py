"""DOFA's patch embedding: a small transformer makes its weights from the wavelengths of the channels.

Xiong et al.: "Neural plasticity-inspired multimodal foundation model for Earth observation", 2024. Our two channels
always have the same wavelengths, so the weights are made once. The order of the generated numbers is that of the files
of its first release (DOFA_ViT_*_e100.pth).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.plain_vit import PatchEmbedding

_SCALE = 0.01
_HEADS = 4
_IN = "patch_embed."


@torch.no_grad()
def generated_patches(state: Mapping[str, Tensor], wavelengths_um: Sequence[float], path: Path) -> PatchEmbedding:
    """The convolution for channels of these wavelengths.

    Args:
        state: the checkpoint's tensors.
        wavelengths_um: of the channels, in micrometres.
        path: of the file, for messages.

    Raises:
        CheckpointError: the file has no weight generator.
    """
    own = {name.removeprefix(_IN): value.float() for name, value in state.items() if name.startswith(_IN)}
    try:
        tokens, last = own["weight_generator.weight_tokens"], own["weight_generator.bias_token"]
        width = last.shape[1]
        waves = _waves(torch.tensor(wavelengths_um), width)
        hidden = F.relu(F.linear(waves, own["fclayer.w1.weight"], own["fclayer.w1.bias"]))
        waves = waves + F.relu(F.linear(hidden, own["fclayer.w2.weight"], own["fclayer.w2.bias"]))
        said = _transformer(own, width)(torch.cat([tokens, waves, last])[:, None])[:, 0]
        channels = said[len(tokens) : -1] + waves
        weight = F.linear(channels, own["weight_generator.fc_weight.weight"], own["weight_generator.fc_weight.bias"])
        bias = F.linear(said[-1], own["weight_generator.fc_bias.weight"], own["weight_generator.fc_bias.bias"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no weight generator of DOFA: {error}.") from error
    side = round((weight.shape[1] / len(bias)) ** 0.5)
    return PatchEmbedding(weight.reshape(len(bias), len(waves), side, side) * _SCALE, bias * _SCALE, padding=1)


def _waves(wavelengths_um: Tensor, width: int) -> Tensor:
    """Sines and cosines of wavelengths in nanometres: float32 [channels, width]."""
    rates = 10000.0 ** -(torch.arange(width // 2) / (width / 2))
    angles = wavelengths_um[:, None] * 1000 * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _transformer(own: Mapping[str, Tensor], width: int) -> nn.Module:
    before = "weight_generator.transformer_encoder."
    state = {name.removeprefix(before): value for name, value in own.items() if name.startswith(before)}
    hidden = state["layers.0.linear1.weight"].shape[0]
    layer = nn.TransformerEncoderLayer(width, _HEADS, hidden, dropout=0.0, activation="gelu")
    depth = len({name.split(".")[1] for name in state})
    encoder = nn.TransformerEncoder(layer, depth, enable_nested_tensor=False)
    encoder.load_state_dict(state)
    return encoder.eval()
