"""Published checkpoints that know radar or Sentinel-1: random weights in the names of their authors, computed anew."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.baselines.checkpoints.copernicus import fourier
from benchmark.baselines.checkpoints.entries import CHECKPOINTS
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.terramind import MODALITY, sine_positions
from benchmark.suite.base import METHODS, Disclosing, ImageEncoder, MapEncoder, MethodInputs, MethodMissing
from corpus.geotiff.backscatter import Backscatter

WIDTH, SIDE = 64, 32


def images(count=3):
    generator = np.random.default_rng(0)
    bands = generator.normal([[[-12]], [[-19]]], 4, (count, 2, 40, 50)).astype(np.float32)
    return [Backscatter(each, ("VV", "VH")) for each in bands]


def opened(name, folder, state):
    (folder / name).mkdir(exist_ok=True)
    torch.save({"model": state}, folder / name / (CHECKPOINTS[name].file or "weights.pth"))
    return METHODS[name].open(MethodInputs(checkpoints_dir=folder))


def random(*shape):
    return torch.randn(*shape) * 0.2


def layer(before, width, *, hidden=32, attention=True, biases=True, gated=False):
    """Random tensors of a layer in timm's names."""
    shapes = {"norm2.weight": (width,), "mlp.fc1.weight": (hidden, width), "mlp.fc2.weight": (width, hidden)}
    if gated:
        shapes["mlp.fc3.weight"] = (hidden, width)
    if attention:
        shapes |= {"norm1.weight": (width,), "attn.qkv.weight": (3 * width, width), "attn.proj.weight": (width, width)}
    shapes |= {
        name.replace("weight", "bias"): shape[:1] for name, shape in shapes.items() if biases or name.startswith("norm")
    }
    return {f"{before}{name}": random(*shape) for name, shape in shapes.items()}


def said(tokens, state, before, *, heads=1, gated=False):
    """What such a layer makes of tokens [B, N, D], by torch's own attention."""
    own = {name.removeprefix(before): value for name, value in state.items() if name.startswith(before)}
    width = tokens.shape[-1]

    def norm(x, name):
        return F.layer_norm(x, (width,), own[f"{name}.weight"], own.get(f"{name}.bias"), eps=1e-6)

    if "attn.qkv.weight" in own:
        attention = nn.MultiheadAttention(width, heads, batch_first=True, bias="attn.qkv.bias" in own)
        parts = {"in_proj_weight": own["attn.qkv.weight"], "out_proj.weight": own["attn.proj.weight"]}
        if "attn.qkv.bias" in own:
            parts |= {"in_proj_bias": own["attn.qkv.bias"], "out_proj.bias": own["attn.proj.bias"]}
        attention.load_state_dict(parts)
        seen = norm(tokens, "norm1")
        tokens = tokens + attention(seen, seen, seen)[0]
    seen = norm(tokens, "norm2")
    inside = F.linear(seen, own["mlp.fc1.weight"], own.get("mlp.fc1.bias"))
    inside = F.silu(inside) * F.linear(seen, own["mlp.fc3.weight"]) if gated else F.gelu(inside)
    return tokens + F.linear(inside, own["mlp.fc2.weight"], own.get("mlp.fc2.bias"))


def itpn_state():
    """A pyramid of one layer a stage; with parts of the decoder, which the published file has too."""
    torch.manual_seed(0)
    quarter, half = WIDTH // 4, WIDTH // 2
    state = {"patch_embed.proj.weight": random(quarter, 3, 4, 4), "patch_embed.proj.bias": random(quarter)}
    state |= {"patch_embed.norm.weight": random(quarter), "patch_embed.norm.bias": random(quarter)}
    state |= layer("blocks.0.", quarter, attention=False)
    state |= {"blocks.1.norm.weight": random(4 * quarter), "blocks.1.norm.bias": random(4 * quarter)}
    state |= {"blocks.1.reduction.weight": random(half, 4 * quarter)}
    state |= layer("blocks.2.", half, attention=False)
    state |= {"blocks.3.norm.weight": random(4 * half), "blocks.3.norm.bias": random(4 * half)}
    state |= {"blocks.3.reduction.weight": random(WIDTH, 4 * half)}
    state |= layer("blocks.4.", WIDTH) | {"absolute_pos_embed": random(1, 4, WIDTH)}
    return state | layer("decoder_blocks.0.", 16) | {"mask_token": random(1, 1, 16), "align_dim_8to4.weight": random(4)}


@torch.no_grad()
def itpn_tokens(state, pixels):
    """The last tokens, each of its 4 x 4 cells worked out on its own."""
    cells = F.conv2d(pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], 4)
    cells = cells.permute(0, 2, 3, 1)
    cells = F.layer_norm(
        cells, cells.shape[-1:], state["patch_embed.norm.weight"], state["patch_embed.norm.bias"], 1e-6
    )
    tokens = []
    for row in (0, 4):
        for column in (0, 4):
            part = cells[:, row : row + 4, column : column + 4]
            for number in (0, 2):
                batch, height, width, channels = part.shape
                part = said(part.reshape(batch, -1, channels), state, f"blocks.{number}.")
                part = part.reshape(batch, height, width, channels)
                corners = [part[:, 0::2, 0::2], part[:, 1::2, 0::2], part[:, 0::2, 1::2], part[:, 1::2, 1::2]]
                before = f"blocks.{number + 1}."
                joined = torch.cat(corners, dim=-1)
                joined = F.layer_norm(
                    joined, joined.shape[-1:], state[f"{before}norm.weight"], state[f"{before}norm.bias"], 1e-6
                )
                part = F.linear(joined, state[f"{before}reduction.weight"])
            tokens.append(part[:, 0, 0])
    return said(torch.stack(tokens, dim=1) + state["absolute_pos_embed"], state, "blocks.4.")


def test_saratr_x_is_a_pyramid_whose_last_tokens_are_the_features_and_whose_stages_are_maps(tmp_path):
    state = itpn_state()
    method = opened("saratr_x", tmp_path, {f"module.{name}": value for name, value in state.items()})
    assert isinstance(method, ImageEncoder)
    assert isinstance(method, MapEncoder)
    pixels = method.images_of(images())
    assert pixels.shape == (3, 3, SIDE, SIDE)
    tokens = itpn_tokens(state, pixels)
    assert np.allclose(method.embed(images()), tokens.mean(1).numpy(), atol=1e-5)
    network, widths = method.map_network()
    maps = network(pixels)
    assert widths == (16, 32, 64)
    assert [each.shape[-1] for each in maps] == [8, 4, 2]
    assert torch.allclose(maps[-1], tokens.transpose(1, 2).reshape(3, WIDTH, 2, 2), atol=1e-5)


def test_a_pyramid_with_relative_positions_is_refused(tmp_path):
    state = itpn_state() | {"blocks.4.attn.relative_position_bias_table": random(9, 1)}
    with pytest.raises(CheckpointError, match="without relative positions"):
        opened("saratr_x", tmp_path, state)


def plain_state(channels, width=WIDTH):
    """A plain vision transformer of one layer in timm's names."""
    torch.manual_seed(1)
    state = {"cls_token": random(1, 1, width), "pos_embed": random(1, 5, width)} | layer("blocks.0.", width)
    state |= {"norm.weight": random(width), "norm.bias": random(width)}
    return state | {"patch_embed.proj.weight": random(width, channels, 16, 16), "patch_embed.proj.bias": random(width)}


def plain_features(state, tokens):
    """Class token and mean of the patches [B, N, D] without positions."""
    tokens = torch.cat([state["cls_token"].expand(len(tokens), -1, -1), tokens], dim=1) + state["pos_embed"]
    states = said(tokens, state, "blocks.0.")
    states = F.layer_norm(states, states.shape[-1:], state["norm.weight"], state["norm.bias"], 1e-6)
    return torch.cat([states[:, 0], states[:, 1:].mean(1)], dim=1)


@torch.no_grad()
def test_of_sarmae_the_encoder_of_radar_is_read_and_not_that_of_optical_images(tmp_path):
    state = plain_state(3)
    file = {f"sar_encoder.{name}": value for name, value in state.items()}
    file |= {"optical_encoder.cls_token": random(1, 1, WIDTH), "sar_alignment_ffn.0.weight": random(2, 2)}
    method = opened("sarmae", tmp_path, file)
    pixels = method.images_of(images())
    tokens = F.conv2d(pixels, state["patch_embed.proj.weight"], state["patch_embed.proj.bias"], 16)
    wanted = plain_features(state, tokens.flatten(2).transpose(1, 2))
    assert np.allclose(method.embed(images()), wanted.numpy(), atol=1e-5)


def test_of_several_files_the_one_to_read_has_to_be_named(tmp_path):
    opened("sarmae", tmp_path, plain_state(3))
    torch.save(plain_state(3), tmp_path / "sarmae" / "large.pth")
    with pytest.raises(MethodMissing, match=r"has 2 files of weights; keep one there, or name one"):
        METHODS["sarmae"].open(MethodInputs(checkpoints_dir=tmp_path))


@torch.no_grad()
def test_terramind_reads_backscatter_as_rows_of_pixels_with_gated_layers_without_biases(tmp_path):
    torch.manual_seed(2)
    state = {f"{MODALITY}proj.weight": random(WIDTH, 16 * 16 * 2), f"{MODALITY}mod_emb": random(1, 1, WIDTH)}
    state |= {f"{MODALITY}pos_emb": random(1, 4, WIDTH), "encoder_norm.weight": random(WIDTH)}
    block = layer("encoder.0.", WIDTH, biases=False, gated=True)
    block |= {name: torch.zeros(WIDTH) for name in ("encoder.0.norm1.bias", "encoder.0.norm2.bias")}
    state |= block | {"decoder.0.mlp.fc1.weight": random(2, 2)}
    method = opened("terramind", tmp_path, state)
    pixels = method.images_of(images())
    assert pixels.shape == (3, 2, SIDE, SIDE)
    rows = pixels.reshape(3, 2, 2, 16, 2, 16).permute(0, 2, 4, 3, 5, 1).reshape(3, 4, -1)
    tokens = F.linear(rows, state[f"{MODALITY}proj.weight"]) + state[f"{MODALITY}pos_emb"] + state[f"{MODALITY}mod_emb"]
    states = F.layer_norm(
        said(tokens, state, "encoder.0.", gated=True), (WIDTH,), state["encoder_norm.weight"], eps=1e-6
    )
    assert np.allclose(method.embed(images()), states.mean(1).numpy(), atol=1e-5)


def test_terramind_sees_decibels_less_their_mean_over_their_deviation(tmp_path):
    torch.manual_seed(2)
    state = {f"{MODALITY}proj.weight": random(WIDTH, 16 * 16 * 2), f"{MODALITY}mod_emb": random(1, 1, WIDTH)}
    state |= {"encoder_norm.weight": random(WIDTH)} | layer("encoder.0.", WIDTH, biases=False, gated=True)
    method = opened("terramind", tmp_path, state)  # without positions: they are made
    flat = Backscatter(np.stack([np.full((4, 4), -7.404), np.full((4, 4), -14.403)]).astype(np.float32), ("VV", "VH"))
    pixels = method.images_of([flat])
    assert pixels.shape == (1, 2, 224, 224)
    assert torch.allclose(pixels, torch.ones(1), atol=2e-3)


def test_positions_by_sines_and_cosines_are_those_worked_out_by_hand():
    found = sine_positions(2, 8)[0]
    slow = [0, 0, 1, 1, math.sin(1), math.sin(0.01), math.cos(1), math.cos(0.01)]
    assert found[1].tolist() == pytest.approx(slow[:4] + slow[4:])
    assert found[2].tolist() == pytest.approx(slow[4:] + slow[:4])


@torch.no_grad()
def test_copernicus_fm_makes_its_patches_from_wavelength_and_bandwidth_and_tells_no_place(tmp_path):
    state = plain_state(2)
    del state["patch_embed.proj.weight"], state["patch_embed.proj.bias"]
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 4, 16, 0, "gelu"), 1, enable_nested_tensor=False)
    before = "patch_embed_spectral."
    own = {f"weight_generator.transformer_encoder.{name}": value for name, value in encoder.state_dict().items()}
    own |= {"weight_generator.weight_tokens": random(6, 8), "weight_generator.bias_token": random(1, 8)}
    own |= {"weight_generator.fc_weight.weight": random(16 * 16 * WIDTH, 8)}
    own |= {"weight_generator.fc_weight.bias": random(16 * 16 * WIDTH)}
    own |= {"weight_generator.fc_bias.weight": random(WIDTH, 8), "weight_generator.fc_bias.bias": random(WIDTH)}
    for name in ("w1", "w2"):
        own |= {f"fclayer.{name}.weight": random(8, 8), f"fclayer.{name}.bias": random(8)}
    state |= {f"{before}{name}": value for name, value in own.items()}
    shift = torch.zeros(1, 1, WIDTH)
    for name in ("coord", "scale", "time"):
        parts = {f"{name}_token": random(1, 1, WIDTH), f"{name}_fc.weight": random(WIDTH, WIDTH)}
        state |= parts | {f"{name}_fc.bias": random(WIDTH)}
        shift = shift + F.linear(parts[f"{name}_token"], parts[f"{name}_fc.weight"], state[f"{name}_fc.bias"])
    method = opened("copernicus_fm", tmp_path, state)

    waves = fourier(torch.full((2,), 5e7), 8, 100, 1e9) + fourier(torch.full((2,), 1e9), 8, 1, 1e9)
    inner = F.relu(F.linear(waves, own["fclayer.w1.weight"], own["fclayer.w1.bias"]))
    waves = waves + F.relu(F.linear(inner, own["fclayer.w2.weight"], own["fclayer.w2.bias"]))
    tokens = torch.cat([own["weight_generator.weight_tokens"], waves, own["weight_generator.bias_token"]])
    made = encoder.eval()(tokens[:, None])[:, 0]
    fc = "weight_generator.fc_"
    kernels = F.linear(made[6:8] + waves, own[f"{fc}weight.weight"], own[f"{fc}weight.bias"]).view(2, 16, 16, WIDTH)
    bias = F.linear(made[8], own[f"{fc}bias.weight"], own[f"{fc}bias.bias"])
    pixels = method.images_of(images())
    patches = F.conv2d(pixels, kernels.permute(3, 0, 1, 2) * 0.01, bias * 0.01, 16, 1).flatten(2).transpose(1, 2)
    wanted = plain_features({**state, "pos_embed": state["pos_embed"] + shift}, patches)
    assert np.allclose(method.embed(images()), wanted.numpy(), atol=1e-4)
    assert isinstance(method, Disclosing)
    assert "place, area and time not told" in method.disclosure


def test_wavelengths_are_told_apart_by_sines_and_cosines_worked_out_by_hand():
    found = fourier(torch.tensor([25.0]), 4, 100, 1e4)[0]
    assert found.tolist() == pytest.approx([1, math.sin(math.pi / 200), 0, math.cos(math.pi / 200)], abs=1e-6)
