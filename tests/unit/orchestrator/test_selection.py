"""Which clauses are written again and which rows are shown: budgets, draws and rarity are kept, and repeat."""

import numpy as np
import pytest

from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.policies.selection import copies, most_doubtful, rare_landforms, shows_seed
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES = [f"tile-{index:04d}" for index in range(2000)]


def test_the_most_doubtful_come_first_and_no_more_than_the_share():
    generator = np.random.default_rng(0)
    doubtful, confidence = generator.random((50, 16)) < 0.5, generator.random((50, 16))
    limited = np.arange(50) < 40
    chosen = most_doubtful(doubtful, confidence, limited, 0.1)
    assert chosen[limited].sum() == 64
    assert not (chosen & ~doubtful).any()
    assert confidence[limited][chosen[limited]].max() < confidence[limited][(doubtful & ~chosen)[limited]].min()
    # What calibrates is asked about as without a limit.
    np.testing.assert_array_equal(chosen[~limited], doubtful[~limited])


def test_equal_doubt_is_settled_by_tile_and_clause():
    chosen = most_doubtful(np.ones((4, 16), bool), np.full((4, 16), 0.5), np.ones(4, bool), 0.3)
    assert np.flatnonzero(chosen.ravel()).tolist() == list(range(19))


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (1, 640)])
def test_a_share_of_none_asks_nothing_and_of_all_asks_everything(share, expected):
    assert most_doubtful(np.ones((40, 16), bool), np.zeros((40, 16)), np.ones(40, bool), share).sum() == expected


def test_seed_captions_are_shown_to_the_share_and_drawn_anew_each_round():
    shown = shows_seed(TILES, 0.2, 0, 1)
    assert shown.mean() == pytest.approx(0.2, abs=0.03)
    np.testing.assert_array_equal(shown, shows_seed(TILES, 0.2, 0, 1))
    # A tile's draw is its own: fewer tiles, same draws.
    np.testing.assert_array_equal(shown[::3], shows_seed(TILES[::3], 0.2, 0, 1))
    assert (shown != shows_seed(TILES, 0.2, 0, 2)).any()
    assert (shown != shows_seed(TILES, 0.2, 1, 1)).any()
    assert not shows_seed(TILES, 0, 0, 1).any()
    assert shows_seed(TILES, 1, 0, 1).all()


def test_rare_tiles_are_repeated_by_the_factor_and_others_are_not():
    rare = np.arange(len(TILES)) % 2 == 0
    counts = copies(TILES, rare, 2.5, 0, 1)
    assert (counts[~rare] == 1).all()
    assert set(counts[rare]) == {2, 3}
    assert counts[rare].mean() == pytest.approx(2.5, abs=0.05)
    np.testing.assert_array_equal(counts, copies(TILES, rare, 2.5, 0, 1))
    assert (counts != copies(TILES, rare, 2.5, 0, 2)).any()
    assert (copies(TILES, rare, 1, 0, 1) == 1).all()


def annotated(terrain: list[int]) -> AnnotationMatrix:
    """All clauses say their first value, terrain what is given."""
    values = np.zeros((len(terrain), len(CLAUSES)), int)
    values[:, CLAUSES.index("terrain")] = terrain
    return AnnotationMatrix(
        HCOT,
        tuple(TILES[: len(terrain)]),
        values,
        np.ones(values.shape, np.float32),
        np.full(values.shape, "seed", object),
    )


def test_rare_is_what_the_current_annotations_say():
    matrix = annotated([0] * 90 + [1] * 10)
    everything = np.ones(matrix.values.shape, bool)
    assert np.flatnonzero(rare_landforms(matrix, everything)).tolist() == list(range(90, 100))
    # Half and half, nothing is rare.
    assert not rare_landforms(annotated([0] * 50 + [1] * 50), everything).any()
    assert len(VOCABULARY["terrain"]) > 1


def test_a_doubtful_clause_makes_no_tile_rare():
    matrix = annotated([0] * 90 + [1] * 10)
    taught = np.ones(matrix.values.shape, bool)
    taught[95:, CLAUSES.index("terrain")] = False
    assert np.flatnonzero(rare_landforms(matrix, taught)).tolist() == list(range(90, 95))
