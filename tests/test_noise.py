"""Label noise is recovered without truth, undone, and weighed."""

import numpy as np
import pytest

from hcot_llm.noise import NoiseModel, clean_posterior, estimate_noise, fuse, undo_noise


def simulated(tiles=4000, values=4, accuracy=0.8, seed=0):
    """Truth, annotated values and the distribution over annotated values of a perfect model."""
    generator = np.random.default_rng(seed)
    confusion = np.full((values, values), (1 - accuracy) / (values - 1))
    np.fill_diagonal(confusion, accuracy)
    confusion[0] = [0.6, 0.4, 0, 0]
    truth = generator.integers(values, size=tiles)
    annotated = np.asarray([generator.choice(values, p=confusion[t]) for t in truth])
    return truth, annotated, confusion


def test_undoing_a_known_noise_inverts_it():
    truth, _, confusion = simulated(tiles=50)
    annotated = confusion[truth]
    clean = undo_noise(annotated, NoiseModel(confusion), iterations=500)
    assert (clean.argmax(axis=1) == truth).all()
    assert clean[np.arange(50), truth].min() > 0.95
    np.testing.assert_allclose(clean.sum(axis=1), 1)


def test_noise_is_estimated_from_a_clean_posterior():
    truth, annotated, confusion = simulated()
    posterior = np.eye(4)[truth]
    estimated = estimate_noise(posterior, annotated).confusion
    np.testing.assert_allclose(estimated, confusion, atol=0.05)


def test_noise_is_found_and_undone_without_truth():
    truth, annotated, confusion = simulated()
    model = confusion[truth]
    clean, noise = clean_posterior(model, annotated, expected_accuracy=0.8)
    assert (clean.argmax(axis=1) == truth).mean() > 0.99
    np.testing.assert_allclose(noise.confusion, confusion, atol=0.08)


def test_fusing_by_hand():
    """Model says 0.7/0.3, the annotation says value 1 and is right in 9 of 10: 0.07 against 0.27."""
    noise = NoiseModel(np.asarray([[0.9, 0.1], [0.1, 0.9]]))
    fused = fuse(np.asarray([[0.7, 0.3]]), np.asarray([1]), noise, model_error=1e-12)
    np.testing.assert_allclose(fused, [[0.07 / 0.34, 0.27 / 0.34]], atol=1e-6)


@pytest.mark.parametrize("weakness", [0.3, 0.6])
def test_fusing_with_a_weak_model_is_better_than_either_alone(weakness):
    truth, annotated, confusion = simulated()
    generator = np.random.default_rng(1)
    belief = np.eye(4)[np.where(generator.random(len(truth)) < weakness, generator.integers(4, size=len(truth)), truth)]
    model = (1 - weakness) * belief + weakness / 4
    fused = fuse(model, annotated, NoiseModel(confusion)).argmax(axis=1)
    alone = max((model.argmax(axis=1) == truth).mean(), (annotated == truth).mean())
    assert (fused == truth).mean() > alone
