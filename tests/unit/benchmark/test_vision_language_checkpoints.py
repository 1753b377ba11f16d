"""GeoChat and VHM: a small random model in the names of LLaVA 1.5, against the same model of transformers."""

import json

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.baselines.checkpoints.errors import CheckpointError
from benchmark.baselines.checkpoints.llava import _with_positions
from benchmark.baselines.checkpoints.vision_language import AFTER, BEFORE
from benchmark.datasets.base import Described, DescribedImages
from benchmark.datasets.pictures import as_backscatter
from benchmark.datasets.question_words import words_of
from benchmark.suite.base import METHODS, AnswerReader, ClauseReader, Disclosing, ImageEncoder, MapEncoder, MethodInputs
from benchmark.suite.tasks.vqa import VQA
from hcot_llm.schema.files import default_schema

SIDE = 336
LAYERS = [1, 2, 3]
END = 1


def images(count=2):
    generator = np.random.default_rng(0)
    return [as_backscatter(generator.integers(0, 255, (40, 50)).astype(np.uint8)) for _ in range(count)]


def write_tokenizer(folder):
    """Bytes are its words, so that it reads every text."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<s>": 0, "</s>": END} | {letter: index + 2 for index, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.save_pretrained(folder)
    return fast


def small_llava() -> LlavaForConditionalGeneration:
    torch.manual_seed(5)
    vision = {"hidden_size": 64, "num_hidden_layers": 3, "num_attention_heads": 1, "intermediate_size": 32}
    text = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = LlavaConfig(
        vision_config=CLIPVisionConfig(**vision, image_size=SIDE, patch_size=56),
        text_config=LlamaConfig(**text, vocab_size=258, intermediate_size=32),
        vision_feature_layer=LAYERS,
        vision_feature_select_strategy="default",
    )
    model = LlavaForConditionalGeneration(config).eval()
    for each in model.parameters():
        torch.nn.init.normal_(each, std=0.3)
    return model


def write_llava(folder, model, *, tower_apart=False):
    """A folder as LLaVA 1.5 is published: two files of weights, the image encoder in them or apart."""
    folder.mkdir(parents=True)
    own = model.state_dict()
    tower = {name.removeprefix("model.vision_tower."): v for name, v in own.items() if ".vision_tower." in name}
    first, second = {}, {"lm_head.weight": own["lm_head.weight"]}
    for name, value in own.items():
        if name.startswith("model.language_model."):
            first["model." + name.removeprefix("model.language_model.")] = value
    for number, name in ((0, "linear_1"), (2, "linear_2")):
        for kind in ("weight", "bias"):
            second[f"model.mm_projector.{number}.{kind}"] = own[f"model.multi_modal_projector.{name}.{kind}"]
    if tower_apart:
        (folder / "vision_tower").mkdir()
        apart = {f"vision_model.{name}": value for name, value in tower.items()}
        torch.save(apart, folder / "vision_tower" / "pytorch_model.bin")
    else:
        second |= {f"model.vision_tower.vision_tower.vision_model.{name}": value for name, value in tower.items()}
    torch.save(first, folder / "pytorch_model-00001-of-00002.bin")
    torch.save(second, folder / "pytorch_model-00002-of-00002.bin")
    text = model.config.text_config
    sizes = {name: getattr(text, name) for name in ("vocab_size", "hidden_size", "intermediate_size")}
    sizes |= {name: getattr(text, name) for name in ("num_hidden_layers", "num_attention_heads", "num_key_value_heads")}
    sizes |= {"model_type": "geochat", "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": LAYERS}
    (folder / "config.json").write_text(json.dumps(sizes))
    return write_tokenizer(folder)


def opened(folder):
    return METHODS["vhm"].open(MethodInputs(checkpoints_dir=folder))


@pytest.mark.parametrize("tower_apart", [False, True])
@torch.no_grad()
def test_the_features_are_the_mean_of_the_pieces_that_the_language_model_reads(tmp_path, tower_apart):
    model = small_llava()
    write_llava(tmp_path / "vhm", model, tower_apart=tower_apart)
    method = opened(tmp_path)
    assert all(isinstance(method, kind) for kind in (ImageEncoder, MapEncoder, ClauseReader, AnswerReader, Disclosing))
    pixels = method.images_of(images())
    assert pixels.shape == (2, 3, SIDE, SIDE)
    pieces = model.model.get_image_features(pixels, vision_feature_layer=LAYERS).pooler_output
    wanted = torch.stack(list(pieces)).mean(1).numpy()
    assert np.allclose(method.embed(images()), wanted, atol=1e-5)
    assert method.map_network()[1] == (16,)


@torch.no_grad()
def test_an_answer_is_as_probable_as_its_writing_letter_by_letter(tmp_path):
    model = small_llava()
    tokenizer = write_llava(tmp_path / "vhm", model)
    method = opened(tmp_path)
    answers = ("no", "yes", "none at all")
    found = method.read_answers(images(1), {"q": "Is it so?"}, {"q": answers})["q"]
    asked = "The image is a synthetic aperture radar (SAR) image. Is it so? Answer with one of: no, yes, none at all."
    words = model.get_input_embeddings()

    def ids(text):
        return torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])

    pieces = torch.stack(list(model.model.get_image_features(method.images_of(images(1))).pooler_output))
    logs = []
    for answer in answers:
        tail = torch.cat([ids(f" {answer}"), torch.tensor([[END]])], dim=1)
        prompt = [words(ids(BEFORE)), pieces, words(ids(AFTER.format(question=asked)))]
        whole = model(inputs_embeds=torch.cat([*prompt, words(tail)], dim=1)).logits[0].double().log_softmax(-1)
        behind = whole[-tail.shape[1] - 1 : -1]
        logs.append(behind.gather(1, tail.T).sum())
    assert np.allclose(found[0], torch.stack(logs).softmax(0).numpy(), atol=1e-6)
    assert found.sum() == pytest.approx(1)


def test_clauses_are_asked_by_the_prompts_of_captioners_and_get_a_distribution(tmp_path):
    write_llava(tmp_path / "vhm", small_llava())
    values = default_schema().vocabulary["terrain"]
    found = opened(tmp_path).read_clauses(images(1), {"terrain": values})["terrain"]
    assert found.shape == (1, len(values))
    assert found.sum() == pytest.approx(1)


def test_questions_in_words_are_a_setting_of_visual_question_answering(tmp_path):
    write_llava(tmp_path / "vhm", small_llava())
    method = opened(tmp_path)
    assert [VQA.applies(setting, method) for setting in VQA.settings] == [True, True]
    values = {"count": ("0", "1"), "all_landforms:water": ("no", "yes"), "land_cover_share:water": ("0.0", "1.0")}
    answers = {name: [choice[0]] * 2 for name, choice in values.items()}
    part = DescribedImages(images(2), answers, [""] * 2, ["a", "b"])
    data = Described(values, part, part, asked={name: words_of(name) for name in values})
    scores = VQA.run(data, "zero_shot", method, 0).scores
    assert 0 <= scores["exact"].value <= 1
    assert {"exact_grey", "exact_shuffled", "ece"} <= set(scores)


def test_positions_of_another_size_of_images_are_interpolated_with_their_corners_kept():
    torch.manual_seed(0)
    tower = {
        "embeddings.position_embedding.weight": torch.randn(1 + 4, 3),
        "embeddings.patch_embedding.weight": torch.randn(3, 3, 14, 14),
    }
    before = tower["embeddings.position_embedding.weight"]
    after = _with_positions(tower, 3 * 14)["embeddings.position_embedding.weight"]
    assert after.shape == (10, 3)
    assert torch.equal(after[0], before[0])
    assert torch.allclose(after[[1, 3, 7, 9]], before[1:], atol=1e-6)


def test_a_folder_that_is_no_llava_model_is_refused_with_what_it_lacks(tmp_path):
    folder = tmp_path / "vhm"
    folder.mkdir()
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        opened(tmp_path)
    (folder / "config.json").write_text("{}")
    with pytest.raises(CheckpointError, match="no mm_projector_type"):
        opened(tmp_path)
    (folder / "config.json").write_text('{"mm_projector_type": "mlp2x_gelu"}')
    with pytest.raises(CheckpointError, match=r"has no weights: model\*\.safetensors"):
        opened(tmp_path)
    torch.save({"lm_head.weight": torch.zeros(2, 2)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="that of CLIP belongs into vision_tower"):
        opened(tmp_path)
