"""One training module: every trained parameter takes part, the teacher follows, the queue fills."""

import copy

import pytest
import torch

from model.captioner import SarCaptioner
from model.clause_text import ClauseText
from model.losses.clause import UNKNOWN
from model.losses.itc import EMPTY
from model.losses.reconstruction import answer_labels
from model.tokenizer import encode_texts, plain_ids, train_tokenizer
from model.training import Batch, TrainingModel
from support.toy_model import CAPTIONS, NAMES, VALUES, toy


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer([text for slot in VALUES for text in slot] + NAMES, 320)


def build(tokenizer, **changes):
    torch.manual_seed(0)
    model = TrainingModel.create(toy(**changes), ClauseText.from_texts(tokenizer, NAMES, VALUES), tokenizer)
    caption_ids, caption_mask = encode_texts(tokenizer, CAPTIONS, 32)
    prompts = [plain_ids(tokenizer, "count:")] * 3
    answers = [[*plain_ids(tokenizer, text), tokenizer.eos_token_id] for text in ("No", "Two", "One")]
    input_ids, attention_mask, labels = answer_labels(prompts, answers, tokenizer.pad_token_id)
    batch = Batch(
        images=torch.randn(3, 2, 32, 32),
        tile_ids=torch.arange(3),
        caption_ids=caption_ids,
        caption_mask=caption_mask,
        caption_keys=torch.arange(3),
        clause_labels=torch.tensor([[0, 0], [1, 2], [UNKNOWN, 1]]),
        input_ids=input_ids,
        attention_mask=attention_mask,
        labels=labels,
    )
    return model, batch


@pytest.mark.parametrize("share", [False, True])
def test_every_trained_parameter_gets_a_gradient(tokenizer, share):
    model, batch = build(tokenizer, share_vision=share)
    report = model(batch, torch.Generator().manual_seed(0))
    report.total.backward()
    assert report.total.item() == pytest.approx(sum(loss.item() for loss in report[1:6]), rel=1e-5)
    for name, parameter in model.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name
        assert parameter.requires_grad != name.startswith("teacher."), name
    assert (model.captioner.vision is model.encoder.vision) == share


def test_captioner_and_encoder_share_no_weights(tokenizer):
    model, _ = build(tokenizer)
    encoder = {parameter.data_ptr() for parameter in model.encoder.parameters()}
    assert encoder.isdisjoint(parameter.data_ptr() for parameter in model.captioner.parameters())


def test_a_step_lowers_the_loss_and_moves_teacher_and_queue(tokenizer):
    model, batch = build(tokenizer)
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], 3e-3)
    before = copy.deepcopy(model.teacher.state_dict())
    losses = []
    for step in range(30):
        report = model(batch, torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        report.total.backward()
        optimizer.step()
        model.momentum_update()
        model.enqueue(report.teacher_image, report.teacher_text, batch.tile_ids)
        losses.append(report.total.item())
    assert losses[-1] < 0.7 * losses[0]
    assert (model.queue.ids != EMPTY).all()
    assert int(model.steps) == 30
    name = "vision_projection.weight"
    assert not torch.equal(model.teacher.state_dict()[name], before[name])


def test_teacher_follows_by_one_minus_momentum(tokenizer):
    model, _ = build(tokenizer)
    with torch.no_grad():
        model.encoder.vision_projection.weight += 1.0
    before = model.teacher.vision_projection.weight.clone()
    model.momentum_update()
    assert torch.allclose(model.teacher.vision_projection.weight - before, torch.full_like(before, 0.005), atol=1e-6)


def test_noise_correction_changes_the_clause_loss_and_can_be_taken_back(tokenizer):
    model, batch = build(tokenizer)
    model.eval()
    plain = model(batch, torch.Generator().manual_seed(0)).clause.item()
    model.set_noise([torch.full((2, 2), 0.5), torch.full((3, 3), 1 / 3)])
    blind = model(batch, torch.Generator().manual_seed(0)).clause.item()
    assert blind == pytest.approx(
        (2 * torch.log(torch.tensor(2.0)) + 3 * torch.log(torch.tensor(3.0))).item() / 5, abs=1e-5
    )
    model.set_noise(None)
    assert model(batch, torch.Generator().manual_seed(0)).clause.item() == pytest.approx(plain, abs=1e-6)


def test_the_readout_is_published_with_the_captioner_and_says_the_same_of_a_tile(tokenizer, tmp_path):
    model, batch = build(tokenizer)
    model(batch, torch.Generator().manual_seed(0)).slot.backward()
    readout = model.captioner.readout
    assert readout is not None
    assert readout.weight.grad is not None
    with torch.no_grad():
        readout.weight -= 1e2 * readout.weight.grad
    captioner = model.captioner.eval()
    captioner.save_pretrained(tmp_path, tokenizer)
    read = SarCaptioner.from_pretrained(tmp_path).read_slots(batch.images)
    assert [tuple(each.shape) for each in read] == [(3, 2), (3, 3)]
    for saved, own in zip(read, captioner.read_slots(batch.images), strict=True):
        assert torch.equal(saved, own)
        assert not torch.allclose(own, own.mean().expand_as(own))
    seen = readout(captioner.prefix(batch.images)[:, -2:])
    assert all(torch.allclose(one, other) for one, other in zip(seen, read, strict=True))


def test_weights_without_a_readout_get_one_to_train(tokenizer, tmp_path):
    captioner = SarCaptioner.from_sizes(toy().captioner, len(NAMES), tokenizer)
    captioner.save_pretrained(tmp_path)
    read = SarCaptioner.from_pretrained(tmp_path)
    assert read.readout is None
    model = TrainingModel(build(tokenizer)[0].encoder, read, ClauseText.from_texts(tokenizer, NAMES, VALUES), toy())
    assert model.captioner.readout is not None
    assert model.captioner.readout.sizes == (2, 3)
    assert model.captioner.config.slot_values == [2, 3]


@pytest.mark.parametrize(("sizes", "said"), [((2, 3, 4), "3: they are of"), ((2, 4), r"\[2, 3\]")])
def test_a_captioner_of_another_schema_is_refused(tokenizer, sizes, said):
    model, _ = build(tokenizer)
    with pytest.raises(ValueError, match=said):
        model.captioner.add_readout(sizes)


def test_the_queue_is_part_of_the_training_state(tokenizer):
    model, batch = build(tokenizer)
    model.enqueue(torch.ones(3, 16), torch.ones(3, 16), batch.tile_ids)
    other, _ = build(tokenizer)
    other.load_state_dict(model.state_dict())
    assert other.queue.ids.tolist() == model.queue.ids.tolist()
