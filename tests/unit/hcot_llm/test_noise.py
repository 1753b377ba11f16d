"""Source weights are fitted without truth; the initial annotation stays where no model knows better."""

import numpy as np
import pytest

from hcot_llm.aggregation.label_noise import (
    TRAINED,
    UNTRAINED,
    NoiseModel,
    SourceWeightPrior,
    count_errors,
    fit_source_weights,
    fuse,
    noise_of,
    pool,
)


def simulated(tiles=3000, values=4, accuracy=0.8, model_accuracy=0.95, sureness=0.6, seed=0):
    """Truth, initial annotations, and a model that favours the right value with `model_accuracy`, with `sureness`."""
    generator = np.random.default_rng(seed)
    noise = NoiseModel.even(accuracy, values)
    truth = generator.integers(values, size=tiles)
    annotated = np.asarray([generator.choice(values, p=noise.confusion[t]) for t in truth])
    favoured = np.where(generator.random(tiles) < model_accuracy, truth, generator.integers(values, size=tiles))
    model = np.full((tiles, values), (1 - sureness) / (values - 1))
    model[np.arange(tiles), favoured] = sureness
    return truth, annotated, model, noise


def test_fusing_gives_what_is_computed_by_hand():
    """Model says 0.7/0.3, the initial annotation says value 1 and is right in 9 of 10: 0.07 against 0.27."""
    fused = fuse(np.asarray([[0.7, 0.3]]), NoiseModel.even(0.9, 2).likelihood(np.asarray([1])))
    np.testing.assert_allclose(fused, [[0.07 / 0.34, 0.27 / 0.34]])


def test_pooling_gives_what_is_computed_by_hand():
    pooled = pool([np.asarray([[0.8, 0.2]]), np.asarray([[0.5, 0.5]]), np.full((1, 2), np.nan)], [2.0, 1.0, 1.0])
    np.testing.assert_allclose(pooled, [[0.64 / 0.68, 0.04 / 0.68]])


@pytest.mark.parametrize("model_accuracy", [0.6, 0.8, 0.95])
def test_a_source_weight_is_fitted_without_truth(model_accuracy):
    """The fitted source_weight makes the model as sure as it is right."""
    truth, annotated, model, noise = simulated(model_accuracy=model_accuracy)
    (source_weight,) = fit_source_weights([model], noise.likelihood(annotated), [SourceWeightPrior(1.0, 100.0)])
    pooled = pool([model], [source_weight])
    right = (model.argmax(axis=1) == truth).mean()
    assert pooled.max(axis=1).mean() == pytest.approx(right, abs=0.04)


def test_a_model_that_knows_nothing_gets_weight_zero_and_the_initial_annotation_stays():
    _, annotated, model, noise = simulated(model_accuracy=0.0, sureness=0.9)
    likelihood = noise.likelihood(annotated)
    (source_weight,) = fit_source_weights([model], likelihood)
    assert source_weight < 0.1
    assert (fuse(pool([model], [source_weight]), likelihood).argmax(axis=1) == annotated).all()


def test_a_model_that_is_not_trained_here_has_to_show_that_it_knows_something():
    """Five held-out tiles are not enough for it, two thousand are."""

    def source_weight(tiles, model_accuracy, prior):
        _, annotated, model, noise = simulated(tiles=tiles, model_accuracy=model_accuracy)
        return fit_source_weights([model], noise.likelihood(annotated), [prior])[0]

    assert source_weight(3, 0.95, UNTRAINED) < 0.1
    assert source_weight(5, 0.95, UNTRAINED) < 0.5 * source_weight(5, 0.95, TRAINED)
    assert source_weight(2000, 0.95, UNTRAINED) == pytest.approx(source_weight(2000, 0.95, TRAINED), rel=0.15)
    assert source_weight(2000, 0.0, UNTRAINED) < 0.01
    assert fit_source_weights([np.ones((0, 4))], np.ones((0, 4)), [UNTRAINED]) == [0.0]


@pytest.mark.parametrize("tiles", [3, 8, 40])
def test_a_few_tiles_that_agree_with_a_model_by_chance_give_it_no_weight(tiles):
    """It is right by chance alone and sure of itself; some such model agrees with a few tiles."""
    source_weights = [
        fit_source_weights([model], noise.likelihood(annotated))[0]
        for seed in range(30)
        for _, annotated, model, noise in [simulated(seed=seed, tiles=tiles, model_accuracy=0.0)]
    ]
    assert np.median(source_weights) == 0
    assert np.mean(source_weights) < 0.3


@pytest.mark.parametrize("model_accuracy", [0.6, 0.8, 0.95])
def test_fusing_is_better_than_either_alone(model_accuracy):
    truth, annotated, model, noise = simulated(model_accuracy=model_accuracy)
    likelihood = noise.likelihood(annotated)
    fused = fuse(pool([model], fit_source_weights([model], likelihood)), likelihood).argmax(axis=1)
    alone = max((model.argmax(axis=1) == truth).mean(), (annotated == truth).mean())
    assert (fused == truth).mean() >= alone


def test_the_confusion_of_the_errors_is_found():
    truth, _, _, _ = simulated(tiles=4000)
    confusion = np.asarray([[0.8, 0.2, 0, 0], [0, 0.8, 0.2, 0], [0, 0, 0.8, 0.2], [0.2, 0, 0, 0.8]])
    generator = np.random.default_rng(1)
    annotated = np.asarray([generator.choice(4, p=confusion[t]) for t in truth])
    found = noise_of(count_errors(np.eye(4)[truth], annotated), 0.8, pseudo_count=10).confusion
    np.testing.assert_allclose(found, confusion, atol=0.03)


def test_a_posterior_equal_to_the_initial_annotations_does_not_raise_their_accuracy():
    _, annotated, _, _ = simulated()
    found = noise_of(count_errors(np.eye(4)[annotated], annotated), 0.8, pseudo_count=10).confusion
    np.testing.assert_allclose(np.diag(found), 0.8)


def test_an_annotation_that_is_less_sure_says_less():
    """The same wrong value, hedged and not: right in 6 of 10, or in 9 of 10."""
    likelihood = NoiseModel.even(0.75, 2).likelihood(np.asarray([1, 1]), np.asarray([0.6, 0.9]))
    np.testing.assert_allclose(likelihood, [[0.4, 0.6], [0.1, 0.9]])
