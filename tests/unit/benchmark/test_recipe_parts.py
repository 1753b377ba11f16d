"""What recipes predict and contrast, on cases by hand."""

import numpy as np
import pytest
import torch

import benchmark.suite.members  # noqa: F401  # registers the methods
from benchmark.baselines.recipes import blip
from benchmark.baselines.recipes.blip import match_probabilities
from benchmark.baselines.recipes.captions import Captions
from benchmark.baselines.recipes.clip import contrast
from benchmark.baselines.recipes.config import MocoConfig
from benchmark.baselines.recipes.moco_v3 import MocoNetwork
from benchmark.baselines.recipes.sar_jepa import gradients_by_ratio
from benchmark.suite.base import METHODS, ClauseReader, MethodMissing, PairEncoder
from hcot_llm.schema.problems import LOCATIONS
from support.hcot import HCOT
from support.toy_pretraining import picture, toy_inputs


def test_gradients_are_ratios_so_a_gain_changes_nothing_and_an_edge_has_its_contrast():
    flat = torch.zeros(1, 1, 32, 32)
    assert gradients_by_ratio(flat, (3,), 1).abs().max() < 1e-4
    edge = flat.clone()
    edge[..., 16:] = 1.0  # 10 dB
    found = gradients_by_ratio(edge, (3, 5), 1)
    assert found.shape == (1, 2, 32, 32)
    # Just right of the edge all of the right side is bright, and one of four columns of the left one.
    assert found[0, 0, 10, 16] == pytest.approx(np.log(10 / ((3 + 10) / 4)), rel=1e-4)
    assert found[0, 0, 10, 5] < 1e-4
    assert torch.allclose(gradients_by_ratio(edge + 0.7, (3, 5), 1), found, atol=1e-4)
    down = gradients_by_ratio(edge.transpose(2, 3), (3, 5), 1)
    assert torch.allclose(down, found.transpose(2, 3), atol=1e-5)
    assert torch.allclose(gradients_by_ratio(edge, (3, 5), 4), found[..., ::4, ::4], atol=1e-5)


def test_the_follower_moves_by_its_momentum_and_stands_still_at_the_end():
    vision = toy_inputs(None).pretraining.model.encoder.vision
    torch.manual_seed(0)
    network = MocoNetwork(vision, MocoConfig(momentum=0.9), steps=2)
    before = [each.clone() for each in network.slow.parameters()]
    with torch.no_grad():
        for each in network.tower.parameters():
            each.add_(1.0)
    network(torch.randn(4, 2, 32, 32), torch.randn(4, 2, 32, 32))
    moved = next(iter(network.slow.parameters())) - before[0]
    assert torch.allclose(moved, torch.full_like(moved, 0.1), atol=1e-5)
    network._done = 2
    still = next(iter(network.slow.parameters())).clone()
    network._follow()
    assert torch.equal(next(iter(network.slow.parameters())), still)


def test_pairs_whose_texts_are_equal_are_all_right():
    keys = torch.tensor([0, 0, 1])
    perfect = torch.tensor([[9.0, 9, 0], [9, 9, 0], [0, 0, 9]])
    assert contrast(perfect, keys) == pytest.approx(np.log(2) * 2 / 3, abs=1e-3)
    assert contrast(perfect, torch.arange(3)) == pytest.approx(np.log(2) * 2 / 3, abs=1e-3)
    assert contrast(perfect.flip(0), keys) > 3


def test_a_caption_says_the_initial_annotation_and_its_locations_turn_along():
    inputs = toy_inputs(None)
    tiles = inputs.pretraining.open_tiles()
    [where] = HCOT.of_kind("location")
    north, west = LOCATIONS[0][1], LOCATIONS[1][0]
    tiles.initial.values[1, HCOT.column[where]] = HCOT.value_index[where][north]
    captions = Captions(tiles, inputs.pretraining)
    still, turned = captions.values(1, 0), captions.values(1, 1)
    assert still == {clause: words[1] for clause, words in HCOT.vocabulary.items()} | {where: north}
    assert turned[where] == west
    assert {clause for clause in still if still[clause] != turned[clause]} == {where}
    labels = captions.labels(torch.tensor([1, 1]), torch.tensor([0, 1]))
    assert labels[0].tolist().count(1) == len(HCOT) - 1
    assert (labels[0] != labels[1]).sum() == 1
    batch = captions.encoded(["It is plain.", "It is hilly.", "It is plain."])
    assert batch.keys.tolist() == [0, 1, 0]


def test_clip_finds_the_caption_of_an_image_and_reads_clauses_by_their_sentences(tmp_path):
    method = METHODS["clip"].open(toy_inputs(tmp_path, 20, clip={"batch": 8, "learning_rate": 5e-3}))
    assert isinstance(method, PairEncoder)
    assert isinstance(method, ClauseReader)
    images = [picture(index % 2, 100 + index) for index in range(8)]
    clause = HCOT.names[0]
    said = method.read_clauses(images, {clause: HCOT.vocabulary[clause]})[clause]
    assert said.sum(1) == pytest.approx(np.ones(8))
    # Of the two values that the captions had, the right one.
    assert said[:, :2].argmax(1).tolist() == [0, 1] * 4
    pictures, texts = method.embed_pairs(images, ["a", "b"])
    assert np.linalg.norm(pictures, axis=1) == pytest.approx(np.ones(8), abs=1e-5)
    assert texts.shape[1] == pictures.shape[1]
    with pytest.raises(MethodMissing, match="other clauses"):
        method.read_clauses(images, {clause: ("no", "yes")})


def test_capfilt_writes_captions_and_keeps_those_that_match(tmp_path, monkeypatch):
    asked = []

    def noted(model, captions, images, texts):
        asked.append((list(texts), match_probabilities(model, captions, images, texts)))
        return asked[-1][1]

    monkeypatch.setattr(blip, "match_probabilities", noted)
    method = METHODS["blip_capfilt"].open(toy_inputs(tmp_path, 6, blip_capfilt={"batch": 8, "first_share": 0.8}))
    (others, wrong), (initial, right), (written, also) = asked
    assert others == initial[1:] + initial[:1]
    assert len(initial) == len(written) == 24
    assert len(set(written)) > 1
    kept = [int((each > np.quantile(wrong, 0.75)).sum()) for each in (right, also)]
    assert f"of 24 captions {kept[0]} and of 24 written ones {kept[1]} kept" in method.disclosure
    assert sum(kept) > 0


def test_no_loop_learns_the_clauses_of_the_annotations(tmp_path):
    method = METHODS["no_loop"].open(toy_inputs(tmp_path, 12, no_loop={"batch": 8, "learning_rate": 5e-3}))
    images = [picture(index % 2, 100 + index) for index in range(8)]
    said = method.read_clauses(images, HCOT.vocabulary)
    assert set(said) == set(HCOT.names)
    right = [(each.argmax(1) == np.arange(8) % 2).mean() for each in said.values()]
    assert np.mean(right) > 0.7  # half of it is chance between the two values that there are
