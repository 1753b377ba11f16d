"""Readers of published checkpoints, by architecture. Weights are read without running code of theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from torch import Tensor

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.baselines.checkpoints.clip import open_clip_model, opened_clip
from benchmark.baselines.checkpoints.clip_vision import SOURCES, ClipVision
from benchmark.baselines.checkpoints.copernicus import positions_of_unknown_places, spectral_patches
from benchmark.baselines.checkpoints.dofa import generated_patches
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.files import PREFIXES, state_of, wanted
from benchmark.baselines.checkpoints.itpn import Itpn
from benchmark.baselines.checkpoints.llava import llava_model
from benchmark.baselines.checkpoints.plain_vit import PatchEmbedding, PlainVit
from benchmark.baselines.checkpoints.terramind import TerraMind
from benchmark.baselines.checkpoints.vision_language import OpenedVisionLanguage
from benchmark.baselines.outside_encoder import OpenedOutsideEncoder, as_map
from benchmark.datasets.question_words import words_sha256
from hcot_llm.prompts.prompts import prompt_sha256
from model.pretrained import named_as_ours, sha256_of


def _clip(path: Path, entry: Checkpoint) -> Any:
    opened = opened_clip(open_clip_model(state_of(path), path, entry.activation), path, entry)
    return _disclosed(opened, path, f"activation {entry.activation}")


def _clip_vision(path: Path, entry: Checkpoint) -> Any:
    """The image half alone, from a file of something larger."""
    model = ClipVision(SOURCES[entry.reader](path), entry.activation, path)
    return _disclosed(_opened(model, 3, entry), path, f"image encoder alone, activation {entry.activation}")


def _vit(path: Path, entry: Checkpoint) -> Any:
    """A ViT of timm's names with any number of channels; of a series of frames it sees one."""
    state = state_of(path)
    weight = wanted(state, "patch_embed.proj.weight", path)
    if weight.ndim == 5:  # frames, patch rows, patch columns; one frame a token
        weight = weight[:, :, 0]
    patches = PatchEmbedding(weight, wanted(state, "patch_embed.proj.bias", path))
    model = _plain(state, patches, path, entry)
    channels = weight.shape[1]
    return _disclosed(_opened(model, channels, entry), path, f"{channels} channels filled from two polarisations")


def _dofa(path: Path, entry: Checkpoint) -> Any:
    state = state_of(path)
    patches = generated_patches(state, entry.wavelengths_um, path)
    model = _plain(state, patches, path, entry)
    said = f"patch embedding generated for {', '.join(f'{each:g}' for each in entry.wavelengths_um)} um"
    return _disclosed(_opened(model, patches.weight.shape[1], entry), path, said)


def _copernicus(path: Path, entry: Checkpoint) -> Any:
    state = state_of(path)
    patches = spectral_patches(state, entry, path)
    state["pos_embed"] = positions_of_unknown_places(state, path)
    model = _plain(state, patches, path, entry)
    return _disclosed(_opened(model, 2, entry), path, "place, area and time not told")


def _itpn(path: Path, entry: Checkpoint) -> Any:
    model = Itpn(state_of(path), entry.heads, path)
    opened = OpenedOutsideEncoder(model, model.channels, model.side, model.maps, entry.mean, entry.deviation)
    return _disclosed(opened, path, "without the pyramid that reconstructed")


def _terramind(path: Path, entry: Checkpoint) -> Any:
    # Its layers are named encoder.N, so that this prefix has to stay.
    model = TerraMind(state_of(path, tuple(each for each in PREFIXES if each != "encoder.")), entry.heads, path)
    return _disclosed(_opened(model, 2, entry), path, "Sentinel-1 alone of its modalities")


def _llava(folder: Path, entry: Checkpoint) -> Any:
    model, tokenizer, digest = llava_model(folder, entry.side)
    opened: Any = OpenedVisionLanguage(model, tokenizer, entry)
    opened.weights_sha256 = digest
    opened.disclosure = (
        f"{folder.name}, prompts {prompt_sha256()[:16]} and {words_sha256()[:16]}, SHA-256 over the files' own "
        f"{digest[:16]}"
    )
    return opened


READERS: Final[Mapping[str, Callable[[Path, Checkpoint], Any]]] = {
    "open_clip": _clip,
    "vit": _vit,
    "dofa": _dofa,
    "copernicus": _copernicus,
    "itpn": _itpn,
    "terramind": _terramind,
    "llava": _llava,
    **dict.fromkeys(SOURCES, _clip_vision),
}
"""Architecture -> what opens a file of it."""


def _opened(model: Any, channels: int, entry: Checkpoint) -> OpenedOutsideEncoder:
    """A network that has `side`, `states` and features, with the normalisation of its entry."""
    decibels = (entry.mean_db, entry.deviation_db) if entry.mean_db else None
    return OpenedOutsideEncoder(
        *(model, channels, model.side, lambda images: [as_map(model.states(images))]),
        mean=entry.mean,
        deviation=entry.deviation,
        decibels=decibels,
    )


def _plain(state: dict[str, Tensor], patches: PatchEmbedding, path: Path, entry: Checkpoint) -> PlainVit:
    """The transformer behind a patch embedding; of the positions of a series those of the first frame."""
    layers = {name: value for name, value in state.items() if name.startswith("blocks.")}
    norm = "norm" if "norm.weight" in state else "fc_norm"
    for kind in ("weight", "bias"):
        layers[f"norm.{kind}"] = wanted(state, f"{norm}.{kind}", path)
    found = named_as_ours(layers)
    positions = wanted(state, "pos_embed", path)
    found["positions"] = positions[:, : 1 + (positions.shape[1] - 1) // entry.frames]
    heads = entry.heads or patches.weight.shape[0] // 64
    try:
        return PlainVit(found, wanted(state, "cls_token", path), patches, heads, entry.activation)
    except (ValueError, KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no plain vision transformer: {error}") from error


def _disclosed(opened: Any, path: Path, said: str) -> Any:
    """An opened method that says which weights it has."""
    opened.weights_sha256 = sha256_of(path)
    opened.disclosure = f"{path.name}, {said}, file's SHA-256 {opened.weights_sha256[:16]}"
    return opened
