"""Initial annotations from a table that a user made: of tiles by their id, or of whole scenes by their name."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from corpus.storage.parquet import read_parquet
from hcot_llm.initial.annotations import INITIAL_SCHEMA, expected_accuracy
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import choose_variant, render_clause

_NAMED = 3  # of the tiles that an error names


def table_annotations(
    schema: AnnotationSchema, tiles: pa.Table, path: Path, scene_of: Mapping[str, str] | None = None
) -> pa.Table:
    """Initial annotations of all tiles, INITIAL_SCHEMA.

    Args:
        schema: Schema of the annotations.
        tiles: with the column tile_id.
        path: CSV or Parquet with the columns clause, value, and tile_id or scene; optionally confidence, the
            probability that the value is right. Without it, that is the clause's accuracy in the schema. Rows of other
            tiles are left alone.
        scene_of: tile_id -> name of the scene that it was cut from.

    Raises:
        SchemaError: the table cannot be read, a row does not fit the schema, or a tile lacks a clause.
    """
    rows = _rows(path)
    by = "tile_id" if rows and rows[0].get("tile_id") else "scene"
    said: dict[tuple[str, str], tuple[str, float]] = {}
    for number, row in enumerate(rows, start=1):
        where = f"{path}, row {number}"
        if missing := [name for name in (by, "clause", "value") if not row.get(name)]:
            raise SchemaError(f"{where} has no {missing[0]}. Columns are clause, value, and tile_id or scene.")
        clause, value = str(row["clause"]), str(row["value"])
        try:
            schema.check_value(clause, value)
        except SchemaError as error:
            raise SchemaError(f"{where}: {error}") from error
        key = str(row[by]), clause
        if key in said:
            raise SchemaError(f"{where} says clause '{clause}' of {by} {key[0]} a second time. Keep one row.")
        said[key] = value, _confidence(schema, clause, row, where)
    tile_ids = sorted(tiles["tile_id"].to_pylist())
    known = {tile_id: tile_id if by == "tile_id" else (scene_of or {}).get(tile_id, "") for tile_id in tile_ids}
    lacking = [
        f"{tile_id} ({clause})"
        for tile_id in tile_ids
        for clause in schema.names
        if (known[tile_id], clause) not in said
    ]
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        raise SchemaError(
            f"{path} has no row, by {by}, for {', '.join(lacking[:_NAMED])}{more}. Every tile needs a value of every "
            f"clause of the schema {schema.label}; tiles.parquet of the corpus lists the tiles."
        )
    columns: dict[str, list[Any]] = {name: [] for name in INITIAL_SCHEMA.names}
    for tile_id in tile_ids:
        for clause in schema.names:
            value, sure = said[known[tile_id], clause]
            text = render_clause(schema, clause, value, variant=choose_variant(tile_id, clause))
            for name, entry in zip(INITIAL_SCHEMA.names, (tile_id, clause, value, text, sure), strict=True):
                columns[name].append(entry)
    return pa.table(columns, schema=INITIAL_SCHEMA)


def _confidence(schema: AnnotationSchema, clause: str, row: Mapping[str, Any], where: str) -> float:
    stated = row.get("confidence")
    if stated in (None, ""):
        return expected_accuracy(schema, clause)
    try:
        sure = float(stated)
    except (TypeError, ValueError):
        sure = -1.0
    if not 0 <= sure <= 1:
        raise SchemaError(f"{where}: the confidence {stated!r} is no number from 0 to 1.")
    return sure


def _rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise SchemaError(f"There is no table of initial annotations {path}. Name a CSV or Parquet file.")
    if path.suffix == ".parquet":
        return read_parquet(path).to_pylist()
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            return list(csv.DictReader(file, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise SchemaError(f"{path} is no CSV in UTF-8: {error}. Save it as such.") from error
