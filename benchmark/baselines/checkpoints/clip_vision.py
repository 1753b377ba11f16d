"""The image encoders inside change detectors and captioners that were built on CLIP, on the CLIP of transformers.

BAN keeps the first three quarters of CLIP's layers under the names of mmsegmentation. ChangeCLIP trains all of them on.
BITA keeps CLIP as it is, without its last layers. Its own file may not hold it: then the file that it starts from is
read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

import torch
from torch import Tensor, nn
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModel

from benchmark.baselines.checkpoints.clip import renamed, vision_half
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.files import inside, state_of

_MMSEG: Final = MappingProxyType(
    {
        "cls_token": "class_embedding",
        "pos_embed": "positional_embedding",
        "patch_embed.projection.weight": "conv1.weight",
        "ln_pre.weight": "ln_pre.weight",
        "ln_pre.bias": "ln_pre.bias",
    }
)
_MMSEG_LAYER: Final = MappingProxyType(
    {
        "ln1": "ln_1",
        "ln2": "ln_2",
        "attn.attn.out_proj": "attn.out_proj",
        "ffn.layers.0.0": "mlp.c_fc",
        "ffn.layers.1": "mlp.c_proj",
    }
)
_LAYER = re.compile(r"^layers\.(\d+)\.(.+)$")


class ClipVision(nn.Module):
    """Images float32 [B, 3, S, S] to features [B, 2 * width]: the class token, and the mean of the others.

    Args:
        state: tensors in open_clip's names, without "visual.".
        activation: of the layers.
        path: of the file, for messages.

    Raises:
        CheckpointError: they are of something else.
    """

    def __init__(self, state: Mapping[str, Tensor], activation: str, path: Path) -> None:
        super().__init__()
        named = {f"visual.{name}": value for name, value in state.items()}
        try:
            config = CLIPVisionConfig(**vision_half(named, activation))
            self.model = CLIPVisionModel(config)
            own = inside(renamed(named), "vision_model.")
            loaded = self.model.load_state_dict(own, strict=False)
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"{path} holds no image encoder of CLIP: {error}") from error
        # The norm behind the last layer is not in every file; the features are taken before it.
        if missing := [name for name in loaded.missing_keys if "post_layernorm" not in name]:
            raise CheckpointError(f"{path} lacks {missing[0]} of CLIP's image encoder. Get it from its source.")
        self.side = int(config.image_size)  # pyright: ignore[reportArgumentType]  # a single number was given
        self.eval().requires_grad_(False)

    def states(self, images: Tensor) -> Tensor:
        """Images to the states of the class token and of all patches, [B, 1 + h * h, width]."""
        return self.model(pixel_values=images).last_hidden_state

    def forward(self, images: Tensor) -> Tensor:
        """Images to features."""
        states = self.states(images)
        return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)


def ban(path: Path) -> dict[str, Tensor]:
    """The image encoder of BAN. Errors as `state_of`; without one: CheckpointError."""
    found: dict[str, Tensor] = {}
    for name, value in _inside(path, "image_encoder.").items():
        if name in _MMSEG:
            found[_MMSEG[name]] = value[0] if name == "pos_embed" else value.flatten() if name == "cls_token" else value
        elif match := _LAYER.match(name):
            number, inner = match.groups()
            part, _, kind = inner.rpartition(".")
            layer = f"transformer.resblocks.{number}."
            if part == "attn.attn":  # in_proj_weight and in_proj_bias
                found[f"{layer}attn.{kind}"] = value
            else:
                found[f"{layer}{_MMSEG_LAYER.get(part, part)}.{kind}"] = value
    return found


def change_clip(path: Path) -> dict[str, Tensor]:
    """The image encoder of ChangeCLIP, which adds its class embedding twice. Errors as `ban`."""
    state = _inside(path, "backbone.")
    if "class_embedding" in state:
        state["class_embedding"] = 2 * state["class_embedding"]
    return state


def bita(path: Path) -> dict[str, Tensor]:
    """The image encoder of BITA, from its own file or from the one that it starts from. Errors as `ban`."""
    state = state_of(path, ("module.",))
    if "conv1.weight" in state:
        return state
    if found := inside(state, "visual_encoder."):
        return found
    raise CheckpointError(
        f"{path} has no image encoder, which BITA leaves out where it was not trained. Put the file that it starts "
        "from in its place: clip_vit_L.pth of LAVIS' BLIP2."
    )


def _inside(path: Path, prefix: str) -> dict[str, Tensor]:
    if not (found := inside(state_of(path, ("module.",)), prefix)):
        raise CheckpointError(f"{path} has no {prefix}* of its image encoder: it is another file. Get it anew.")
    return found


SOURCES: Final[Mapping[str, Callable[[Path], dict[str, Tensor]]]] = MappingProxyType(
    {"ban": ban, "change_clip": change_clip, "bita": bita}
)
"""Reader -> what gives the tensors of its image encoder in open_clip's names."""
