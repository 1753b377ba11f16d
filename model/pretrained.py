"""Starts a vision tower from one of ours, or from a vision transformer of timm or Hugging Face of the same size.

Read are a folder or a file on this machine, or what the Hugging Face cache already holds; nothing is downloaded and no
code runs. What our tower lacks is left out: the class token with its position, and the head.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import functional as F

from corpus.storage.errors import InputError
from model.config import VisionConfig
from model.own_tower import differing_sizes, read_tower
from model.vision import VisionTower

_FILES: Final = ("model.safetensors", "pytorch_model.bin")
_TIMM_HEADS: Final = {"tiny": 3, "small": 6, "base": 12, "large": 16}
# Names of timm and of Hugging Face, older and newer, to ours. {n} is the number of the layer.
_LAYER: Final = {
    r"(?:norm1|layernorm_before)": "layernorm_before",
    r"(?:norm2|layernorm_after)": "layernorm_after",
    r"(?:attn\.proj|attention\.output\.dense|attention\.o_proj)": "attention.o_proj",
    r"(?:attention\.attention\.query|attention\.q_proj)": "attention.q_proj",
    r"(?:attention\.attention\.key|attention\.k_proj)": "attention.k_proj",
    r"(?:attention\.attention\.value|attention\.v_proj)": "attention.v_proj",
    r"(?:mlp\.fc1|intermediate\.dense)": "mlp.fc1",
    r"(?:mlp\.fc2|output\.dense)": "mlp.fc2",
}
_STEM = re.compile(r"^(.*?)(?:patch_embed\.proj|embeddings\.patch_embeddings\.projection)\.weight$")
_LEFT_OUT = re.compile(
    r"(embeddings\.)?(cls_token|mask_token)$|(head|fc_norm|pooler|classifier|decoder\w*)\.|decoder_pos_embed$"
)
_IN_LAYER = re.compile(r"^(?:blocks|encoder\.layer|layers)\.(\d+)\.(.+)\.(weight|bias)$")


class PretrainedError(InputError):
    """Weights that a vision tower cannot start from; the message says what differs."""


@dataclass(frozen=True)
class PretrainedVision:
    """A vision transformer as our tower names its parts.

    Attributes:
        state: name in `VisionTower` -> tensor; `stem.weight` has the channels that it was trained with.
        heads: attention heads; None: its folder does not say.
        sha256: of the file, hexadecimal.
    """

    state: Mapping[str, Tensor]
    heads: int | None
    sha256: str

    @property
    def sizes(self) -> dict[str, int]:
        """Dimension of `VisionConfig` -> its size there."""
        stem, state = self.state["stem.weight"], self.state
        layers = {int(name.split(".")[1]) for name in state if name.startswith("layers.")}
        sizes = {"patch_size_px": stem.shape[-1], "width": stem.shape[0], "depth": len(layers)}
        if "layers.0.mlp.fc1.weight" in state:
            sizes["intermediate"] = state["layers.0.mlp.fc1.weight"].shape[0]
        return sizes if self.heads is None else {**sizes, "heads": self.heads}


def start_from(tower: VisionTower, config: VisionConfig, key: str = "model.encoder.vision") -> str:
    """Give a tower the weights that its configuration names.

    Args:
        tower: of the sizes of `config`.
        config: with `pretrained`.
        key: of its section, for messages.

    Returns:
        SHA-256 of the weights' file, hexadecimal.

    Raises:
        PretrainedError, OwnTowerError: there are none, or they are of another size.
    """
    assert config.pretrained is not None
    if (own := read_tower(path := file_of(config.pretrained))) is not None:
        own.check_size(config, key)
        own.give_to(tower)
        return sha256_of(path)
    found = read_pretrained(config.pretrained)
    check_size(found, config, key)
    state = dict(found.state)
    state["stem.weight"] = _with_channels(state["stem.weight"], config.channels)
    state["positions"] = _on_grid(state["positions"], config.grid)
    has = tower.state_dict()
    wanted = {name for name in has if not name.startswith("summary.")}
    if different := sorted(wanted ^ set(state)):
        raise PretrainedError(
            f"{key}.pretrained: {config.pretrained} is no plain vision transformer: {different[0]} is in that or in "
            "our tower only. ViT of timm and of Hugging Face without layer scale and with biases can be taken."
        )
    tower.load_state_dict({**has, **state})
    return found.sha256


def check_pretrained(config: VisionConfig, key: str) -> None:
    """See that a tower can start from the weights that its configuration names, if it names any.

    Args:
        config: of the tower.
        key: of its section, for messages.

    Raises:
        PretrainedError, OwnTowerError: there are none, or they are of another size.
    """
    if config.pretrained is None:
        return
    if (own := read_tower(file_of(config.pretrained))) is not None:
        own.check_size(config, key)
    else:
        check_size(read_pretrained(config.pretrained), config, key)


def check_size(found: PretrainedVision, config: VisionConfig, key: str) -> None:
    """See that weights are of a tower's size.

    Raises:
        PretrainedError: they are not; names every dimension that differs and both values.
    """
    if config.stem != "patch":
        raise PretrainedError(
            f"{key}.stem is {config.stem}, and {config.pretrained} has a patch embedding: set {key}.stem to patch."
        )
    own = config.model_dump()
    if said := differing_sizes({name: own[name] for name in found.sizes}, found.sizes, key):
        raise PretrainedError(
            f"{key}.pretrained: {config.pretrained} is of another size: {said}. Set these keys to it."
        )
    channels = found.state["stem.weight"].shape[1]
    if channels not in (config.channels, 1, 2, 3):
        raise PretrainedError(
            f"{key}.pretrained: {config.pretrained} takes {channels} channels, {key}.channels is {config.channels}; "
            "other weights of 1, 2 or 3 can stand in for polarisations."
        )


def read_pretrained(source: str) -> PretrainedVision:
    """Read a vision transformer.

    Args:
        source: a folder, a file, or a name of timm or Hugging Face that the cache holds.

    Raises:
        PretrainedError: there is none.
    """
    path = file_of(source)
    state = read_tensors(path)
    prefixes = [match.group(1) for name in state if (match := _STEM.match(name))]
    if len(prefixes) != 1:
        raise PretrainedError(f"{path} holds no vision transformer of timm or Hugging Face: it has no patch embedding.")
    inside = {name.removeprefix(prefixes[0]): value for name, value in state.items() if name.startswith(prefixes[0])}
    found = named_as_ours(inside)
    if "positions" not in found or found["stem.weight"].ndim != 4:
        raise PretrainedError(f"{path} holds no vision transformer with learned positions.")
    return PretrainedVision(found, _heads(path, source), sha256_of(path))


def file_of(source: str) -> Path:
    """The file of weights that a folder, a file or a name of the Hugging Face cache stands for.

    Raises:
        PretrainedError: there is none.
    """
    place = Path(source)
    if place.is_file():
        return place
    if place.is_dir():
        found = [place / name for name in _FILES if (place / name).is_file()] or sorted(place.glob("*.safetensors"))
        if len(found) == 0 or (len(found) > 1 and found[0].name not in _FILES):
            raise PretrainedError(f"{place} has {len(found)} files of weights; it takes one, such as {_FILES[0]}.")
        return found[0]
    from huggingface_hub import try_to_load_from_cache

    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
        for name in _FILES:
            cached = try_to_load_from_cache(source if "/" in source else f"timm/{source}", name)
            if isinstance(cached, str):
                return Path(cached)
    raise PretrainedError(
        f"weights not found at {source}: it is no folder or file, and the Hugging Face cache has no such model. "
        "Nothing is downloaded: get it with `hf download` first."
    )


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name; a pickle is read without running any code.

    Raises:
        PretrainedError: it is damaged, holds something else, or would run code.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, SafetensorError, pickle.UnpicklingError, RuntimeError, ValueError, EOFError) as error:
        raise PretrainedError(f"{path} cannot be read as weights: {str(error).splitlines()[0]}") from error
    for outer in ("model", "state_dict"):
        if isinstance(content, dict) and isinstance(content.get(outer), dict):
            content = content[outer]
    if not isinstance(content, dict):
        raise PretrainedError(f"{path} holds {type(content).__name__} and no tensors by name.")
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}


def named_as_ours(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of timm or Hugging Face under the names of `VisionTower`; unknown names stay, what is no feature goes."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        if (match := _IN_LAYER.match(name)) is not None:
            number, part, kind = match.groups()
            if part == "attn.qkv":
                for letter, third in zip("qkv", value.chunk(3), strict=True):
                    found[f"layers.{number}.attention.{letter}_proj.{kind}"] = third
                continue
            ours = next((new for old, new in _LAYER.items() if re.fullmatch(old, part)), part)
            found[f"layers.{number}.{ours}.{kind}"] = value
        elif _STEM.match(name.replace(".bias", ".weight")) and name.endswith((".weight", ".bias")):
            found["stem." + name.rpartition(".")[2]] = value
        elif name in ("pos_embed", "embeddings.position_embeddings"):
            found["positions"] = value
        elif name in ("norm.weight", "norm.bias", "layernorm.weight", "layernorm.bias"):
            found["norm." + name.rpartition(".")[2]] = value
        elif not _LEFT_OUT.match(name):
            found[name] = value  # such as layer scale or registers: it is refused by name later
    return found


def _heads(path: Path, source: str) -> int | None:
    """Attention heads, as config.json says or timm's name implies."""
    config = path.with_name("config.json")
    content: Any = json.loads(config.read_text(encoding="utf-8")) if config.is_file() else {}
    if isinstance(heads := content.get("num_attention_heads"), int):
        return heads
    named = re.search(r"vit_(tiny|small|base|large)_", str(content.get("architecture", source)))
    return None if named is None else _TIMM_HEADS[named.group(1)]


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _with_channels(weight: Tensor, channels: int) -> Tensor:
    """A patch embedding [width, c, P, P] for so many channels: each gets the mean, scaled so that the sum stays."""
    had = weight.shape[1]
    if had == channels:
        return weight
    return weight.mean(1, keepdim=True).repeat(1, channels, 1, 1) * (had / channels)


def _on_grid(positions: Tensor, grid: int) -> Tensor:
    """Positions [1, tokens, width] without those of class tokens, interpolated to [1, grid * grid, width]."""
    side = int(positions.shape[1] ** 0.5)
    square = positions[:, positions.shape[1] - side**2 :]
    if side == grid:
        return square
    plane = square.transpose(1, 2).unflatten(2, (side, side))
    return F.interpolate(plane, size=(grid, grid), mode="bicubic", align_corners=False).flatten(2).transpose(1, 2)
