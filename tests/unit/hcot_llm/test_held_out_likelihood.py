"""The truth-free measure by which the champion is chosen: it follows what the truth would say."""

import numpy as np
import pytest

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.held_out_likelihood import held_out_log_likelihood
from hcot_llm.aggregation.matrix import AnnotationMatrix
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES, ACCURACY = 200, 0.8


@pytest.fixture(scope="module")
def truth():
    generator = np.random.default_rng(0)
    return np.stack([generator.integers(len(VOCABULARY[clause]), size=TILES) for clause in CLAUSES], axis=1)


@pytest.fixture(scope="module")
def initial(truth):
    """The truth, a fifth of it replaced by another value."""
    generator = np.random.default_rng(1)
    sizes = np.array([len(VOCABULARY[clause]) for clause in CLAUSES])
    wrong = generator.random(truth.shape) > ACCURACY
    values = np.where(wrong, (truth + generator.integers(1, sizes, truth.shape)) % sizes, truth)
    return AnnotationMatrix(
        HCOT,
        tuple(f"tile-{row:03d}" for row in range(TILES)),
        values,
        np.full(truth.shape, ACCURACY),
        np.full(truth.shape, "seed", dtype=object),
    )


def encoder(truth, right: float) -> dict:
    """An encoder whose best guess is the truth on this share of the tiles, and which is as sure everywhere."""
    generator = np.random.default_rng(2)
    answers = {}
    for column, clause in enumerate(CLAUSES):
        values = len(VOCABULARY[clause])
        guess = np.where(generator.random(TILES) < right, truth[:, column], generator.integers(values, size=TILES))
        answers[clause] = 0.3 / values + 0.7 * np.eye(values)[guess]
    return answers


def test_the_nearer_to_the_truth_the_higher_the_held_out_likelihood(truth, initial):
    scores = [
        held_out_log_likelihood(encoder(truth, right), initial, AcceptanceConfig()) for right in (0.0, 0.3, 0.6, 0.9)
    ]
    assert scores == sorted(scores)
    assert scores[-1] < 0


def test_repeating_the_errors_of_other_tiles_does_not_raise_the_likelihood(truth, initial):
    """An encoder that is sure of something else is not better than one that knows nothing."""
    nothing = {clause: np.full((TILES, len(VOCABULARY[clause])), 1 / len(VOCABULARY[clause])) for clause in CLAUSES}
    config = AcceptanceConfig()
    assert held_out_log_likelihood(encoder(np.roll(truth, 7, axis=0), 0.9), initial, config) == pytest.approx(
        held_out_log_likelihood(nothing, initial, config), abs=0.02
    )


def test_without_held_out_tiles_there_is_no_such_number(initial):
    empty = AnnotationMatrix(HCOT, (), initial.values[:0], initial.confidence[:0], initial.source[:0])
    assert (
        held_out_log_likelihood(
            {clause: np.zeros((0, len(VOCABULARY[clause]))) for clause in CLAUSES}, empty, AcceptanceConfig()
        )
        is None
    )
