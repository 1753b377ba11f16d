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
    """Hex SHA-256 over DIGEST_COLUMNS of all rows in canonical order; 1,000,000 rows take about a second.

    Canonical form: rows sorted by (tile_id, clause) as UTF-8 bytes, ties by the other columns; then column by
    column its name, the byte lengths of its values (int64, little endian) and the values' UTF-8 bytes; `level` as
    int8. Lengths make it unambiguous. Raises ValueError for a missing column or a null.
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
    order = _canonical_order(encoded)
    digest = hashlib.sha256(_HEADER + table.num_rows.to_bytes(8, "little"))
    for name, (values, codes) in encoded.items():
        digest.update(name.encode() + b"\n")
        rows = codes[order]
        if pa.types.is_integer(values.type):
            digest.update(values.to_numpy(zero_copy_only=False).astype("<i1")[rows].tobytes())
        else:
            taken = values.take(pa.array(rows))
            digest.update(pc.binary_length(taken).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
            digest.update(_bytes_of(taken))
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
