"""Encoder, captioner, checkpoints and scores at toy size."""

import copy

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from model.captioner import SarCaptioner
from model.checkpoint import load_captioner, load_encoder, load_tokenizer, save_model, weights_sha256
from model.clause_text import ClauseText
from model.config import ModelConfig
from model.encoder import ITM_MATCH, SarEncoder
from model.score import Scorer
from model.tokenizer import encode_texts, plain_ids, train_tokenizer
from support.paths import ROOT
from support.toy_model import CAPTIONS, NAMES, VALUES, toy

CONFIGS = ROOT / "configs" / "model"


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([text for slot in VALUES for text in slot] + NAMES, 320)


@pytest.fixture(scope="module")
def parts(tokenizer):
    torch.manual_seed(0)
    config = toy()
    encoder = SarEncoder.from_sizes(config.encoder, len(NAMES)).eval()
    return encoder, SarCaptioner.from_sizes(config.captioner, len(NAMES), tokenizer).eval()


@pytest.fixture(scope="module")
def images():
    return torch.randn(3, 2, 32, 32, generator=torch.Generator().manual_seed(1))


def test_configurations_load_and_refuse_unknown_keys(tmp_path):
    paper = ModelConfig.from_yaml(CONFIGS / "paper.yaml")
    assert (paper.encoder.vision.depth, paper.encoder.text.depth, paper.encoder.embed_dim) == (12, 12, 256)
    assert (paper.objective.queue_size, paper.objective.momentum, paper.objective.temperature) == (57600, 0.995, 0.07)
    assert ModelConfig.from_yaml(CONFIGS / "tiny.yaml").encoder.vision.stem == "convolution"
    (tmp_path / "typo.yaml").write_text("objective: {queue_sise: 3}")
    with pytest.raises(ValueError, match="queue_sise"):
        ModelConfig.from_yaml(tmp_path / "typo.yaml")
    with pytest.raises(ValidationError, match="square"):
        toy(captioner=toy().captioner.model_dump() | {"prefix_tokens": 5})


def test_zero_shot_gives_distributions_and_depends_on_the_image(parts, images, tokenizer):
    encoder, _ = parts
    clause_text = ClauseText.from_texts(tokenizer, NAMES, VALUES)
    with torch.no_grad():
        slots = encoder.zero_shot(images, clause_text)
    assert [tuple(slot.shape) for slot in slots] == [(3, 2), (3, 3)]
    assert all(torch.allclose(slot.exp().sum(1), torch.ones(3), atol=1e-5) for slot in slots)
    assert not torch.allclose(slots[1][0], slots[1][1])
    # New values, another number of slots: nothing is tied to the vocabulary of training.
    other = ClauseText.from_texts(tokenizer, ["cloud"], [["no", "some", "many", "full"]])
    assert encoder.zero_shot(images, other)[0].shape == (3, 4)


def test_padding_changes_no_embedding(parts, tokenizer):
    encoder, _ = parts
    alone = encoder.embed_text(*encode_texts(tokenizer, CAPTIONS[:1], 32))[0]
    beside = encoder.embed_text(*encode_texts(tokenizer, [CAPTIONS[0], CAPTIONS[1] * 2], 32))[0]
    assert torch.allclose(alone[0], beside[0], atol=1e-5)


def test_text_encoder_is_not_causal(parts, tokenizer):
    encoder, _ = parts
    ids, mask = encode_texts(tokenizer, ["plain hills", "plain ships"], 32)
    assert not torch.allclose(*encoder.embed_text(ids, mask)[0])
    tokens = torch.randn(2, 16, 16)
    start = encoder.embed_text(ids, mask)[1]
    changed = start.clone()
    changed[:, -1] += 1.0
    assert not torch.allclose(encoder.match_logits(start, mask, tokens), encoder.match_logits(changed, mask, tokens))


def test_fusion_starts_at_the_configured_layer(tokenizer):
    for unimodal, start in ((2, 0), (1, 1)):
        config = toy()
        text = config.encoder.text.model_copy(update={"unimodal_depth": unimodal, "fusion_start": start})
        encoder = SarEncoder.from_sizes(config.encoder.model_copy(update={"text": text}), len(NAMES))
        ids, mask = encode_texts(tokenizer, CAPTIONS, 32)
        embedding, states = encoder.embed_text(ids, mask)
        encoder.match_logits(states, mask, torch.randn(3, 16, 16)).sum().backward()
        assert embedding.shape == (3, 16)
        cross = [hasattr(layer, "crossattention") for layer in encoder.text.layers]
        assert cross == [True, True] if start == 0 else [False, True]


def test_scores_are_those_of_the_modules_themselves(parts, images, tokenizer):
    encoder, _ = parts
    scorer = Scorer(encoder, tokenizer, batch_size=2)
    tokens = scorer.image_tokens(images)
    groups = [[CAPTIONS[0], "No ship."], [CAPTIONS[1]], [CAPTIONS[2], "One ship.", "It is plain."]]
    similarity, match = scorer.agreement(tokens, groups)
    assert [len(group) for group in similarity] == [len(group) for group in match] == [2, 1, 3]
    image = scorer.image_embeddings(tokens)
    assert similarity[2][1].item() == pytest.approx(
        (image[2] @ scorer.text_embeddings(["One ship."])[0]).item(), abs=1e-5
    )
    ids, mask = encode_texts(tokenizer, [CAPTIONS[1]], 32)
    with torch.no_grad():
        logits = encoder.match_logits(encoder.embed_text(ids, mask)[1], mask, tokens[1:2])
    assert match[1].item() == pytest.approx(logits.softmax(-1)[0, ITM_MATCH].item(), abs=1e-5)
    slots = scorer.zero_shot(tokens, ClauseText.from_texts(tokenizer, NAMES, VALUES))
    assert [tuple(slot.shape) for slot in slots] == [(3, 2), (3, 3)]
    with pytest.raises(ValueError, match="one group per tile"):
        scorer.agreement(tokens, groups[:2])


class Elsewhere(torch.nn.Module):
    """An encoder on a device without values: it notes where its inputs lie."""

    def __init__(self, config) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1, device="meta"))
        self.config, self.seen = config, []

    def embed_image(self, rows):
        self.seen.append(rows.device.type)
        return torch.zeros(len(rows), 2)

    image_tokens = embed_image

    def embed_text(self, ids, mask):
        self.seen += [ids.device.type, mask.device.type]
        return torch.zeros(len(ids), 2), None

    def clause_log_probabilities(self, rows, clause_text):
        self.seen += [rows.device.type, clause_text.names.device.type, clause_text.values_mask.device.type]
        return [torch.zeros(len(rows), 2)]


def test_the_scorer_brings_everything_to_the_device_of_the_encoder(parts, images, tokenizer):
    encoder = Elsewhere(parts[0].config)
    scorer = Scorer(encoder, tokenizer, batch_size=2)
    scorer.image_embeddings(scorer.image_tokens(images))
    scorer.text_embeddings(CAPTIONS)
    scorer.zero_shot(images, ClauseText.from_texts(tokenizer, NAMES, VALUES))
    assert len(encoder.seen) == 2 + 2 + 2 * 2 + 2 * 3
    assert set(encoder.seen) == {"meta"}


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_scores_of_a_gpu_are_those_of_the_cpu_and_lie_there(parts, images, tokenizer):
    clause_text = ClauseText.from_texts(tokenizer, NAMES, VALUES)
    groups = [[CAPTIONS[0], "No ship."], [CAPTIONS[1]], [CAPTIONS[2], "One ship.", "It is plain."]]

    def scores(encoder):
        scorer = Scorer(encoder, tokenizer, batch_size=2)
        tokens = scorer.image_tokens(images)
        return [
            scorer.image_embeddings(tokens),
            scorer.text_embeddings(CAPTIONS),
            *scorer.zero_shot(tokens, clause_text),
            *(each for found in scorer.agreement(tokens, groups) for each in found),
        ]

    for here, there in zip(scores(parts[0]), scores(copy.deepcopy(parts[0]).to("cuda")), strict=True):
        assert there.device.type == "cpu"
        assert torch.allclose(here, there, atol=1e-3)


def test_the_plain_decoder_says_of_prompt_embeddings_what_the_captioner_says(parts, images, tokenizer, tmp_path):
    _, captioner = parts
    captioner.save_pretrained(tmp_path, tokenizer)
    decoder = LlamaForCausalLM.from_pretrained(tmp_path / "decoder").eval()
    assert decoder.config.tie_word_embeddings is False
    prompts = [plain_ids(tokenizer, text) for text in ("ship: ", "terrain and ship: ", "x")]
    embeddings = captioner.prompt_embeddings(images, prompts)
    assert [tuple(e.shape) for e in embeddings] == [(4 + 2 + len(p), 32) for p in prompts]
    assert all(e.dtype == torch.float32 for e in embeddings)
    for index, (start, ids) in enumerate(zip(embeddings, prompts, strict=True)):
        with torch.no_grad():
            plain = decoder(inputs_embeds=start[None]).logits[0, -1]
            whole = captioner(images[index : index + 1], torch.tensor([ids]))[0, -1]
        assert torch.allclose(plain, whole, atol=1e-4)


def test_right_padding_changes_no_state(parts, images):
    _, captioner = parts
    prefix = captioner.prefix(images[:1])
    short, long = torch.tensor([[5, 6, 7]]), torch.tensor([[5, 6, 7, 0, 0]])
    states = captioner.hidden_states(prefix, short)
    padded = captioner.hidden_states(prefix, long)
    assert torch.allclose(states, padded[:, :3], atol=1e-5)


def test_a_checkpoint_is_read_back_with_its_hash(parts, images, tokenizer, tmp_path):
    encoder, captioner = parts
    save_model(tmp_path / "a", encoder, captioner, tokenizer)
    assert not [path for path in (tmp_path / "a").rglob("*") if path.suffix in {".bin", ".pt", ".pkl"}]
    again, caption = load_encoder(tmp_path / "a"), load_captioner(tmp_path / "a")
    assert torch.equal(again.image_tokens(images), encoder.image_tokens(images))
    assert torch.equal(caption.prefix(images), captioner.prefix(images))
    assert load_tokenizer(tmp_path / "a").get_vocab() == tokenizer.get_vocab()
    digest = weights_sha256(tmp_path / "a")
    assert len(digest) == 64
    path = tmp_path / "a" / "encoder" / "model.safetensors"
    state = load_file(path)
    save_file(dict(reversed(state.items())), path, metadata={"format": "pt", "note": "other layout"})
    assert weights_sha256(tmp_path / "a") == digest
    changed = copy.deepcopy(encoder)
    with torch.no_grad():
        changed.match_head.bias[0] += 1e-3
    save_model(tmp_path / "b", changed, captioner, tokenizer)
    assert weights_sha256(tmp_path / "b") != digest


def test_missing_models_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="save_model"):
        load_encoder(tmp_path)
    with pytest.raises(FileNotFoundError, match="safetensors"):
        weights_sha256(tmp_path)
