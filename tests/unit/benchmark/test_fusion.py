"""The crude fusion, on posteriors of which the truth is known, and which landforms count as rare."""

import numpy as np
import pyarrow as pa
import pytest

from benchmark.baselines.fusion import confident_noise, fuse_with_initial, most_probable, undo_noise
from benchmark.metrics.rarity import rare_tiles, rare_values
from hcot_llm.aggregation.label_noise import NoiseModel
from hcot_llm.aggregation.matrix import AnnotationMatrix
from support.hcot import CLAUSES, HCOT, VOCABULARY

CONFUSION = np.asarray([[0.8, 0.2, 0.0], [0.05, 0.8, 0.15], [0.0, 0.2, 0.8]])
TILES = 4000


@pytest.fixture(scope="module")
def case():
    """Truth, seed corrupted by CONFUSION, and a model that learned the corrupted labels and sees the truth in most."""
    generator = np.random.default_rng(0)
    truth = generator.integers(3, size=TILES)
    seed = np.asarray([generator.choice(3, p=CONFUSION[value]) for value in truth])
    belief = np.where(np.eye(3, dtype=bool)[truth], 0.9, 0.05)
    unsure = generator.random(TILES) < 0.2
    belief[unsure] = 1 / 3
    return truth, seed, belief @ CONFUSION


def test_noise_is_found_without_the_truth(case):
    _, seed, posterior = case
    assert np.abs(confident_noise(posterior, seed, 0.8).confusion - CONFUSION).max() < 0.05


def test_how_many_errors_there_are_is_what_the_seed_says(case):
    _, seed, posterior = case
    np.testing.assert_allclose(np.diag(confident_noise(posterior, seed, 0.6).confusion), 0.6)


def test_noise_is_the_prior_where_nothing_is_known():
    noise = confident_noise(np.full((1, 3), 1 / 3), np.asarray([0]), 0.8, pseudo_count=1e9)
    np.testing.assert_allclose(noise.confusion, NoiseModel.even(0.8, 3).confusion, atol=1e-6)


def test_undoing_the_noise_gives_the_posterior_of_the_truth():
    truth = np.asarray([[0.7, 0.2, 0.1], [0.0, 0.0, 1.0]])
    np.testing.assert_allclose(undo_noise(truth @ CONFUSION, CONFUSION), truth, atol=1e-6)


def test_fusing_repairs_more_than_it_breaks():
    generator = np.random.default_rng(1)
    sizes = np.asarray([len(VOCABULARY[clause]) for clause in CLAUSES])
    truth = generator.integers(sizes, size=(600, len(CLAUSES)))
    wrong = (truth + generator.integers(1, sizes, size=truth.shape)) % sizes
    values = np.where(generator.random(truth.shape) < 0.2, wrong, truth)
    beliefs = {}
    for column, clause in enumerate(CLAUSES):
        seen = np.where(generator.random(600) < 0.9, truth[:, column], wrong[:, column])
        beliefs[clause] = np.where(np.eye(sizes[column], dtype=bool)[seen], 0.75, 0.25 / (sizes[column] - 1))
    seed = AnnotationMatrix(
        HCOT,
        tuple(f"{tile:04d}" for tile in range(600)),
        values,
        np.full(values.shape, 0.8, np.float32),
        np.full(values.shape, "seed", object),
    )
    fused = fuse_with_initial(beliefs, seed)
    assert (fused.values == truth).mean() > (values == truth).mean() + 0.05
    assert ((fused.confidence > 0) & (fused.confidence <= 1)).all()


def test_rare_values_hold_at_most_their_share():
    values = ["plain"] * 80 + ["coast"] * 10 + ["hills"] * 6 + ["mountain"] * 4
    assert rare_values(values, 0.15) == {"hills", "mountain"}
    assert rare_values(values, 0.20) == {"coast", "hills", "mountain"}
    assert rare_values(["plain"] * 5 + ["coast"] * 5) == set()
    # The value that does not fit ends the search, even where a more frequent one could not fit either.
    assert rare_values(["a"] * 10 + ["b"] * 10 + ["c"] * 80, 0.10) == {"a"}


def test_a_tile_is_rare_by_terrain_or_by_function():
    truth = pa.table(
        {
            "tile_id": [f"{n:02d}" for n in range(20)],
            "terrain": ["mountain"] + ["plain"] * 19,
            "functionality": ["natural"] * 18 + ["port"] * 2,
        }
    )
    assert rare_tiles(truth, ("terrain", "functionality"), [f"{n:02d}" for n in range(20)]) == {"00", "18", "19"}
    # Rarity is counted among the tiles asked about.
    assert rare_tiles(truth, ("terrain", "functionality"), ["00", "01"]) == set()


def test_the_most_probable_value_is_taken_with_its_probability():
    generator = np.random.default_rng(0)
    beliefs = {clause: generator.dirichlet(np.ones(len(VOCABULARY[clause])), 5) for clause in CLAUSES}
    alone = most_probable(HCOT, beliefs, [f"t{row}" for row in range(5)])
    for column, clause in enumerate(CLAUSES):
        np.testing.assert_array_equal(
            beliefs[clause][np.arange(5), alone.values[:, column]], beliefs[clause].max(axis=1)
        )
        np.testing.assert_array_equal(alone.confidence[:, column], beliefs[clause].max(axis=1).astype(np.float32))
