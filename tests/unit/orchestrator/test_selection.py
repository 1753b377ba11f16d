"""Which clauses are written again and which rows are shown: budgets, draws and rarity are kept, and repeat."""

import numpy as np
import pytest

from hcot_llm.aggregation.matrix import AnnotationMatrix
from orchestrator.policies.selection import choose_queried, copies, rare_landforms, shows_initial
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES = [f"tile-{index:04d}" for index in range(2000)]


def test_the_least_confident_come_first_and_no_more_than_the_share():
    generator = np.random.default_rng(0)
    flagged, confidence = generator.random((50, 16)) < 0.5, generator.random((50, 16))
    limited = np.arange(50) < 40
    chosen = choose_queried(flagged, confidence, limited, 0.1)
    assert chosen[limited].sum() == 64
    assert not (chosen & ~flagged).any()
    assert confidence[limited][chosen[limited]].max() < confidence[limited][(flagged & ~chosen)[limited]].min()
    # What calibrates is asked about as without a limit.
    np.testing.assert_array_equal(chosen[~limited], flagged[~limited])


def test_equal_doubt_is_settled_by_tile_and_clause():
    chosen = choose_queried(np.ones((4, 16), bool), np.full((4, 16), 0.5), np.ones(4, bool), 0.3)
    assert np.flatnonzero(chosen.ravel()).tolist() == list(range(19))


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (1, 640)])
def test_a_share_of_none_asks_nothing_and_of_all_asks_everything(share, expected):
    assert choose_queried(np.ones((40, 16), bool), np.zeros((40, 16)), np.ones(40, bool), share).sum() == expected


def test_seed_captions_are_shown_to_the_share_and_drawn_anew_each_round():
    shown = shows_initial(TILES, 0.2, 0, 1)
    assert shown.mean() == pytest.approx(0.2, abs=0.03)
    np.testing.assert_array_equal(shown, shows_initial(TILES, 0.2, 0, 1))
    # A tile's draw is its own: fewer tiles, same draws.
    np.testing.assert_array_equal(shown[::3], shows_initial(TILES[::3], 0.2, 0, 1))
    assert (shown != shows_initial(TILES, 0.2, 0, 2)).any()
    assert (shown != shows_initial(TILES, 0.2, 1, 1)).any()
    assert not shows_initial(TILES, 0, 0, 1).any()
    assert shows_initial(TILES, 1, 0, 1).all()


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


def test_a_clause_that_is_no_target_makes_no_tile_rare():
    matrix = annotated([0] * 90 + [1] * 10)
    loss_mask = np.ones(matrix.values.shape, bool)
    loss_mask[95:, CLAUSES.index("terrain")] = False
    assert np.flatnonzero(rare_landforms(matrix, loss_mask)).tolist() == list(range(90, 95))
