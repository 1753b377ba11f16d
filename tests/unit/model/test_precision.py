"""Training and scoring in lower precision, and with activations that are computed again, against float32 as it is."""

import copy

import pytest
import torch

from corpus.storage.precision import EPSILON, log_probability_tolerance
from model.acceleration import compile_towers, recompute_activations
from model.clause_text import ClauseText
from model.losses.reconstruction import answer_labels
from model.precision import use_precision
from model.score import Scorer
from model.tokenizer import encode_texts, plain_ids, train_tokenizer
from model.training import Batch, TrainingModel
from support.toy_model import CAPTIONS, NAMES, VALUES, toy

LOSSES = ("itc", "itm", "clause", "reconstruction", "slot")


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([text for slot in VALUES for text in slot] + NAMES, 320)


@pytest.fixture(scope="module")
def start(tokenizer):
    torch.manual_seed(0)
    return TrainingModel.create(toy(), ClauseText.from_texts(tokenizer, NAMES, VALUES), tokenizer)


@pytest.fixture(scope="module")
def batch(tokenizer):
    caption_ids, caption_mask = encode_texts(tokenizer, CAPTIONS, 32)
    prompts = [plain_ids(tokenizer, "count:")] * 3
    answers = [[*plain_ids(tokenizer, text), tokenizer.eos_token_id] for text in ("No", "Two", "One")]
    input_ids, attention_mask, labels = answer_labels(prompts, answers, tokenizer.pad_token_id)
    return Batch(
        images=torch.randn(3, 2, 32, 32, generator=torch.Generator().manual_seed(1)),
        tile_ids=torch.arange(3),
        caption_ids=caption_ids,
        caption_mask=caption_mask,
        caption_keys=torch.arange(3),
        clause_labels=torch.tensor([[0, 0], [1, 2], [0, 1]]),
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
    )


def train(model: TrainingModel, batch: Batch, steps: int = 2) -> list[dict[str, float]]:
    """Steps of plain AdamW; the losses of each."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 1e-3)
    losses = []
    for step in range(steps):
        report = model(batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        report.total.backward()
        optimizer.step()
        model.momentum_update()
        model.enqueue(report.teacher_image, report.teacher_text, batch.tile_ids)
        losses.append({name: float(getattr(report, name).detach()) for name in LOSSES})
        assert all(getattr(report, name).dtype == torch.float32 for name in (*LOSSES, "teacher_image", "teacher_text"))
    return losses


def test_two_steps_in_bf16_have_the_losses_of_fp32_within_the_tolerance_and_leave_weights_in_float32(start, batch):
    exact, rounded = copy.deepcopy(start), copy.deepcopy(start)
    rounded.precision = "bf16"
    for one, other in zip(train(exact, batch), train(rounded, batch), strict=True):
        # A loss is a mean of log-probabilities.
        assert other == pytest.approx(one, abs=log_probability_tolerance("bf16"))
        assert other != one
    assert {value.dtype for value in rounded.state_dict().values()} == {
        value.dtype for value in start.state_dict().values()
    }
    moved = [
        (a - b).abs().max() for a, b in zip(exact.parameters(), start.parameters(), strict=True) if a.requires_grad
    ]
    apart = [
        (a - b).abs().max() for a, b in zip(exact.parameters(), rounded.parameters(), strict=True) if a.requires_grad
    ]
    assert min(moved) > 0
    assert max(apart) <= 2 * max(moved)


def test_scores_in_bf16_are_those_of_fp32_within_the_tolerance(start, batch, tokenizer):
    text = ClauseText.from_texts(tokenizer, NAMES, VALUES)
    found = {}
    for precision in ("fp32", "bf16"):
        scorer = Scorer(copy.deepcopy(start.encoder), tokenizer, precision=precision)
        tokens = scorer.image_tokens(batch.images)
        cosines, matches = scorer.agreement(tokens, [[caption] for caption in CAPTIONS])
        found[precision] = [
            *scorer.zero_shot(tokens, text),
            torch.cat(matches).log(),
            torch.cat(cosines),
            scorer.image_embeddings(tokens),
        ]
    largest = 0.0
    for exact, rounded in zip(found["fp32"], found["bf16"], strict=True):
        assert rounded.dtype == torch.float32
        largest = max(largest, float((exact - rounded).abs().max()))
    assert 0 < largest <= log_probability_tolerance("bf16")


def test_the_tolerance_follows_from_the_format_and_is_that_of_before_in_float32():
    assert log_probability_tolerance("fp32") == 2e-3
    assert [EPSILON[name] for name in ("fp32", "bf16")] == [
        torch.finfo(dtype).eps for dtype in (torch.float32, torch.bfloat16)
    ]
    assert log_probability_tolerance("fp32") < log_probability_tolerance("tf32") < log_probability_tolerance("bf16")
    assert log_probability_tolerance("bf16") == 8 * torch.finfo(torch.bfloat16).eps


@pytest.mark.parametrize(("precision", "allowed"), [("fp32", False), ("tf32", True), ("bf16", True)])
def test_a_gpu_reads_float32_as_tf32_where_the_precision_says_so_and_convolutions_do_not_by_themselves(
    precision, allowed
):
    before = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    try:
        use_precision(precision)
        assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == (allowed, allowed)
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = before


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_activations_that_are_computed_again_change_no_bit(start, batch, precision):
    kept, again = copy.deepcopy(start), copy.deepcopy(start)
    kept.precision = again.precision = precision
    layers = recompute_activations(again)
    assert layers == 1 + 2 + 1 + 1  # vision, text, the captioner's vision, its decoder
    calls = []
    first = again.encoder.vision.layers[0]
    first.layernorm_before.register_forward_hook(lambda *_: calls.append(1))
    assert train(kept, batch) == train(again, batch)
    assert len(calls) == 2 * 2  # two steps, forward and once more
    for (name, one), other in zip(kept.named_parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other), name


def test_compiled_parts_are_towers_and_layers_and_keep_the_names_of_their_weights(start):
    model = copy.deepcopy(start)
    compiled = compile_towers(model)
    assert len({id(module) for module in compiled}) == len(compiled) == 3 + 2 + 2 + 1
    assert all(module._compiled_call_impl is not None for module in compiled)
    assert model.state_dict().keys() == start.state_dict().keys()
