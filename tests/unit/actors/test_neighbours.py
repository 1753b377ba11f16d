"""Nearest tiles in pieces are those of a whole sort, also where many tiles are equally near."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.scorer import neighbours
from actors.scorer.config import ScoreConfig
from actors.scorer.nearest import find_nearest
from actors.scorer.neighbours import nearest_tiles, pieces, recall
from hcot_llm.aggregation.workers import THIS_PROCESS


def by_a_whole_sort(embeddings: np.ndarray, count: int) -> np.ndarray:
    similarity = embeddings @ embeddings.T
    np.fill_diagonal(similarity, -np.inf)
    return np.argsort(-similarity, axis=1, kind="stable")[:, : min(count, len(embeddings) - 1)]


def in_pieces(embeddings: np.ndarray, count: int) -> np.ndarray:
    return np.concatenate([nearest_tiles(embeddings, *each, count) for each in pieces(len(embeddings))])


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(1, 12), st.integers(1, 3))
def test_ties_go_by_row_number(seed, tiles, count, kinds):
    """Axes of a space of few dimensions: most pairs are exactly as near as others."""
    embeddings = np.eye(3, dtype=np.float32)[np.random.default_rng(seed).integers(kinds, size=tiles)]
    np.testing.assert_array_equal(in_pieces(embeddings, count), by_a_whole_sort(embeddings, count))


def test_pieces_make_up_the_whole(monkeypatch):
    monkeypatch.setattr(neighbours, "MOST_AT_ONCE", 7)
    embeddings = np.random.default_rng(0).normal(size=(100, 16)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    assert pieces(100)[-1] == (98, 100)
    np.testing.assert_array_equal(in_pieces(embeddings, 8), by_a_whole_sort(embeddings, 8))


@pytest.mark.parametrize("tiles", [1, 2])
def test_few_tiles_have_few_neighbours(tiles):
    assert in_pieces(np.eye(2, dtype=np.float32)[:tiles], 8).shape == (tiles, tiles - 1)


def clustered(tiles: int) -> np.ndarray:
    """Unit vectors around some directions."""
    draw = np.random.default_rng(1)
    embeddings = draw.normal(size=(40, 16))[draw.integers(40, size=tiles)] + 0.5 * draw.normal(size=(tiles, 16))
    return (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float32)


def test_cells_find_all_neighbours_where_all_are_looked_at_and_most_where_some_are():
    embeddings = clustered(6000)
    exact, whole = find_nearest(embeddings, ScoreConfig(), 0, THIS_PROCESS)
    assert whole is None
    every, found = find_nearest(embeddings, ScoreConfig(exact_neighbours=100, neighbour_cells=64), 0, THIS_PROCESS)
    assert found > 0.999
    assert recall(every, exact) > 0.999
    some, found = find_nearest(embeddings, ScoreConfig(exact_neighbours=100, neighbour_cells=6), 0, THIS_PROCESS)
    assert 0.7 < found < 1
    assert found == pytest.approx(recall(some, exact), abs=0.05)
    again, _ = find_nearest(embeddings, ScoreConfig(exact_neighbours=100, neighbour_cells=6), 0, THIS_PROCESS)
    np.testing.assert_array_equal(again, some)
    assert not (some == np.arange(6000)[:, None]).any()


def test_tiles_that_all_look_the_same_have_neighbours_too():
    same, _ = find_nearest(np.ones((600, 1), np.float32), ScoreConfig(exact_neighbours=100), 0, THIS_PROCESS)
    assert same.shape == (600, 8)
    assert not (same == np.arange(600)[:, None]).any()
