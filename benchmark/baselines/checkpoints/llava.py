"""GeoChat and VHM: folders in the names of LLaVA 1.5, on the LLaVA of transformers.

A folder has config.json with the sizes of the language model, files of weights, a tokenizer, and, unless the image
encoder is among the weights, a folder `vision_tower` with that of CLIP. No code of the folder is run.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlamaTokenizer,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)
from transformers.utils.logging import disable_progress_bar

from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.files import depth_of, inside
from model.pretrained import PretrainedError, read_tensors, sha256_of

TOWER: Final = "vision_tower"
_SIZES: Final = (
    *("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "rope_theta", "tie_word_embeddings"),
)
_IN_FILE: Final = "model.vision_tower.vision_tower."
_POSITIONS: Final = "embeddings.position_embedding.weight"
_SHARD = re.compile(r"(model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)$")


def llava_model(folder: Path, side: int) -> tuple[LlavaForConditionalGeneration, Any, str]:
    """The model, its tokenizer and what its weights are.

    Args:
        folder: as its authors publish it.
        side: of its images in pixels, to which the positions of its image encoder are interpolated.

    Returns:
        The model in evaluation mode, the tokenizer, and the SHA-256 over its files of weights, hexadecimal.

    Raises:
        CheckpointError: a file is missing or is of something else.
    """
    sizes = _config(folder)
    files = _files(folder)
    state = {name: value for file in files for name, value in _tensors(file).items()}
    tower = inside(state, _IN_FILE)
    if not tower:
        more = _files(folder / TOWER)
        tower = {name: value for file in more for name, value in _tensors(file).items()}
        files += more
    tower = inside(tower, "vision_model.") or tower
    disable_progress_bar()
    try:
        config = _configuration(sizes, tower, side)
        named = _named(state, _with_positions(tower, side))
        dtype = torch.bfloat16 if named["lm_head.weight"].dtype in (torch.float16, torch.bfloat16) else torch.float32
        arguments: dict[str, Any] = {"config": config, "state_dict": named, "dtype": dtype}
        found: Any = LlavaForConditionalGeneration.from_pretrained(None, output_loading_info=True, **arguments)
        model, loaded = found
    except (KeyError, RuntimeError) as error:
        raise CheckpointError(f"{folder} holds no model in LLaVA's names: {error}") from error
    if missing := sorted(loaded["missing_keys"]):
        raise CheckpointError(f"{folder} lacks {missing[0]} of a LLaVA model. Get it from its source.")
    digest = hashlib.sha256("".join(sha256_of(file) for file in files).encode()).hexdigest()
    return model.eval().requires_grad_(False), _tokenizer(folder), digest


def _configuration(sizes: Mapping[str, Any], tower: Mapping[str, Tensor], side: int) -> LlavaConfig:
    """Sizes of the language model as its folder says, those of the image encoder as its tensors have them."""
    patch, width = tower["embeddings.patch_embedding.weight"], tower["embeddings.class_embedding"].shape[0]
    vision = CLIPVisionConfig(
        hidden_size=width,
        num_hidden_layers=depth_of(tower, "encoder.layers."),
        num_attention_heads=max(1, width // 64),
        intermediate_size=tower["encoder.layers.0.mlp.fc1.weight"].shape[0],
        image_size=side,
        patch_size=patch.shape[-1],
    )
    text = LlamaConfig(**{name: sizes[name] for name in _SIZES if sizes.get(name) is not None})
    layers = sizes.get("mm_vision_select_layer", -2)
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        vision_feature_layer=layers if isinstance(layers, int) or len(layers) > 1 else layers[0],
        vision_feature_select_strategy="default",
        image_token_index=0,  # never used: pieces of the image are put between the words as embeddings
        tie_word_embeddings=bool(sizes.get("tie_word_embeddings", False)),
    )


def _named(state: Mapping[str, Tensor], tower: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of LLaVA under the names of transformers."""
    found = {f"model.vision_tower.{name}": value for name, value in tower.items() if "position_ids" not in name}
    for number, name in ((0, "linear_1"), (2, "linear_2")):
        for kind in ("weight", "bias"):
            found[f"model.multi_modal_projector.{name}.{kind}"] = state[f"model.mm_projector.{number}.{kind}"]
    for name, value in inside(state, "model.").items():
        if name.startswith(("layers.", "embed_tokens.", "norm.")) and not name.endswith("inv_freq"):
            found[f"model.language_model.{name}"] = value
    found["lm_head.weight"] = state["lm_head.weight"]
    return found


def _with_positions(tower: Mapping[str, Tensor], side: int) -> dict[str, Tensor]:
    """An image encoder whose positions are interpolated to another size of images, as GeoChat does it."""
    positions, patch = tower[_POSITIONS], tower["embeddings.patch_embedding.weight"].shape[-1]
    had, grid = round((len(positions) - 1) ** 0.5), side // patch
    if had == grid:
        return dict(tower)
    plane = positions[1:].float().T.reshape(1, -1, had, had)
    plane = F.interpolate(plane, size=(grid, grid), mode="bicubic", align_corners=True)
    square = torch.cat([positions[:1].float(), plane[0].flatten(1).T])
    return {**tower, _POSITIONS: square.to(positions.dtype)}


def _config(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no config.json that can be read: {error}") from error
    if not isinstance(found, dict) or "mm_projector_type" not in found:
        raise CheckpointError(f"{folder / 'config.json'} is of no LLaVA model: it has no mm_projector_type.")
    if found["mm_projector_type"] != "mlp2x_gelu":
        raise CheckpointError(f"{folder / 'config.json'}: mm_projector_type is not mlp2x_gelu, as LLaVA 1.5 has it.")
    return found


def _files(folder: Path) -> list[Path]:
    """Files of weights in a folder, safetensors rather than pickles."""
    found = sorted(path for path in folder.glob("*") if _SHARD.match(path.name))
    safe = [path for path in found if path.suffix == ".safetensors"]
    if not found:
        raise CheckpointError(
            f"{folder} has no weights: model*.safetensors or pytorch_model*.bin. "
            f"Where they lack the image encoder, that of CLIP belongs into {TOWER}."
        )
    return safe or found


def _tensors(file: Path) -> dict[str, Tensor]:
    try:
        return read_tensors(file)
    except PretrainedError as error:
        raise CheckpointError(str(error)) from error


def _tokenizer(folder: Path) -> Any:
    kind = PreTrainedTokenizerFast if (folder / "tokenizer.json").is_file() else LlamaTokenizer
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{folder} has no tokenizer.json or tokenizer.model that can be read: {error}") from error
