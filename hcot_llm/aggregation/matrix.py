"""Annotations as arrays: one row per tile, one column per clause, value indices inside."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from corpus.storage.arrow import compute as pc
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
        standing: Clauses of which no model can tell right annotations from wrong ones: they stand as they came.
    """

    schema: AnnotationSchema
    tile_ids: tuple[str, ...]
    values: np.ndarray
    confidence: np.ndarray
    source: np.ndarray
    standing: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.tile_ids)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Tile id -> row."""
        return {tile_id: row for row, tile_id in enumerate(self.tile_ids)}

    def column(self, clause: str) -> np.ndarray:
        """Indices of the values of one clause, int [N]."""
        return self.values[:, self.schema.column[clause]]

    @property
    def words(self) -> pa.Array:
        """The values as words, N * C strings: all clauses of the first tile, then of the next."""
        sizes = [len(words) for words in self.schema.vocabulary.values()]
        every = pa.array([word for words in self.schema.vocabulary.values() for word in words], pa.string())
        return every.take(pa.array((self.values + (np.cumsum(sizes) - sizes)).reshape(-1)))

    @property
    def keys(self) -> dict[str, pa.Array]:
        """Columns tile_id and clause of `words`."""
        tiles, clauses = len(self), len(self.schema)
        return {
            "tile_id": pa.array(self.tile_ids, pa.string()).take(pa.array(np.repeat(np.arange(tiles), clauses))),
            "clause": pa.array(self.schema.names, pa.string()).take(pa.array(np.tile(np.arange(clauses), tiles))),
        }

    def row_values(self, row: int) -> dict[str, str]:
        """The annotation of one tile: clause -> value."""
        return {
            clause: vocabulary[self.values[row, column]]
            for column, (clause, vocabulary) in enumerate(self.schema.vocabulary.items())
        }


def select(matrix: AnnotationMatrix, mask: np.ndarray) -> AnnotationMatrix:
    """The rows of a matrix where mask is true."""
    rows = np.flatnonzero(mask)
    return AnnotationMatrix(
        matrix.schema,
        tuple(matrix.tile_ids[row] for row in rows),
        matrix.values[rows],
        matrix.confidence[rows],
        matrix.source[rows],
        matrix.standing,
    )


def part_of(matrix: AnnotationMatrix, rows: slice) -> AnnotationMatrix:
    """Some rows of a matrix that lie one after the other; nothing is copied but their ids."""
    return AnnotationMatrix(
        matrix.schema,
        matrix.tile_ids[rows],
        matrix.values[rows],
        matrix.confidence[rows],
        matrix.source[rows],
        matrix.standing,
    )


def joined(parts: Sequence[AnnotationMatrix]) -> AnnotationMatrix:
    """The rows of several matrices of one schema, one after the other."""
    return AnnotationMatrix(
        parts[0].schema,
        tuple(tile_id for part in parts for tile_id in part.tile_ids),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.source for part in parts]),
        parts[0].standing,
    )


def split_by_clause(schema: AnnotationSchema, array: np.ndarray) -> dict[str, np.ndarray]:
    """Numbers of the values of all clauses, one clause after the other, [N, sum of V], as [N, V] of each clause."""
    edges = np.cumsum([len(words) for words in schema.vocabulary.values()])[:-1]
    return dict(zip(schema.names, np.split(array, edges, axis=1), strict=True))


def matrix_from_table(schema: AnnotationSchema, table: pa.Table) -> AnnotationMatrix:
    """Read a table of annotations into a matrix.

    Args:
        schema: The schema of the annotations.
        table: Columns tile_id, clause, value, confidence and, where it is known, source; rows in any order.

    Raises:
        SchemaError: A tile lacks a clause, or a clause or value is not in the schema.
    """
    tile_ids = pc.unique(table["tile_id"])
    tile_ids = tile_ids.take(pc.sort_indices(tile_ids))
    row = pc.index_in(table["tile_id"], tile_ids).to_numpy()
    column, value = _indices(schema, table)
    values = np.full((len(tile_ids), len(schema)), -1, dtype=np.int64)
    confidence = np.zeros(values.shape, dtype=np.float32)
    # "seed" is the stored name of the initial annotations: it is part of the corpus digest.
    source = np.full(values.shape, "seed", dtype=object)
    values[row, column] = value
    confidence[row, column] = table["confidence"].to_numpy()
    if "source" in table.column_names:
        source[row, column] = _words(table["source"])
    if (values < 0).any():
        at, lacking = np.argwhere(values < 0)[0]
        raise SchemaError(f"Tile {tile_ids[at]} has no clause '{schema.names[lacking]}'.")
    return AnnotationMatrix(schema, tuple(tile_ids.to_pylist()), values, confidence, source)


def _indices(schema: AnnotationSchema, table: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Of each row of annotations the column of its clause and the index of its value, int [rows].

    Raises:
        SchemaError: A clause or value is not in the schema; that of the first such row is named.
    """
    column = pc.fill_null(pc.index_in(table["clause"], pa.array(schema.names)), -1).to_numpy()
    value = np.full(table.num_rows, -1, dtype=np.int64)
    words = table["value"].combine_chunks()
    for number, vocabulary in enumerate(schema.vocabulary.values()):
        rows = np.flatnonzero(column == number)
        found = pc.index_in(words.take(pa.array(rows)), pa.array(vocabulary))
        value[rows] = pc.fill_null(found, -1).to_numpy(zero_copy_only=False)
    for row in np.flatnonzero(value < 0)[:1]:
        try:
            schema.check_value(table["clause"][int(row)].as_py(), table["value"][int(row)].as_py())
        except SchemaError as error:
            raise SchemaError(f"Tile {table['tile_id'][int(row)]}: {error}") from error
    return column, value


def _words(strings: pa.ChunkedArray) -> np.ndarray:
    """Strings as objects [rows]; equal ones are one object."""
    encoded = strings.combine_chunks().dictionary_encode()
    return np.asarray(encoded.dictionary.to_pylist(), dtype=object)[encoded.indices.to_numpy(zero_copy_only=False)]


def one_hot_votes(schema: AnnotationSchema, values: np.ndarray, neighbours: np.ndarray) -> dict[str, np.ndarray]:
    """Share of each tile's neighbours that have each value.

    Args:
        schema: The schema of the values.
        values: int [N, C], indices of the values.
        neighbours: int [N, K], rows of the K nearest other tiles.

    Returns:
        Per clause float32 [N, V], in 0..1.
    """
    tiles, count = neighbours.shape
    votes = {}
    for column, (clause, vocabulary) in enumerate(schema.vocabulary.items()):
        place = np.arange(tiles)[:, None] * len(vocabulary) + values[neighbours, column]
        counted = np.bincount(place.reshape(-1), minlength=tiles * len(vocabulary))
        votes[clause] = counted.reshape(tiles, len(vocabulary)).astype(np.float32) / np.float32(count)
    return votes
