"""BAN, ChangeCLIP, BITA: the image encoder inside, from random weights in their names, against transformers' CLIP."""

import numpy as np
import pytest
import torch
from torch import nn
from transformers import CLIPVisionConfig
from transformers.models.clip.modeling_clip import CLIPVisionModel

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.baselines.checkpoints.entries import CHECKPOINTS
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.datasets.pictures import as_backscatter
from benchmark.suite.base import METHODS, MethodInputs

OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}
MMSEG = {"ln_1": "ln1", "ln_2": "ln2", "mlp.c_fc": "ffn.layers.0.0", "mlp.c_proj": "ffn.layers.1"}


def images(count=3):
    generator = np.random.default_rng(0)
    return [as_backscatter(generator.integers(0, 255, (40, 50)).astype(np.uint8)) for _ in range(count)]


def opened(name, folder, state):
    (folder / name).mkdir(exist_ok=True)
    torch.save({"state_dict": state}, folder / name / (CHECKPOINTS[name].file or "weights.pth"))
    return METHODS[name].open(MethodInputs(checkpoints_dir=folder))


def clip_vision() -> CLIPVisionModel:
    torch.manual_seed(4)
    sizes = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 96}
    model = CLIPVisionModel(CLIPVisionConfig(**sizes, image_size=32, patch_size=16, hidden_act="quick_gelu")).eval()
    for each in model.parameters():
        nn.init.normal_(each, std=0.2)
    return model


def as_open_clip(model: CLIPVisionModel) -> dict[str, torch.Tensor]:
    """Its weights in open_clip's names, without "visual." and without the norm behind the last layer."""
    own = model.state_dict()
    found = {
        "class_embedding": own["embeddings.class_embedding"],
        "positional_embedding": own["embeddings.position_embedding.weight"],
        "conv1.weight": own["embeddings.patch_embedding.weight"],
    }
    for kind in ("weight", "bias"):
        found[f"ln_pre.{kind}"] = own[f"pre_layrnorm.{kind}"]
        for number in range(2):
            old, new = f"encoder.layers.{number}.", f"transformer.resblocks.{number}."
            parts = [own[f"{old}self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
            found[f"{new}attn.in_proj_{kind}"] = torch.cat(parts)
            found[f"{new}attn.out_proj.{kind}"] = own[f"{old}self_attn.out_proj.{kind}"]
            for theirs, ours in OPEN_CLIP.items():
                found[f"{new}{ours}.{kind}"] = own[f"{old}{theirs}.{kind}"]
    return {name: value.clone() for name, value in found.items()}


def as_mmseg(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors in open_clip's names under those of mmsegmentation."""
    whole = {"conv1.weight": "patch_embed.projection.weight"}
    found = {"cls_token": state["class_embedding"][None, None], "pos_embed": state["positional_embedding"][None]}
    for name, value in state.items():
        if name.startswith("transformer.resblocks."):
            _, _, number, *rest = name.split(".")
            part, _, kind = ".".join(rest).rpartition(".")
            part = f"attn.{part}" if part.startswith("attn") else MMSEG[part]
            found[f"layers.{number}.{part}.{kind}"] = value
        elif name in whole or name.startswith("ln_pre"):
            found[whole.get(name, name)] = value
    return found


@torch.no_grad()
def features(model, pixels):
    states = model(pixel_values=pixels).last_hidden_state
    return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1).numpy()


def test_the_image_encoder_of_ban_is_read_under_the_names_of_mmsegmentation(tmp_path):
    model = clip_vision()
    file = {f"image_encoder.{name}": value for name, value in as_mmseg(as_open_clip(model)).items()}
    method = opened("ban", tmp_path, file | {"decode_head.mask_decoder.weight": torch.zeros(2)})
    assert np.allclose(method.embed(images()), features(model, method.images_of(images())), atol=1e-5)
    assert "image encoder alone" in method.disclosure


def test_the_image_encoder_of_change_clip_adds_its_class_embedding_twice(tmp_path):
    model = clip_vision()
    file = {f"backbone.{name}": value for name, value in as_open_clip(model).items()}
    file |= {"backbone.ln_post.weight": torch.ones(64), "backbone.proj": torch.zeros(64, 8)}
    method = opened("change_clip", tmp_path, file | {"backbone.fpn3.weight": torch.zeros(64)})
    with torch.no_grad():
        model.state_dict()["embeddings.class_embedding"].mul_(2)
    assert np.allclose(method.embed(images()), features(model, method.images_of(images())), atol=1e-5)


@pytest.mark.parametrize("before", ["", "visual_encoder."])
def test_the_image_encoder_of_bita_is_read_from_its_own_file_or_from_that_it_starts_from(tmp_path, before):
    model = clip_vision()
    method = opened("bita", tmp_path, {f"{before}{name}": value for name, value in as_open_clip(model).items()})
    assert np.allclose(method.embed(images()), features(model, method.images_of(images())), atol=1e-5)


def test_a_file_of_bita_without_its_frozen_image_encoder_says_which_file_to_take(tmp_path):
    with pytest.raises(CheckpointError, match=r"clip_vit_L\.pth of LAVIS"):
        opened("bita", tmp_path, {"query_tokens": torch.zeros(1, 2, 4), "ln_vision.weight": torch.ones(64)})


def test_a_file_that_lacks_a_part_of_the_encoder_is_refused_with_its_name(tmp_path):
    state = as_open_clip(clip_vision())
    del state["ln_pre.bias"]
    with pytest.raises(CheckpointError, match=r"lacks pre_layrnorm\.bias"):
        opened("change_clip", tmp_path, {f"backbone.{name}": value for name, value in state.items()})
