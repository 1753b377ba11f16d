"""Anybody's encoder: Hugging Face folders with random weights of the right architecture, and what is refused."""

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig, ViTConfig, ViTModel

from benchmark.baselines.outside_encoder import OutsideEncoder, as_map
from benchmark.datasets.pictures import as_backscatter
from benchmark.suite.base import ImageEncoder, MapEncoder, MethodInputs, MethodMissing
from benchmark.suite.tasks.detection import DetectionTask

SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
VISION = {**SMALL, "image_size": 32, "patch_size": 16}


def images(count=3):
    generator = np.random.default_rng(0)
    return [as_backscatter(generator.integers(0, 255, (40, 50)).astype(np.uint8)) for _ in range(count)]


def opened(folder):
    return OutsideEncoder().open(MethodInputs(encoder=str(folder)))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_a_vision_transformer_gives_features_of_every_image(tmp_path, channels):
    ViTModel(ViTConfig(**VISION, num_channels=channels)).save_pretrained(tmp_path)
    encoder = opened(tmp_path)
    assert isinstance(encoder, ImageEncoder)
    assert encoder.images_of(images()).shape == (3, channels, 32, 32)
    features = encoder.embed(images())
    assert features.shape == (3, 32)
    assert not np.allclose(features[0], features[1])


def test_the_patches_of_a_vision_transformer_are_a_map_that_a_light_head_searches(tmp_path):
    ViTModel(ViTConfig(**VISION, num_channels=2)).save_pretrained(tmp_path)
    encoder = opened(tmp_path)
    assert isinstance(encoder, MapEncoder)
    network, widths = encoder.map_network()
    [found] = network(encoder.map_images(images()))
    assert (tuple(found.shape), widths) == ((3, 16, 2, 2), (16,))
    task = DetectionTask("", ())
    assert [task.applies(setting, encoder) for setting in task.settings] == [True, False]


def test_tokens_before_the_patches_are_no_part_of_the_map():
    tokens = torch.arange(6).reshape(1, 6, 1)
    assert as_map(tokens).tolist() == [[[[2, 3], [4, 5]]]]


def test_of_clip_the_vision_half_is_asked(tmp_path):
    text = CLIPTextConfig(**SMALL, vocab_size=20, max_position_embeddings=8)
    config = CLIPConfig(text_config=text.to_dict(), vision_config=CLIPVisionConfig(**VISION).to_dict())
    CLIPModel(config).save_pretrained(tmp_path)
    assert opened(tmp_path).embed(images()).shape == (3, 32)


def test_a_folder_without_safetensors_is_refused(tmp_path):
    with pytest.raises(MethodMissing, match="weights not found at"):
        opened(tmp_path)
    ViTConfig(**VISION).save_pretrained(tmp_path)
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(MethodMissing, match="it takes config.json and safetensors"):
        opened(tmp_path)


def test_channels_that_sar_cannot_fill_are_refused(tmp_path):
    ViTModel(ViTConfig(**VISION, num_channels=13)).save_pretrained(tmp_path)
    with pytest.raises(MethodMissing, match="take 13 channels"):
        opened(tmp_path)


def test_a_row_without_an_encoder_says_what_to_name():
    with pytest.raises(MethodMissing, match="--encoder"):
        OutsideEncoder().open(MethodInputs())
