"""The accuracy of initial annotations is found from what a model says of held-out tiles, and high in doubt."""

import numpy as np
import pytest

from hcot_llm.aggregation.initial_accuracy import FEWEST_TILES, estimate_accuracy, shifted

VALUES = 6


def world(skill: float, accuracy: float, tiles: int = 600, *, taught: bool = False, next_one: bool = False):
    """(distributions of a model, annotations): its evidence is Gaussian, its skill the shift towards the truth.

    A model that was `taught` the annotations repeats their errors. They are any other value, or the next one.
    """
    generator = np.random.default_rng(0)
    truth = generator.integers(VALUES, size=tiles)
    evidence = generator.normal(size=(tiles, VALUES))
    evidence[np.arange(tiles), truth] += skill
    odds = np.exp(skill * evidence)
    model = odds / odds.sum(axis=1, keepdims=True)
    errors = np.roll(np.eye(VALUES), 1, axis=1) if next_one else (1 - np.eye(VALUES)) / (VALUES - 1)
    confusion = accuracy * np.eye(VALUES) + (1 - accuracy) * errors
    annotated = np.asarray([generator.choice(VALUES, p=confusion[value]) for value in truth])
    return (model @ confusion if taught else model), annotated


@pytest.mark.parametrize("next_one", [False, True])
@pytest.mark.parametrize("taught", [False, True])
@pytest.mark.parametrize("accuracy", [0.6, 0.8])
def test_a_good_model_shows_how_many_annotations_are_wrong_also_one_that_learned_them(accuracy, taught, next_one):
    model, annotated = world(3.0, accuracy, taught=taught, next_one=next_one)
    found = estimate_accuracy([model], annotated, np.full(len(annotated), 0.9))
    assert found == pytest.approx(accuracy + 0.03, abs=0.09)


def test_where_models_are_worse_than_the_annotations_these_stand():
    model, annotated = world(1.2, 0.95)
    assert (model.argmax(axis=1) == annotated).mean() < 0.6
    assert estimate_accuracy([model], annotated, np.full(len(annotated), 0.9)) is None


def test_models_that_know_nothing_leave_the_stated_accuracy():
    model, annotated = world(0.0, 0.6)
    assert estimate_accuracy([model], annotated, np.full(len(annotated), 0.83)) == pytest.approx(0.83)


def test_on_few_tiles_the_stated_accuracy_stands():
    model, annotated = world(3.0, 0.6, tiles=FEWEST_TILES - 1)
    assert estimate_accuracy([model], annotated, np.full(len(annotated), 0.83)) == pytest.approx(0.83)


def test_shifted_accuracies_have_the_mean_and_keep_their_order():
    stated = np.array([0.5, 0.7, 0.9, 0.99])
    moved = shifted(stated, 0.4)
    assert moved.mean() == pytest.approx(0.4)
    assert (np.diff(moved) > 0).all()
    np.testing.assert_allclose(shifted(stated, stated.mean()), stated, rtol=1e-6)
