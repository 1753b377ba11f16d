"""DOFA's patch embedding: a small transformer makes its weights from the wavelengths of the channels.

Xiong et al.: "Neural plasticity-inspired multimodal foundation model for Earth observation", 2024. Our two channels
always have the same wavelengths, so the weights are made once. The order of the generated numbers is that of the files
of its first release (DOFA_ViT_*_e100.pth).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.files import depth_of, inside
from benchmark.baselines.checkpoints.plain_vit import PatchEmbedding

SCALE = 0.01
"""Of the generated numbers."""
_HEADS = 4


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
    own = {name: value.float() for name, value in inside(state, "patch_embed.").items()}
    weight, bias = generated_numbers(own, lambda width: _waves(torch.tensor(wavelengths_um), width), path)
    side = round((weight.shape[1] / len(bias)) ** 0.5)
    return PatchEmbedding(weight.reshape(len(bias), len(weight), side, side) * SCALE, bias * SCALE, padding=1)


def generated_numbers(
    own: Mapping[str, Tensor], waves_of: Callable[[int], Tensor], path: Path
) -> tuple[Tensor, Tensor]:
    """What the generator makes of its channels: the numbers of their weights [channels, P * P * D], and biases [D].

    Args:
        own: tensors of the patch embedding, float32.
        waves_of: from the generator's width to what is said of the channels, [channels, width].
        path: of the file, for messages.

    Raises:
        CheckpointError: the file has no weight generator.
    """
    try:
        tokens, last = own["weight_generator.weight_tokens"], own["weight_generator.bias_token"]
        waves = waves_of(last.shape[1])
        hidden = F.relu(F.linear(waves, own["fclayer.w1.weight"], own["fclayer.w1.bias"]))
        waves = waves + F.relu(F.linear(hidden, own["fclayer.w2.weight"], own["fclayer.w2.bias"]))
        said = _transformer(own, last.shape[1])(torch.cat([tokens, waves, last])[:, None])[:, 0]
        channels = said[len(tokens) : -1] + waves
        weight = F.linear(channels, own["weight_generator.fc_weight.weight"], own["weight_generator.fc_weight.bias"])
        bias = F.linear(said[-1], own["weight_generator.fc_bias.weight"], own["weight_generator.fc_bias.bias"])
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no weight generator: {error}.") from error
    return weight, bias


def _waves(wavelengths_um: Tensor, width: int) -> Tensor:
    """Sines and cosines of wavelengths in nanometres: float32 [channels, width]."""
    rates = 10000.0 ** -(torch.arange(width // 2) / (width / 2))
    angles = wavelengths_um[:, None] * 1000 * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _transformer(own: Mapping[str, Tensor], width: int) -> nn.Module:
    state = inside(own, "weight_generator.transformer_encoder.")
    hidden = state["layers.0.linear1.weight"].shape[0]
    layer = nn.TransformerEncoderLayer(width, _HEADS, hidden, dropout=0.0, activation="gelu")
    encoder = nn.TransformerEncoder(layer, depth_of(state, "layers."), enable_nested_tensor=False)
    encoder.load_state_dict(state)
    return encoder.eval()
