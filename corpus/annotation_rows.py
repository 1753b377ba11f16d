"""The columns of an annotation, and rows in their one form and order."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from corpus.storage.arrow import compute as pc
from corpus.storage.errors import InputError

ANNOTATION_SCHEMA = pa.schema(
    [
        ("tile_id", pa.string()),
        ("clause", pa.string()),
        ("value", pa.string()),
        ("text", pa.string()),
        ("level", pa.int8()),
        ("source", pa.string()),
        ("confidence", pa.float32()),
        ("round", pa.int32()),
        ("weights_sha256", pa.string()),
        ("prompt_sha256", pa.string()),
    ]
)
# "seed" stands for the initial annotations: the stored names are part of the corpus digest, so they stay.
SOURCES = ("seed", "captioner", "kept", "person", "statistics")


class AnnotationError(InputError):
    """Annotations that cannot be stored or read; the message says what, where and what to do."""


def canonical(
    table: pa.Table, clauses: list[str] | None = None, schema: pa.Schema = ANNOTATION_SCHEMA
) -> tuple[pa.Table, list[str]]:
    """Validate annotations and sort them by tile_id, then by `clauses` (default: their order of first appearance).

    Returns the table cast to `schema` (columns of ANNOTATION_SCHEMA), and the clause order. Raises AnnotationError for
    missing or unknown columns, wrong types, nulls, an unknown source, a confidence outside [0, 1] or a repeated
    (tile_id, clause).
    """
    table = _cast(table, schema)
    in_order: list[str] = pc.unique(table["clause"]).to_pylist() if clauses is None else list(clauses)
    if table.num_rows == 0:
        raise AnnotationError("The annotation table has no rows. An empty corpus is not committed; check what made it.")
    rank = pc.index_in(table["clause"], pa.array(in_order, pa.string())).to_numpy()
    tiles = table["tile_id"].combine_chunks().dictionary_encode()
    names = tiles.dictionary
    position = np.empty(len(names), np.int64)
    position[pc.sort_indices(names).to_numpy()] = np.arange(len(names))
    key = position[tiles.indices.to_numpy(zero_copy_only=False)] * len(in_order) + rank
    if (np.diff(key) > 0).all():
        return table, in_order
    order = np.argsort(key, kind="stable")
    repeated = np.flatnonzero(np.diff(key[order]) == 0)
    if len(repeated):
        examples = table.select(["tile_id", "clause"]).take(pa.array(order[repeated[:3]])).to_pylist()
        raise AnnotationError(
            f"{len(repeated)} (tile, clause) pairs are annotated more than once, such as "
            + ", ".join(f"({row['tile_id']}, {row['clause']})" for row in examples)
            + ". Keep one row for each."
        )
    return table.take(pa.array(order)), in_order


def _cast(table: pa.Table, schema: pa.Schema) -> pa.Table:
    names = set(table.column_names)
    missing = [name for name in schema.names if name not in names]
    unknown = sorted(names - set(schema.names))
    if missing or unknown:
        raise AnnotationError(
            f"Annotation columns are {', '.join(schema.names)}; missing: "
            f"{', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}."
        )
    columns = []
    for field in schema:
        column = table[field.name]
        if column.null_count:
            raise AnnotationError(
                f"Column {field.name} of the annotations has {column.null_count} nulls; write the "
                "value 'none', or leave the row out."
            )
        if not _same_kind(column.type, field.type):
            raise AnnotationError(
                f"Column {field.name} of the annotations is {column.type}; it has to be {field.type}."
            )
        try:
            columns.append(column.cast(field.type, safe=not pa.types.is_floating(field.type)))
        except pa.ArrowInvalid as error:
            raise AnnotationError(
                f"Column {field.name} of the annotations does not fit {field.type}: {error}."
            ) from error
    table = pa.Table.from_arrays(columns, schema=schema)
    if "source" in names:
        sources = set(pc.unique(table["source"]).to_pylist()) - set(SOURCES)
        if sources:
            raise AnnotationError(f"Annotation sources are {', '.join(SOURCES)}; found {', '.join(sorted(sources))}.")
    if "confidence" in names:
        confidence = table["confidence"].to_numpy()
        if not np.all((confidence >= 0) & (confidence <= 1)):
            raise AnnotationError("Column confidence of the annotations has values that are not in [0, 1] (or NaN).")
    return table


def _same_kind(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_string(wanted):
        return pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    return pa.types.is_integer(found) if pa.types.is_integer(wanted) else pa.types.is_floating(found)
