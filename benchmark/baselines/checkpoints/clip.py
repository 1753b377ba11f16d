"""CLIP in the names of open_clip, as several groups publish theirs, on the CLIP of transformers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from transformers import CLIPConfig, CLIPModel, CLIPTokenizer

from benchmark.baselines.checkpoints.checkpoint import Checkpoint
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.outside_encoder import OpenedOutsideEncoder, as_map
from corpus.geotiff.backscatter import Backscatter

_BATCH = 32
_WHOLE: Final = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.conv1.weight": "vision_model.embeddings.patch_embedding.weight",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "token_embedding.weight": "text_model.embeddings.token_embedding.weight",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "logit_scale": "logit_scale",
}
_NORMS: Final = {
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.ln_post": "vision_model.post_layernorm",
    "ln_final": "text_model.final_layer_norm",
}
_IN_LAYER: Final = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "attn.out_proj": "self_attn.out_proj",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}
_LAYER = re.compile(r"^(visual\.)?transformer\.resblocks\.(\d+)\.(.+)$")


class OpenedClip(OpenedOutsideEncoder):
    """CLIP with its text half.

    Args:
        model: of transformers.
        tokenizer: OpenAI's.
        side: of its images, in pixels.
        entry: with the normalisation of its images.
    """

    def __init__(self, model: CLIPModel, tokenizer: Any, side: int, entry: Checkpoint) -> None:
        super().__init__(_features(model), 3, side, _grid(model), entry.mean, entry.deviation)
        self._model, self._tokenizer = model, tokenizer
        text: Any = model.config.text_config
        self._room: int = text.max_position_embeddings

    @torch.no_grad()
    def embed_pairs(self, images: Sequence[Backscatter], texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Unit vectors of images and of texts; of a text only what the model has room for is read."""
        seen, said = [], []
        for start in range(0, len(images), _BATCH):
            pixels = self.images_of(images[start : start + _BATCH])
            pooled = self._model.vision_model(pixel_values=pixels).pooler_output
            seen.append(self._model.visual_projection(pooled))
        for start in range(0, len(texts), _BATCH):
            part = list(texts[start : start + _BATCH])
            ids = self._tokenizer(part, truncation=True, max_length=self._room, padding=True, return_tensors="pt")
            said.append(self._model.text_projection(self._model.text_model(**ids).pooler_output))
        return _unit(seen), _unit(said)


def opened_clip(model: CLIPModel, path: Path, entry: Checkpoint) -> OpenedOutsideEncoder:
    """An opened method; with its texts where OpenAI's vocabulary lies beside the weights."""
    vision: Any = model.config.vision_config
    folder = path.parent
    if not all((folder / name).is_file() for name in ("vocab.json", "merges.txt")):
        return OpenedOutsideEncoder(_features(model), 3, vision.image_size, _grid(model), entry.mean, entry.deviation)
    tokenizer = CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"))
    return OpenedClip(model, tokenizer, vision.image_size, entry)


def open_clip_model(state: Mapping[str, Tensor], path: Path, activation: str) -> CLIPModel:
    """A CLIP of transformers with tensors in open_clip's names; its sizes are read off them.

    Raises:
        CheckpointError: they are of something else.
    """
    try:
        config = _config(state, activation)
        named = renamed(state)
        model = CLIPModel(config)
        loaded = model.load_state_dict(named, strict=False)
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{path} holds no CLIP of vision transformers in open_clip's names: {error}") from error
    if missing := [name for name in loaded.missing_keys if "position_ids" not in name]:
        raise CheckpointError(f"{path} lacks {missing[0]} of a CLIP. Get it from its source.")
    return model.eval().requires_grad_(False)


def vision_half(state: Mapping[str, Tensor], activation: str) -> dict[str, Any]:
    """Sizes of the image half, as arguments of transformers' configuration.

    Args:
        state: tensors in open_clip's names.
        activation: of the layers.

    Raises:
        KeyError: a tensor is missing.
    """
    patch, places = state["visual.conv1.weight"], state["visual.positional_embedding"]
    return {
        **_half(state, "visual.", patch.shape[0], activation),
        "patch_size": patch.shape[-1],
        "image_size": round((places.shape[0] - 1) ** 0.5) * patch.shape[-1],
    }


def _half(state: Mapping[str, Tensor], before: str, width: int, activation: str) -> dict[str, Any]:
    names = [match for name in state if (match := _LAYER.match(name)) and (match.group(1) or "") == before]
    return {
        "hidden_size": width,
        "num_hidden_layers": len({match.group(2) for match in names}),
        "num_attention_heads": width // 64,
        "intermediate_size": state[f"{before}transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "hidden_act": activation,
    }


def _config(state: Mapping[str, Tensor], activation: str) -> CLIPConfig:
    table, place = state["token_embedding.weight"], state["positional_embedding"]
    joint = state["text_projection"].shape[1]
    return CLIPConfig(
        vision_config={**vision_half(state, activation), "projection_dim": joint},
        text_config={
            **_half(state, "", table.shape[1], activation),
            "projection_dim": joint,
            "vocab_size": table.shape[0],
            "max_position_embeddings": place.shape[0],
            "bos_token_id": table.shape[0] - 2,
            "eos_token_id": table.shape[0] - 1,
        },
        projection_dim=joint,
    )


def renamed(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors in open_clip's names under the names of transformers' CLIP. Raises KeyError: a layer has another part."""
    found: dict[str, Tensor] = {}
    for name, value in state.items():
        value = value.float()
        start, _, kind = name.rpartition(".")
        if name in _WHOLE:
            found[_WHOLE[name]] = value
        elif start in _NORMS:
            found[f"{_NORMS[start]}.{kind}"] = value
        elif name == "visual.proj":
            found["visual_projection.weight"] = value.T
        elif name == "text_projection":
            found["text_projection.weight"] = value.T
        elif match := _LAYER.match(name):
            half = "vision_model" if match.group(1) else "text_model"
            inside, layer = match.group(3), f"{half}.encoder.layers.{match.group(2)}"
            if inside.startswith("attn.in_proj_"):
                for letter, third in zip("qkv", value.chunk(3), strict=True):
                    found[f"{layer}.self_attn.{letter}_proj.{inside.removeprefix('attn.in_proj_')}"] = third
            else:
                part, _, kind = inside.rpartition(".")
                found[f"{layer}.{_IN_LAYER[part]}.{kind}"] = value
    return found


def _features(model: CLIPModel) -> Any:
    def features(images: Tensor) -> Tensor:
        said = model.vision_model(pixel_values=images)
        return torch.cat([said.pooler_output, said.last_hidden_state[:, 1:].mean(1)], dim=1)

    return features


def _grid(model: CLIPModel) -> Any:
    return lambda images: [as_map(model.vision_model(pixel_values=images).last_hidden_state)]


def _unit(parts: Sequence[Tensor]) -> np.ndarray:
    return torch.nn.functional.normalize(torch.cat(list(parts)), dim=1).numpy()
