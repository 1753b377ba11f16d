"""Losses against small hand-computed cases."""

import math

import pytest
import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from model.encoder import ITM_MATCH
from model.losses.clause import UNKNOWN, clause_loss
from model.losses.itc import EMPTY, itc_loss, itc_targets
from model.losses.itm import hard_negatives, itm_loss
from model.losses.reconstruction import IGNORED, answer_labels, reconstruction_loss
from model.queue import EmbeddingQueue
from model.temperature import Temperature


def test_itc_targets_share_the_hard_part_among_the_same_tile():
    ids, candidates = torch.tensor([7, 8]), torch.tensor([7, 8, 7, EMPTY])
    logits = torch.tensor([[0.0, math.log(3.0), 0.0, 50.0], [0.0, 0.0, 0.0, 50.0]])
    hard = itc_targets(ids, candidates, logits, soft_weight=0.0)
    assert torch.allclose(hard, torch.tensor([[0.5, 0, 0.5, 0], [0, 1.0, 0, 0]]))
    mixed = itc_targets(ids, candidates, logits, soft_weight=0.5)
    # The empty entry takes no part in the teacher's softmax: (1, 3, 1) / 5.
    assert torch.allclose(mixed[0], torch.tensor([0.25 + 0.1, 0.3, 0.25 + 0.1, 0.0]), atol=1e-6)


def test_itc_loss_of_two_orthogonal_pairs_is_what_is_computed_by_hand():
    unit = torch.eye(2)
    empty = torch.zeros(3, 2), torch.zeros(3, 2), torch.full((3,), EMPTY)
    loss = itc_loss(unit, unit, unit, unit, torch.tensor([1, 2]), *empty, torch.tensor([0.5]), 0.0)
    # Each row: logits (2, 0), target the first: log(1 + exp(-2)).
    assert loss.item() == pytest.approx(math.log1p(math.exp(-2)), abs=1e-6)


def test_itc_loss_counts_filled_queue_entries():
    unit = torch.eye(2)
    queue = unit[:1], unit[:1], torch.tensor([9])
    loss = itc_loss(unit, unit, unit, unit, torch.tensor([1, 2]), *queue, torch.tensor([0.5]), 0.0)
    first = math.log((2 * math.exp(2) + 1) / math.exp(2))  # the queue's entry looks like its own pair
    second = math.log((math.exp(2) + 2) / math.exp(2))
    assert loss.item() == pytest.approx((first + second) / 2, abs=1e-6)


def test_hard_negatives_follow_the_softmax_and_never_match():
    similarity = torch.tensor([[9.0, 0.0, math.log(3.0), 9.0]] * 4)
    ids, keys = torch.tensor([1, 2, 3, 1]), torch.tensor([10, 11, 12, 13])
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([hard_negatives(similarity, ids, keys, generator)[0] for _ in range(2000)])
    assert set(draws[:, 0].tolist()) == {1, 2}  # neither itself nor the same tile
    assert (draws[:, 0] == 2).float().mean().item() == pytest.approx(0.75, abs=0.04)


def test_hard_negatives_with_equal_captions_are_not_valid():
    ids, keys = torch.tensor([1, 2, 3]), torch.tensor([5, 5, 6])
    drawn, valid = hard_negatives(torch.zeros(3, 3), ids, keys, torch.Generator().manual_seed(0))
    assert valid.all()
    assert drawn[0] == 2
    assert drawn[1] == 2
    _, valid = hard_negatives(torch.zeros(2, 2), ids[:2], keys[:2], torch.Generator().manual_seed(0))
    assert not valid.any()


def test_hard_negatives_repeat_with_the_seed():
    similarity, ids = torch.randn(8, 8), torch.arange(8)
    one, two = (hard_negatives(similarity, ids, ids, torch.Generator().manual_seed(3))[0] for _ in range(2))
    assert torch.equal(one, two)


def test_itm_loss_reads_the_match_class_and_leaves_invalid_negatives_out():
    match = torch.zeros(2, 2)
    match[:, ITM_MATCH] = 2.0
    both = torch.tensor([True, True])
    right = math.log1p(math.exp(-2))
    assert itm_loss(match, -match, -match, both, both).item() == pytest.approx(right, abs=1e-6)
    wrong = right + 2
    assert itm_loss(match, match, -match, both, both).item() == pytest.approx((2 * right + wrong) / 3, abs=1e-6)
    assert itm_loss(match, match, match, ~both, ~both).item() == pytest.approx(right, abs=1e-6)


def test_clause_loss_of_two_slots_is_what_is_computed_by_hand():
    scores = [torch.tensor([[0.5, 0.5], [0.9, 0.1]]).log(), torch.tensor([[0.2, 0.3, 0.5], [1 / 3] * 3]).log()]
    labels = torch.tensor([[0, 2], [1, UNKNOWN]])
    expected = -(math.log(0.5) + math.log(0.1) + math.log(0.5)) / 3
    assert clause_loss(scores, labels).item() == pytest.approx(expected, abs=1e-6)
    assert clause_loss(scores, torch.full((2, 2), UNKNOWN)).item() == 0.0


def test_clause_loss_smoothing_spreads_over_the_slot():
    scores = [torch.tensor([[0.8, 0.2]]).log()]
    expected = -(0.9 * math.log(0.8) + 0.1 * (math.log(0.8) + math.log(0.2)) / 2)
    assert clause_loss(scores, torch.tensor([[0]]), smoothing=0.1).item() == pytest.approx(expected, abs=1e-6)


def test_clause_loss_forward_correction_is_lowest_at_the_true_distribution():
    noise = [torch.tensor([[0.8, 0.2], [0.1, 0.9]])]
    sure = [torch.tensor([[1.0 - 1e-7, 1e-7]]).log()]
    assert clause_loss(sure, torch.tensor([[0]]), noise=noise).item() == pytest.approx(-math.log(0.8), abs=1e-4)
    assert clause_loss(sure, torch.tensor([[1]]), noise=noise).item() == pytest.approx(-math.log(0.2), abs=1e-4)
    same = clause_loss(sure, torch.tensor([[0]]), noise=[torch.eye(2)])
    assert same.item() == pytest.approx(clause_loss(sure, torch.tensor([[0]])).item(), abs=1e-6)


def test_answer_labels_leave_the_prompt_out():
    input_ids, mask, labels = answer_labels([[5, 6], [7]], [[8], [9, 4]], pad=0)
    assert input_ids.tolist() == [[5, 6, 8], [7, 9, 4]]
    assert labels.tolist() == [[IGNORED, IGNORED, 8], [IGNORED, 9, 4]]
    assert mask.all()


def test_reconstruction_loss_predicts_the_next_answer_token():
    states = torch.zeros(1, 4, 2, requires_grad=True)
    with torch.no_grad():
        states[0, 1] = torch.tensor([0.0, 2.0])  # predicts the token at position 2
    labels = torch.tensor([[IGNORED, IGNORED, 1, 0]])
    right, even = math.log1p(math.exp(-2)), math.log(2)
    loss = reconstruction_loss(states, nn.Identity(), labels)
    assert loss.item() == pytest.approx((right + even) / 2, abs=1e-6)
    loss.backward()
    assert states.grad[0, 0].abs().sum() == 0
    assert states.grad[0, 1].abs().sum() > 0
    weighted = reconstruction_loss(states, nn.Identity(), labels, torch.tensor([[9.0, 9.0, 3.0, 1.0]]))
    assert weighted.item() == pytest.approx((3 * right + even) / 4, abs=1e-6)
    nothing = reconstruction_loss(states, nn.Identity(), torch.full((1, 4), IGNORED))
    assert nothing.item() == 0.0
    assert nothing.requires_grad


def test_queue_overwrites_the_oldest():
    queue = EmbeddingQueue(3, 2)
    assert queue.ids.tolist() == [EMPTY] * 3
    queue.push(torch.ones(2, 2), torch.ones(2, 2), torch.tensor([1, 2]))
    queue.push(torch.ones(2, 2), torch.ones(2, 2), torch.tensor([3, 4]))
    assert queue.ids.tolist() == [4, 2, 3]
    queue.push(torch.ones(5, 2), torch.ones(5, 2), torch.arange(10, 15))
    assert sorted(queue.ids.tolist()) == [12, 13, 14]
    assert torch.allclose(queue.image.norm(dim=1), torch.ones(3))


class NoMixedDevices(TorchFunctionMode):
    """Refuses what a GPU refuses and the meta device lets pass: to put entries of another device into a tensor."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is torch.Tensor.__setitem__:
            assert args[0].device == args[2].device
        return function(*args, **(kwargs or {}))


def test_queue_on_a_device_takes_what_was_gathered_on_the_cpu():
    queue = EmbeddingQueue(3, 2).to("meta")
    queue.position = torch.tensor(2)
    with NoMixedDevices():
        queue.push(torch.ones(2, 2), torch.ones(2, 2), torch.tensor([1, 2]))
    assert queue.position == 1


def test_temperature_starts_where_asked_and_stays_bounded():
    temperature = Temperature(0.07, 2)
    assert torch.allclose(temperature(), torch.full((2,), 0.07), atol=1e-6)
    with torch.no_grad():
        temperature.raw.copy_(torch.tensor([-100.0, 100.0]))
    assert temperature().tolist() == pytest.approx([0.01, 0.5])
