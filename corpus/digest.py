"""Content hash of an annotation table, the same for every file layout, row order and encoding."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa

from corpus.storage.arrow import compute as pc

DIGEST_COLUMNS = ("tile_id", "clause", "value", "text", "level", "source")
"""What the corpus says, and who said it. Left out: confidence (a float, which may differ in its last bits between
machines), round, weights_sha256 and prompt_sha256 (how it came about: two runs that arrive at the same
annotations have the same corpus)."""

_HEADER = b"knowlip annotations 1\n"


def annotation_digest(table: pa.Table) -> str:
    """Hex SHA-256 of a whole table, see `AnnotationDigest`; 1,000,000 rows take about a second."""
    digest = AnnotationDigest()
    digest.add(table)
    return digest.hexdigest()


class AnnotationDigest:
    """Hex SHA-256 over DIGEST_COLUMNS of all rows in canonical order. Tables may come one after the other, by tile.

    Canonical form: rows sorted by (tile_id, clause) as UTF-8 bytes, ties by the other columns; then column by
    column its name, the byte lengths of its values (int64, little endian) and the values' UTF-8 bytes; `level` as
    int8. Lengths make it unambiguous. Of each table the distinct values are kept, and a small number for each row.
    """

    def __init__(self) -> None:
        self._rows = 0
        self._last: bytes | None = None
        self._parts: dict[str, list[tuple[pa.Array, np.ndarray]]] = {name: [] for name in DIGEST_COLUMNS}

    def add(self, table: pa.Table) -> None:
        """Take the annotations of further tiles.

        Args:
            table: with DIGEST_COLUMNS. Its tile ids come after those of the tables before.

        Raises:
            ValueError: a column is missing or has a null, or tile ids do not come after those before.
        """
        missing = [name for name in DIGEST_COLUMNS if name not in table.column_names]
        if missing:
            raise ValueError(
                f"An annotation table needs the columns {', '.join(DIGEST_COLUMNS)}; missing: {', '.join(missing)}."
            )
        nulls = [name for name in DIGEST_COLUMNS if table[name].null_count]
        if nulls:
            raise ValueError(f"An annotation table has no nulls; found some in {', '.join(nulls)}.")
        encoded = {name: _encode(table[name]) for name in DIGEST_COLUMNS}
        tile_ids = encoded["tile_id"][0]
        if len(tile_ids):
            if self._last is not None and str(tile_ids[0]).encode() <= self._last:
                raise ValueError(f"Annotations of {tile_ids[0]} come after those of {self._last.decode()}; sort them.")
            self._last = str(tile_ids[-1]).encode()
        order = _canonical_order(encoded)
        for name, (values, codes) in encoded.items():
            self._parts[name].append((values, codes[order].astype(np.min_scalar_type(max(len(values), 1)))))
        self._rows += table.num_rows

    def hexdigest(self) -> str:
        """The digest of all that was added."""
        digest = hashlib.sha256(_HEADER + self._rows.to_bytes(8, "little"))
        for name, parts in self._parts.items():
            digest.update(name.encode() + b"\n")
            if parts and pa.types.is_integer(parts[0][0].type):
                for values, rows in parts:
                    digest.update(values.to_numpy(zero_copy_only=False).astype("<i1")[rows].tobytes())
                continue
            for values, rows in parts:
                lengths = pc.binary_length(values).to_numpy(zero_copy_only=False).astype("<i8")
                digest.update(lengths[rows].tobytes())
            for values, rows in parts:
                digest.update(_bytes_of(values.take(pa.array(rows))))
        return digest.hexdigest()


def _encode(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """Distinct values in ascending order, and each row's position among them (so sorting rows sorts integers)."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    column = column.cast(pa.int8() if pa.types.is_integer(column.type) else pa.large_string())
    dictionary = column.combine_chunks().dictionary_encode()
    if isinstance(dictionary, pa.ChunkedArray):
        dictionary = pa.concat_arrays(dictionary.unify_dictionaries().chunks)
    ascending = pc.sort_indices(dictionary.dictionary).to_numpy()
    rank = np.empty(len(ascending), np.int64)
    rank[ascending] = np.arange(len(ascending))
    codes = rank[dictionary.indices.to_numpy(zero_copy_only=False)] if len(dictionary) else np.zeros(0, np.int64)
    return dictionary.dictionary.take(pa.array(ascending)), codes


def _canonical_order(encoded: dict[str, tuple[pa.Array, np.ndarray]]) -> np.ndarray:
    clauses = max(len(encoded["clause"][0]), 1)
    key = encoded["tile_id"][1] * clauses + encoded["clause"][1]
    order = np.argsort(key, kind="stable")
    if len(order) > 1 and (np.diff(key[order]) == 0).any():
        order = np.lexsort([encoded[name][1] for name in reversed(DIGEST_COLUMNS)])
    return order


def _bytes_of(strings: pa.Array) -> memoryview | bytes:
    """The concatenated UTF-8 bytes of a large_string array (the slice its offsets span)."""
    _, offsets, data = strings.buffers()
    if data is None or len(strings) == 0:
        return b""
    bounds = np.frombuffer(offsets, np.int64)[strings.offset : strings.offset + len(strings) + 1]
    return memoryview(data)[int(bounds[0]) : int(bounds[-1])]
