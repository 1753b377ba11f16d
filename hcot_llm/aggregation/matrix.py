"""Annotations as arrays: one row per tile, one column per clause, value indices inside."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from hcot_llm.aggregation.feedback import VALUE_INDEX
from hcot_llm.schema.clauses import CLAUSES, VOCABULARY, Clause


@dataclass(frozen=True)
class AnnotationMatrix:
    """tile_ids: N, sorted. values: int [N, 16] into VOCABULARY. confidence: float32 [N, 16]. source: str [N, 16]."""

    tile_ids: tuple[str, ...]
    values: np.ndarray
    confidence: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.tile_ids)

    def column(self, clause: Clause) -> np.ndarray:
        """Value indices of one clause, int [N]."""
        return self.values[:, CLAUSES.index(clause)]

    def row_values(self, row: int) -> dict[Clause, str]:
        """The annotation of one tile."""
        return {clause: VOCABULARY[clause][self.values[row, c]] for c, clause in enumerate(CLAUSES)}


def matrix_from_table(table: pa.Table) -> AnnotationMatrix:
    """Read (tile_id, clause, value, confidence[, source]) rows in any order.

    Raises:
        ValueError: a tile lacks a clause, or a value is not in its clause's vocabulary.
    """
    tile_ids = tuple(sorted(set(table["tile_id"].to_pylist())))
    row_of = {tile_id: row for row, tile_id in enumerate(tile_ids)}
    column_of = {clause.value: column for column, clause in enumerate(CLAUSES)}
    values = np.full((len(tile_ids), len(CLAUSES)), -1, dtype=np.int64)
    confidence = np.zeros(values.shape, dtype=np.float32)
    source = np.full(values.shape, "seed", dtype=object)
    sources = table["source"].to_pylist() if "source" in table.column_names else ["seed"] * table.num_rows
    for tile_id, clause, value, sure, origin in zip(
        table["tile_id"].to_pylist(),
        table["clause"].to_pylist(),
        table["value"].to_pylist(),
        table["confidence"].to_pylist(),
        sources,
        strict=True,
    ):
        index = VALUE_INDEX[Clause(clause)].get(value)
        if index is None:
            raise ValueError(
                f"tile {tile_id}, clause {clause}: '{value}' is not one of {', '.join(VOCABULARY[Clause(clause)])}"
            )
        row, column = row_of[tile_id], column_of[clause]
        values[row, column], confidence[row, column], source[row, column] = index, sure, origin
    if (values < 0).any():
        row, column = np.argwhere(values < 0)[0]
        raise ValueError(f"tile {tile_ids[row]} has no clause '{CLAUSES[column]}'")
    return AnnotationMatrix(tile_ids, values, confidence, source)


def one_hot_votes(values: np.ndarray, neighbours: np.ndarray) -> dict[Clause, np.ndarray]:
    """Share of each tile's neighbours that say each value, per clause float [N, V].

    Args:
        values: int [N, 16]. neighbours: int [N, K], rows of the nearest other tiles.
    """
    return {
        clause: np.eye(len(VOCABULARY[clause]))[values[neighbours, column]].mean(axis=1)
        for column, clause in enumerate(CLAUSES)
    }
