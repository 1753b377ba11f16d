"""Recipes against wrong labels, by what sets each apart."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from benchmark.baselines.noisy.recipes import RECIPES
from benchmark.baselines.noisy.train import train_recipe
from corpus.registry import UnknownMember
from model.config import VisionConfig

VISION = VisionConfig(
    image_size_px=16, stem_channels=(8,), stem_strides=(4,), stem_blocks=(0,), width=8, depth=0, heads=2
)
LOGITS = torch.tensor([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 2.0]])
LABELS = np.array([0, 1, 1, 2])
TARGETS = torch.eye(3)[torch.from_numpy(LABELS)]
ROWS = torch.arange(4)


def made(name: str, passes: int = 9):
    return RECIPES.find(name)(4, 3, passes)


def seen() -> np.ndarray:
    return LOGITS.softmax(dim=1).numpy().astype(np.float64)


def test_plain_is_cross_entropy():
    [loss] = made("plain").losses([LOGITS], TARGETS, ROWS)
    assert loss.item() == pytest.approx(F.cross_entropy(LOGITS, torch.from_numpy(LABELS)).item())


def test_forward_correction_expects_the_errors_once_it_has_estimated_them():
    recipe = made("forward_correction")
    [before] = recipe.losses([LOGITS], TARGETS, ROWS)
    assert before.item() == pytest.approx(F.cross_entropy(LOGITS, torch.from_numpy(LABELS)).item(), rel=1e-5)
    contradicted = (LOGITS[2:3], TARGETS[2:3], ROWS[2:3])
    [believed] = recipe.losses([contradicted[0]], *contradicted[1:])
    recipe.begin_pass(3, seen, LABELS)
    [doubted] = recipe.losses([contradicted[0]], *contradicted[1:])
    assert doubted.item() < believed.item() - 0.2


def test_early_learning_is_held_to_what_was_believed():
    recipe = made("early_learning")
    for _ in range(5):
        recipe.losses([LOGITS], TARGETS, ROWS)
    same, other = (recipe.losses([logits], TARGETS, ROWS)[0] for logits in (LOGITS, -LOGITS))
    gap = F.cross_entropy(-LOGITS, TARGETS) - F.cross_entropy(LOGITS, TARGETS)
    assert other - same > gap


def test_co_teaching_leaves_out_what_the_other_network_finds_hard():
    recipe = made("co_teaching")
    for number in range(9):
        recipe.begin_pass(number, seen, LABELS)
    first, second = recipe.losses([LOGITS, LOGITS], TARGETS, ROWS)
    easy = F.cross_entropy(LOGITS[[0, 1, 3]], TARGETS[[0, 1, 3]])
    assert first.item() == second.item() == pytest.approx(easy.item())


def test_an_unknown_recipe_is_named_with_those_that_are():
    with pytest.raises(UnknownMember, match="no recipe 'mixup'; registered: co_teaching"):
        RECIPES.find("mixup")


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_learns_easy_images_and_the_same_seed_gives_the_same_network(name):
    labels = np.arange(96) % 2
    generator = np.random.default_rng(0)
    images = (generator.normal(0, 0.3, (96, 2, 16, 16)) + 1.5 * labels[:, None, None, None]).astype(np.float16)
    taught = np.arange(96) < 64
    targets = np.eye(2)[np.where(generator.random(96) < 0.2, 1 - labels, labels)]
    found = train_recipe(name, images, targets, taught, VISION, 12, 0)
    assert (found.argmax(axis=1) == labels)[~taught].mean() > 0.9
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found, train_recipe(name, images, targets, taught, VISION, 12, 0))
