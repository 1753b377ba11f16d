"""Nearest tiles in pieces are those of a whole sort, also where many tiles are equally near."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.scorer import neighbours
from actors.scorer.neighbours import nearest_tiles, pieces


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
