"""Annotations as arrays, from rows in any order and back."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.evaluator import rows_of
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table, one_hot_votes
from support.hcot import CLAUSES, HCOT, VOCABULARY


def matrix(values: np.ndarray) -> AnnotationMatrix:
    tiles = tuple(f"tile-{index:02d}" for index in range(len(values)))
    confidence = np.linspace(0, 1, values.size, dtype=np.float32).reshape(values.shape)
    return AnnotationMatrix(HCOT, tiles, values, confidence, np.full(values.shape, "seed", object))


@given(st.integers(1, 6), st.randoms(use_true_random=False))
def test_rows_in_any_order_give_the_same_matrix(tiles, random):
    values = np.asarray([[random.randrange(len(VOCABULARY[clause])) for clause in CLAUSES] for _ in range(tiles)])
    wanted = matrix(values)
    table = rows_of(wanted)
    order = list(range(table.num_rows))
    random.shuffle(order)
    found = matrix_from_table(HCOT, table.take(order))
    assert found.tile_ids == wanted.tile_ids
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.confidence, wanted.confidence)
    assert (found.source == "seed").all()


def table_of(**changes) -> pa.Table:
    columns = rows_of(matrix(np.zeros((2, len(CLAUSES)), int))).to_pydict()
    return pa.table(columns | changes)


def test_sources_are_kept():
    table = table_of(source=["captioner"] + ["kept"] * 31)
    found = matrix_from_table(HCOT, table)
    assert found.source[0, 0] == "captioner"
    assert (found.source.reshape(-1)[1:] == "kept").all()


def test_values_read_by_clause_and_by_tile():
    values = np.zeros((2, len(CLAUSES)), int)
    values[1, CLAUSES.index("water")] = 3
    found = matrix(values)
    assert len(found) == 2
    assert found.column("water").tolist() == [0, 3]
    assert found.row_values(1)["water"] == "sea"
    assert found.row_values(0)["target_count"] == "0"


def test_a_value_outside_the_vocabulary_is_named():
    table = table_of(
        value=["jungle"]
        + [VOCABULARY[clause][0] for clause in CLAUSES][1:]
        + [VOCABULARY[clause][0] for clause in CLAUSES]
    )
    with pytest.raises(
        ValueError, match="Tile tile-00: 'jungle' is no value of clause 'terrain'; it takes: plain, hills"
    ):
        matrix_from_table(HCOT, table)


def test_a_missing_clause_is_named():
    with pytest.raises(ValueError, match="Tile tile-01 has no clause 'target_environment'"):
        matrix_from_table(HCOT, table_of().slice(0, 31))


def test_votes_are_shares_of_the_neighbours():
    values = np.zeros((4, len(CLAUSES)), int)
    water = CLAUSES.index("water")
    values[:, water] = [0, 3, 3, 1]
    votes = one_hot_votes(HCOT, values, np.asarray([[1, 2], [0, 2], [1, 3], [0, 1]]))
    np.testing.assert_array_equal(votes["water"], [[0, 0, 0, 1], [0.5, 0, 0, 0.5], [0, 0.5, 0, 0.5], [0.5, 0, 0, 0.5]])
    assert all(np.allclose(vote.sum(axis=1), 1) for vote in votes.values())
