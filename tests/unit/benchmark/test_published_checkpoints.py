"""Published checkpoints: random weights of the right architecture, in the names in which others write them."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.baselines.checkpoints.dofa import generated_patches
from benchmark.baselines.checkpoints.entries import CHECKPOINTS
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.datasets.pictures import as_backscatter
from benchmark.suite.base import METHODS, Disclosing, ImageEncoder, MethodInputs, MethodMissing, PairEncoder
from benchmark.suite.config import BenchmarkConfig

WORDS = ["a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>"]


def images(count=3):
    generator = np.random.default_rng(0)
    return [as_backscatter(generator.integers(0, 255, (40, 50)).astype(np.uint8)) for _ in range(count)]


def opened(name, folder, state=None):
    if state is not None:
        (folder / name).mkdir()
        torch.save(state, folder / name / (CHECKPOINTS[name].file or "weights.pth"))
    return METHODS[name].open(MethodInputs(checkpoints_dir=folder))


def clip() -> CLIPModel:
    torch.manual_seed(2)
    half = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 1, "intermediate_size": 96}
    common = {**half, "projection_dim": 24, "hidden_act": "gelu"}
    config = CLIPConfig(
        vision_config={**common, "image_size": 32, "patch_size": 16},
        text_config={
            **common,
            "vocab_size": len(WORDS),
            "max_position_embeddings": 8,
            "bos_token_id": 2,
            "eos_token_id": 3,
        },
        projection_dim=24,
    )
    model = CLIPModel(config).eval()
    for each in model.parameters():
        nn.init.normal_(each, std=0.2)
    return model


def as_open_clip(model: CLIPModel) -> dict[str, torch.Tensor]:
    """The weights of a CLIP of transformers in open_clip's names."""
    own = model.state_dict()
    found = {"logit_scale": own["logit_scale"], "text_projection": own["text_projection.weight"].T}
    found["visual.proj"] = own["visual_projection.weight"].T
    for old, new in (("text_model.embeddings.token_embedding.weight", "token_embedding.weight"),):
        found[new] = own[old]
    found["positional_embedding"] = own["text_model.embeddings.position_embedding.weight"]
    found["visual.positional_embedding"] = own["vision_model.embeddings.position_embedding.weight"]
    found["visual.class_embedding"] = own["vision_model.embeddings.class_embedding"]
    found["visual.conv1.weight"] = own["vision_model.embeddings.patch_embedding.weight"]
    for kind in ("weight", "bias"):
        found[f"visual.ln_pre.{kind}"] = own[f"vision_model.pre_layrnorm.{kind}"]
        found[f"visual.ln_post.{kind}"] = own[f"vision_model.post_layernorm.{kind}"]
        found[f"ln_final.{kind}"] = own[f"text_model.final_layer_norm.{kind}"]
        for half, before in (("vision_model", "visual."), ("text_model", "")):
            for number in range(2):
                old, new = f"{half}.encoder.layers.{number}.", f"{before}transformer.resblocks.{number}."
                parts = [own[f"{old}self_attn.{letter}_proj.{kind}"] for letter in "qkv"]
                found[f"{new}attn.in_proj_{kind}"] = torch.cat(parts)
                names = {"self_attn.out_proj": "attn.out_proj", "layer_norm1": "ln_1", "layer_norm2": "ln_2"}
                for theirs, ours in {**names, "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}.items():
                    found[f"{new}{ours}.{kind}"] = own[f"{old}{theirs}.{kind}"]
    return {name: value.contiguous().clone() for name, value in found.items()}


def write_vocabulary(folder):
    (folder / "vocab.json").write_text(json.dumps({word: index for index, word in enumerate(WORDS)}))
    (folder / "merges.txt").write_text("#version: 0.2\n")


@torch.no_grad()
def test_a_clip_of_open_clip_says_what_the_same_clip_of_transformers_says(tmp_path):
    model = clip()
    method = opened("remote_clip", tmp_path, {"state_dict": {f"module.{k}": v for k, v in as_open_clip(model).items()}})
    assert isinstance(method, ImageEncoder)
    assert not isinstance(method, PairEncoder)  # OpenAI's vocabulary is not beside the weights
    pixels = method.images_of(images())
    assert pixels.shape == (3, 3, 32, 32)
    said = model.vision_model(pixel_values=pixels)
    wanted = torch.cat([said.pooler_output, said.last_hidden_state[:, 1:].mean(1)], dim=1)
    assert np.allclose(method.embed(images()), wanted.numpy(), atol=1e-5)
    write_vocabulary(tmp_path / "remote_clip")
    method = opened("remote_clip", tmp_path)
    assert isinstance(method, PairEncoder)
    seen, read = method.embed_pairs(images(), ["a", "a b", "a b a b a b a b a b"])
    ids = torch.tensor([[2, 0, 1, 3]])
    wanted = F.normalize(model.text_projection(model.text_model(input_ids=ids).pooler_output), dim=1)
    assert np.allclose(read[1], wanted[0].numpy(), atol=1e-5)
    wanted = F.normalize(model.visual_projection(said.pooler_output), dim=1)
    assert np.allclose(seen, wanted.numpy(), atol=1e-5)
    assert isinstance(method, Disclosing)
    assert method.weights_sha256[:16] in method.disclosure


def vit(channels: int, heads: int = 1, width: int = 64) -> tuple[ViTModel, dict[str, torch.Tensor]]:
    """A random vision transformer, and its weights in timm's names without the patch embedding."""
    torch.manual_seed(3)
    config = ViTConfig(
        hidden_size=width,
        num_hidden_layers=1,
        num_attention_heads=heads,
        intermediate_size=32,
        image_size=32,
        patch_size=16,
        num_channels=channels,
        layer_norm_eps=1e-6,
    )
    model = ViTModel(config, add_pooling_layer=False).eval()
    for each in model.parameters():
        nn.init.normal_(each, std=0.1)
    own = model.state_dict()
    state = {"cls_token": own["embeddings.cls_token"], "pos_embed": own["embeddings.position_embeddings"]}
    for kind in ("weight", "bias"):
        state[f"norm.{kind}"] = own[f"layernorm.{kind}"]
        parts = [own[f"layers.0.attention.{letter}_proj.{kind}"] for letter in "qkv"]
        state[f"blocks.0.attn.qkv.{kind}"] = torch.cat(parts)
        for old, new in (
            *(("attention.o_proj", "attn.proj"), ("layernorm_before", "norm1"), ("layernorm_after", "norm2")),
            *(("mlp.fc1", "mlp.fc1"), ("mlp.fc2", "mlp.fc2")),
        ):
            state[f"blocks.0.{new}.{kind}"] = own[f"layers.0.{old}.{kind}"]
    return model, state


@torch.no_grad()
def test_prithvi_is_a_plain_transformer_of_one_frame_whose_six_bands_are_filled(tmp_path):
    model, state = vit(6, heads=16)
    projection = model.embeddings.patch_embeddings.projection
    series = torch.cat([state["pos_embed"], torch.randn(1, 12, 64)], dim=1)  # three more frames
    file = {**state, "pos_embed": series, "patch_embed.proj.weight": projection.weight[:, :, None]}
    file |= {"patch_embed.proj.bias": projection.bias, "mask_token": torch.zeros(1)}
    method = opened("prithvi", tmp_path, {f"encoder.{name}": value for name, value in file.items()})
    pixels = method.images_of(images())
    assert pixels.shape == (3, 6, 32, 32)
    assert torch.equal(pixels[:, :3], pixels[:, 3:])
    states = model(pixel_values=pixels).last_hidden_state
    wanted = torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)
    assert np.allclose(method.embed(images()), wanted.numpy(), atol=1e-5)


class Generator(nn.Module):
    """A weight generator as DOFA's, by the modules of torch."""

    def __init__(self, width=8, out=64, side=16):
        super().__init__()
        layer = nn.TransformerEncoderLayer(width, 4, activation="gelu", dropout=0)
        self.transformer_encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.fc_weight, self.fc_bias = nn.Linear(width, side * side * out), nn.Linear(width, out)
        self.weight_tokens = nn.Parameter(torch.randn(5, width))
        self.bias_token = nn.Parameter(torch.randn(1, width))


@torch.no_grad()
def test_dofa_makes_its_patch_embedding_from_the_wavelengths(tmp_path):
    torch.manual_seed(0)
    generator, first, second = Generator().eval(), nn.Linear(8, 8), nn.Linear(8, 8)
    before = {f"weight_generator.{name}": value for name, value in generator.state_dict().items()}
    for name, layer in (("w1", first), ("w2", second)):
        before |= {f"fclayer.{name}.{kind}": value for kind, value in layer.state_dict().items()}
    _, state = vit(2)
    state |= {f"patch_embed.{name}": value for name, value in before.items()}
    patches = generated_patches(state, (3.75, 0.5), tmp_path)
    rates = 10000.0 ** -(torch.arange(4) / 4)
    waves = torch.stack([torch.cat([(each * rates).sin(), (each * rates).cos()]) for each in (3750.0, 500.0)])
    waves = waves + second(first(waves).relu()).relu()
    tokens = torch.cat([generator.weight_tokens, waves, generator.bias_token])[:, None]
    said = generator.transformer_encoder(tokens)[:, 0]
    wanted = generator.fc_weight(said[5:7] + waves).reshape(64, 2, 16, 16) * 0.01
    assert torch.allclose(patches.weight, wanted, atol=1e-6)
    assert torch.allclose(patches.bias, generator.fc_bias(said[7]) * 0.01, atol=1e-6)
    method = opened("dofa", tmp_path, {"model": state})
    assert method.embed(images()).shape == (3, 128)
    assert "3.75, 3.75 um" in method.disclosure


@pytest.mark.parametrize("name", list(CHECKPOINTS))
def test_a_row_keeps_its_place_without_weights_and_says_where_they_are_to_be_had(name, tmp_path):
    entry = CHECKPOINTS[name]
    with pytest.raises(MethodMissing) as error:
        opened(name, tmp_path)
    place = tmp_path / name / entry.file if entry.file else tmp_path / name
    assert str(error.value) == f"weights not found at {place}, get them from {entry.source}"


@pytest.mark.parametrize("name", [name for name, entry in CHECKPOINTS.items() if not entry.takes_folder])
def test_another_file_of_that_name_is_refused(name, tmp_path):
    with pytest.raises(CheckpointError, match=r"(has no|holds no) "):
        opened(name, tmp_path, {"a": torch.zeros(1)})


def test_a_file_elsewhere_is_named_by_its_method(tmp_path):
    save_file(as_open_clip(clip()), tmp_path / "mine.safetensors")
    inputs = MethodInputs(checkpoints={"geo_rsclip": tmp_path / "mine.safetensors"})
    assert "activation quick_gelu" in METHODS["geo_rsclip"].open(inputs).disclosure
    with pytest.raises(ValueError, match="no published checkpoint 'geo'"):
        BenchmarkConfig.model_validate({"checkpoints": {"geo": "x"}})
