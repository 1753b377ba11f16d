"""Readers of published checkpoints, by architecture. Weights are read without running code of theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.baselines.checkpoints.clip import open_clip_model, opened_clip
from benchmark.baselines.checkpoints.dofa import generated_patches
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.plain_vit import PatchEmbedding, PlainVit
from benchmark.baselines.outside_encoder import OpenedOutsideEncoder, as_map
from model.pretrained import PretrainedError, named_as_ours, read_tensors, sha256_of

_PREFIXES = ("module.", "encoder.", "model.")


def _clip(path: Path, entry: Checkpoint) -> Any:
    opened = opened_clip(open_clip_model(_state(path), path, entry.activation), path, entry)
    return _disclosed(opened, path, f"activation {entry.activation}")


def _vit(path: Path, entry: Checkpoint) -> Any:
    """A ViT of timm's names with any number of channels; of a series of frames it sees one."""
    state = _state(path)
    weight = _wanted(state, "patch_embed.proj.weight", path)
    if weight.ndim == 5:  # frames, patch rows, patch columns; one frame a token
        weight = weight[:, :, 0]
    patches = PatchEmbedding(weight, _wanted(state, "patch_embed.proj.bias", path))
    model = _plain(state, patches, path, entry)
    channels = weight.shape[1]
    return _disclosed(
        OpenedOutsideEncoder(model, channels, model.side, _grid(model), entry.mean, entry.deviation),
        path,
        f"{channels} channels filled from two polarisations",
    )


def _dofa(path: Path, entry: Checkpoint) -> Any:
    state = _state(path)
    patches = generated_patches(state, entry.wavelengths_um, path)
    model = _plain(state, patches, path, entry)
    said = f"patch embedding generated for {', '.join(f'{each:g}' for each in entry.wavelengths_um)} um"
    return _disclosed(OpenedOutsideEncoder(model, patches.weight.shape[1], model.side, _grid(model)), path, said)


READERS: Final[Mapping[str, Callable[[Path, Checkpoint], Any]]] = {"open_clip": _clip, "vit": _vit, "dofa": _dofa}
"""Architecture -> what opens a file of it."""


def _grid(model: PlainVit) -> Callable[[Tensor], list[Tensor]]:
    return lambda images: [as_map(model.states(images))]


def _state(path: Path) -> dict[str, Tensor]:
    """The tensors of a file, without what others put before their names."""
    try:
        state = read_tensors(path)
    except PretrainedError as error:
        raise CheckpointError(str(error)) from error
    for prefix in _PREFIXES:
        if inside := {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}:
            state = inside
    return state


def _plain(state: dict[str, Tensor], patches: PatchEmbedding, path: Path, entry: Checkpoint) -> PlainVit:
    """The transformer behind a patch embedding; of the positions of a series those of the first frame."""
    layers = {name: value for name, value in state.items() if name.startswith("blocks.")}
    norm = "norm" if "norm.weight" in state else "fc_norm"
    for kind in ("weight", "bias"):
        layers[f"norm.{kind}"] = _wanted(state, f"{norm}.{kind}", path)
    found = named_as_ours(layers)
    positions = _wanted(state, "pos_embed", path)
    found["positions"] = positions[:, : 1 + (positions.shape[1] - 1) // entry.frames]
    heads = entry.heads or patches.weight.shape[0] // 64
    try:
        return PlainVit(found, _wanted(state, "cls_token", path), patches, heads, entry.activation)
    except (ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no plain vision transformer: {error}") from error


def _wanted(state: Mapping[str, Tensor], name: str, path: Path) -> Tensor:
    if name not in state:
        raise CheckpointError(f"{path} has no {name}: it is another file or another version. Get it from its source.")
    return state[name]


def _disclosed(opened: Any, path: Path, said: str) -> Any:
    """An opened method that says which weights it has."""
    opened.weights_sha256 = sha256_of(path)
    opened.disclosure = f"{path.name}, {said}, file's SHA-256 {opened.weights_sha256[:16]}"
    return opened
