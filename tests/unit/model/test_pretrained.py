"""Vision towers that start from a vision transformer of timm or Hugging Face."""

import json

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from transformers import ViTConfig, ViTModel

from actors.weight_files import pretrained_of
from actors.weights import create_weights, load_training_model
from model.config import ModelConfig, VisionConfig
from model.pretrained import PretrainedError, read_pretrained, start_from
from model.vision import VisionTower
from model.weights_check import check_weights
from support.hcot import HCOT
from support.training_job import toy_model

SIZES = {"width": 16, "depth": 2, "heads": 2, "intermediate": 24}


def vision(source, **changes) -> VisionConfig:
    sizes = {"stem": "patch", "image_size_px": 32, "patch_size_px": 8, "activation": "gelu", **SIZES}
    return VisionConfig(**{**sizes, "pretrained": str(source), **changes})


def hugging_face(folder, channels=3, image=32) -> ViTModel:
    """A random vision transformer, written as Hugging Face writes it."""
    torch.manual_seed(1)
    config = ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=24,
        image_size=image,
        patch_size=8,
        num_channels=channels,
        layer_norm_eps=1e-6,
    )
    model = ViTModel(config, add_pooling_layer=False).eval()
    for each in model.parameters():
        nn.init.normal_(each, std=0.2)
    model.save_pretrained(folder)
    return model


def as_timm(model: ViTModel) -> dict[str, torch.Tensor]:
    """The same weights under timm's names, its three projections as one."""
    state = model.state_dict()
    found = {
        "cls_token": state["embeddings.cls_token"],
        "pos_embed": state["embeddings.position_embeddings"],
        "patch_embed.proj.weight": state["embeddings.patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": state["embeddings.patch_embeddings.projection.bias"],
        "norm.weight": state["layernorm.weight"],
        "norm.bias": state["layernorm.bias"],
        "head.weight": torch.zeros(5, 16),
        "head.bias": torch.zeros(5),
    }
    for number in range(2):
        for kind in ("weight", "bias"):
            old, new = f"layers.{number}.", f"blocks.{number}."
            parts = [state[f"{old}attention.{letter}_proj.{kind}"] for letter in "qkv"]
            found[f"{new}attn.qkv.{kind}"] = torch.cat(parts)
            found[f"{new}attn.proj.{kind}"] = state[f"{old}attention.o_proj.{kind}"]
            found[f"{new}norm1.{kind}"] = state[f"{old}layernorm_before.{kind}"]
            found[f"{new}norm2.{kind}"] = state[f"{old}layernorm_after.{kind}"]
            found[f"{new}mlp.fc1.{kind}"] = state[f"{old}mlp.fc1.{kind}"]
            found[f"{new}mlp.fc2.{kind}"] = state[f"{old}mlp.fc2.{kind}"]
    return {name: value.contiguous().clone() for name, value in found.items()}


def started(config: VisionConfig) -> VisionTower:
    torch.manual_seed(0)
    tower = VisionTower(config)
    assert len(start_from(tower, config)) == 64
    return tower.eval()


@torch.no_grad()
def test_a_tower_says_what_the_transformer_says_without_its_class_token(tmp_path):
    theirs = hugging_face(tmp_path)
    tower = started(vision(tmp_path, channels=3))
    image = torch.randn(2, 3, 32, 32)
    states = theirs.embeddings.patch_embeddings(image) + theirs.embeddings.position_embeddings[:, 1:]
    for layer in theirs.layers:
        states = layer(states)
    assert torch.allclose(tower(image), theirs.layernorm(states), atol=1e-5)


def test_timm_and_hugging_face_name_the_same_weights(tmp_path):
    model = hugging_face(tmp_path / "hf")
    (tmp_path / "timm").mkdir()
    save_file(as_timm(model), tmp_path / "timm" / "model.safetensors")
    torch.save({"model": as_timm(model)}, tmp_path / "released.pth")
    towers = [started(vision(tmp_path / name)) for name in ("hf", "timm", "released.pth")]
    image = torch.randn(2, 2, 32, 32)
    with torch.no_grad():
        said = [tower(image) for tower in towers]
    assert torch.equal(said[0], said[1])
    assert torch.equal(said[0], said[2])
    assert len({read_pretrained(str(tmp_path / name)).sha256 for name in ("hf", "timm", "released.pth")}) == 3


def test_two_channels_see_what_three_equal_ones_would(tmp_path):
    hugging_face(tmp_path)
    grey = torch.randn(1, 1, 32, 32)
    with torch.no_grad():
        two = started(vision(tmp_path))(grey.expand(-1, 2, -1, -1))
        three = started(vision(tmp_path, channels=3))(grey.expand(-1, 3, -1, -1))
    assert torch.allclose(two, three, atol=1e-4)


def test_positions_are_interpolated_to_another_grid(tmp_path):
    model = hugging_face(tmp_path)
    with torch.no_grad():
        model.embeddings.position_embeddings[:, 1:] = torch.arange(4.0).repeat(4)[None, :, None]  # by column
    model.save_pretrained(tmp_path)
    tower = started(vision(tmp_path, image_size_px=64))
    plane = tower.positions[0, :, 0].reshape(8, 8)
    assert torch.allclose(plane, plane[:1].expand(8, -1), atol=1e-5)
    assert (plane[0].diff() > 0).all()


def test_every_dimension_that_differs_is_named_with_both_values(tmp_path):
    hugging_face(tmp_path)
    config = vision(tmp_path, width=32, heads=4)
    with pytest.raises(PretrainedError, match=r"model.encoder.vision.width is 32, there 16, .*heads is 4, there 2"):
        start_from(VisionTower(config), config)
    config = vision(tmp_path, stem="convolution")
    with pytest.raises(PretrainedError, match="stem is convolution"):
        start_from(VisionTower(config), config)


def test_more_channels_than_polarisations_can_fill_and_layer_scale_are_refused(tmp_path):
    hugging_face(tmp_path / "many", channels=12)
    config = vision(tmp_path / "many")
    with pytest.raises(PretrainedError, match="takes 12 channels"):
        start_from(VisionTower(config), config)
    (tmp_path / "scaled").mkdir()
    state = as_timm(hugging_face(tmp_path / "three")) | {"blocks.0.ls1.gamma": torch.ones(16)}
    save_file(state, tmp_path / "scaled" / "model.safetensors")
    config = vision(tmp_path / "scaled")
    with pytest.raises(PretrainedError, match=r"blocks.0.ls1.gamma is in that or in our tower only"):
        start_from(VisionTower(config), config)


def test_what_is_no_transformer_and_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(PretrainedError, match="has 0 files of weights"):
        read_pretrained(str(tmp_path))
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors")
    with pytest.raises(PretrainedError, match="it has no patch embedding"):
        read_pretrained(str(tmp_path))
    with pytest.raises(PretrainedError, match="Nothing is downloaded"):
        read_pretrained("vit_nowhere_patch16_224")


def test_a_pickle_that_would_run_code_is_not_run(tmp_path):
    class Runs:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("x",))

    torch.save({"model": Runs()}, tmp_path / "evil.pth")
    with pytest.raises(PretrainedError, match="cannot be read as weights"):
        read_pretrained(str(tmp_path / "evil.pth"))
    assert not (tmp_path / "ran").exists()


def test_heads_follow_from_the_name_of_timm(tmp_path):
    model = hugging_face(tmp_path / "hf")
    (tmp_path / "timm").mkdir()
    save_file(as_timm(model), tmp_path / "timm" / "model.safetensors")
    (tmp_path / "timm" / "config.json").write_text(json.dumps({"architecture": "vit_tiny_patch16_224"}))
    assert read_pretrained(str(tmp_path / "timm")).heads == 3


def test_a_run_starts_its_towers_and_its_teacher_from_them_and_notes_the_hash(tmp_path):
    hugging_face(tmp_path / "vit")
    sizes = toy_model().model_dump()
    for part in ("encoder", "captioner"):
        sizes[part]["vision"] = vision(tmp_path / "vit").model_dump() | {"pretrained": None}
    sizes["encoder"]["vision"]["pretrained"] = str(tmp_path / "vit")
    config = ModelConfig.model_validate(sizes)
    create_weights(HCOT, tmp_path / "weights", config, seed=0)
    assert pretrained_of(tmp_path / "weights") == {"encoder.vision": read_pretrained(str(tmp_path / "vit")).sha256}
    check_weights(tmp_path / "weights")
    model, _ = load_training_model(tmp_path / "weights")
    wanted = read_pretrained(str(tmp_path / "vit")).state["layers.0.mlp.fc1.weight"]
    for tower, same in ((model.encoder, True), (model.teacher, True), (model.captioner, False)):
        assert torch.equal(tower.vision.layers[0].mlp.fc1.weight, wanted) is same
    # The weights name no place outside of them.
    assert not any(str(tmp_path) in file.read_text() for file in (tmp_path / "weights").rglob("*.yaml"))
    assert ModelConfig.from_yaml(tmp_path / "weights" / "model.yaml") == config.without_pretrained()
    create_weights(HCOT, tmp_path / "untrained", config.without_pretrained(), seed=0)
    assert pretrained_of(tmp_path / "untrained") == {}
