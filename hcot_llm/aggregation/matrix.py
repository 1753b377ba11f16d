"""Annotations as arrays: one row per tile, one column per clause, value indices inside."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError


@dataclass(frozen=True)
class AnnotationMatrix:
    """Annotations of N tiles in the C clauses of a schema.

    Attributes:
        schema: The schema of the clauses.
        tile_ids: Ids of the N tiles, sorted.
        values: int [N, C], indices into the schema's vocabulary.
        confidence: float32 [N, C], probability of the value in 0..1.
        source: str [N, C], the label source of the value, see `corpus.annotations.SOURCES`.
    """

    schema: AnnotationSchema
    tile_ids: tuple[str, ...]
    values: np.ndarray
    confidence: np.ndarray
    source: np.ndarray

    def __len__(self) -> int:
        return len(self.tile_ids)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Tile id -> row."""
        return {tile_id: row for row, tile_id in enumerate(self.tile_ids)}

    def column(self, clause: str) -> np.ndarray:
        """Indices of the values of one clause, int [N]."""
        return self.values[:, self.schema.column[clause]]

    def row_values(self, row: int) -> dict[str, str]:
        """The annotation of one tile: clause -> value."""
        return {
            clause: vocabulary[self.values[row, column]]
            for column, (clause, vocabulary) in enumerate(self.schema.vocabulary.items())
        }


def matrix_from_table(schema: AnnotationSchema, table: pa.Table) -> AnnotationMatrix:
    """Read a table of annotations into a matrix.

    Args:
        schema: The schema of the annotations.
        table: Columns tile_id, clause, value, confidence and, where it is known, source; rows in any order.

    Raises:
        SchemaError: A tile lacks a clause, or a clause or value is not in the schema.
    """
    tile_ids = tuple(sorted(set(table["tile_id"].to_pylist())))
    row_of = {tile_id: row for row, tile_id in enumerate(tile_ids)}
    values = np.full((len(tile_ids), len(schema)), -1, dtype=np.int64)
    confidence = np.zeros(values.shape, dtype=np.float32)
    # "seed" is the stored name of the initial annotations: it is part of the corpus digest.
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
        if value not in schema.value_index.get(clause, {}):
            try:
                schema.check_value(clause, value)
            except SchemaError as error:
                raise SchemaError(f"Tile {tile_id}: {error}") from error
        row, column = row_of[tile_id], schema.column[clause]
        values[row, column] = schema.value_index[clause][value]
        confidence[row, column], source[row, column] = sure, origin
    if (values < 0).any():
        row, column = np.argwhere(values < 0)[0]
        raise SchemaError(f"Tile {tile_ids[row]} has no clause '{schema.names[column]}'.")
    return AnnotationMatrix(schema, tile_ids, values, confidence, source)


def one_hot_votes(schema: AnnotationSchema, values: np.ndarray, neighbours: np.ndarray) -> dict[str, np.ndarray]:
    """Share of each tile's neighbours that have each value.

    Args:
        schema: The schema of the values.
        values: int [N, C], indices of the values.
        neighbours: int [N, K], rows of the K nearest other tiles.

    Returns:
        Per clause float [N, V], in 0..1.
    """
    return {
        clause: np.eye(len(vocabulary))[values[neighbours, column]].mean(axis=1)
        for column, (clause, vocabulary) in enumerate(schema.vocabulary.items())
    }
