"""Initial annotations from a file that a user made: joined to the tiles, completed by what is said without it."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from hcot_llm.initial.annotations import INITIAL_SCHEMA
from hcot_llm.initial.ground import join_by_ground
from hcot_llm.initial.rows import refuse
from hcot_llm.initial.statements import InitialFile, Statement
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import choose_variant, render_clause

_NAMED = 3  # of the tiles that an error names


@dataclass(frozen=True)
class FileAnnotations:
    """Initial annotations of all tiles, and where they come from.

    Attributes:
        table: INITIAL_SCHEMA, by tile_id and in schema order.
        from_file: annotations that the file states.
        otherwise: annotations that it does not, taken from elsewhere.
        elsewhere: statements of the file that are about no tile.
    """

    table: pa.Table
    from_file: int
    otherwise: int
    elsewhere: int

    def summary(self, name: str, source: str) -> str:
        """One line: how many of the annotations come from the file, and from `source` where it says nothing."""
        said = f"{self.from_file:,} of {self.from_file + self.otherwise:,} initial annotations come from {name}"
        if self.otherwise:
            said += f", {self.otherwise:,} from {source}"
        return said + (f"; {self.elsewhere:,} statements of the file are about no tile" if self.elsewhere else "")


def file_annotations(
    schema: AnnotationSchema,
    tiles: pa.Table,
    found: InitialFile,
    *,
    scene_of: Mapping[str, str] | None = None,
    left_out: Collection[str] = (),
    otherwise: pa.Table | None = None,
) -> FileAnnotations:
    """Annotate all tiles at first.

    Args:
        schema: of the annotations.
        tiles: of TILE_SCHEMA; tile_id alone where the file goes by tile_id or scene.
        found: what the file states.
        scene_of: tile_id -> name of the scene that it was cut from.
        left_out: names of scenes that are not used; what the file says of them is left alone.
        otherwise: INITIAL_SCHEMA, what is taken where the file says nothing; it need not have every clause.

    Raises:
        InitialFileError: rows are about tiles or scenes that do not exist, or contradict each other.
        SchemaError: a tile lacks a clause.
    """
    tile_ids = sorted(tiles["tile_id"].to_pylist())
    if found.by == "ground":
        joined = join_by_ground(found, tiles)
        refuse(found.path, joined.problems)
        said, elsewhere = dict(joined.of_tile), joined.elsewhere
    else:
        said, elsewhere = _by_name(found, tile_ids, scene_of or {}, left_out)
    others = {} if otherwise is None else {(row["tile_id"], row["clause"]): row for row in otherwise.to_pylist()}
    keys = [(tile_id, clause) for tile_id in tile_ids for clause in schema.names]
    _check_complete(schema, found, [key for key in keys if key not in said and key not in others])
    columns: dict[str, list[Any]] = {name: [] for name in INITIAL_SCHEMA.names}
    for key in keys:
        entry = _entry(schema, key, said[key]) if key in said else others[key]
        for name in columns:
            columns[name].append(entry[name])
    return FileAnnotations(
        pa.table(columns, schema=INITIAL_SCHEMA), len(said), sum(key not in said for key in keys), elsewhere
    )


def _by_name(
    found: InitialFile, tile_ids: Collection[str], scene_of: Mapping[str, str], left_out: Collection[str]
) -> tuple[dict[tuple[str, str], Statement], int]:
    name_of = {tile_id: tile_id if found.by == "tile_id" else scene_of.get(tile_id, "") for tile_id in tile_ids}
    there, known = set(name_of.values()), set(left_out)
    what = "tile" if found.by == "tile_id" else "scene"
    problems = []
    for where, subject in dict.fromkeys((each.where, each.subject) for each in found.statements):
        if subject not in there and subject not in known:
            near = difflib.get_close_matches(subject, there, n=1)
            problems.append(f"{where}: there is no {what} {subject}" + (f"; did you mean {near[0]}?" if near else ""))
    refuse(found.path, problems)
    stated = {(each.subject, each.clause): each for each in found.statements}
    clauses = {each.clause for each in found.statements}
    said = {
        (tile_id, clause): stated[name_of[tile_id], clause]
        for tile_id in tile_ids
        for clause in clauses
        if (name_of[tile_id], clause) in stated
    }
    return said, sum(each.subject not in there for each in found.statements)


def _check_complete(schema: AnnotationSchema, found: InitialFile, lacking: list[tuple[str, str]]) -> None:
    if not lacking:
        return
    named = ", ".join(f"{tile_id} ({clause})" for tile_id, clause in lacking[:_NAMED])
    more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
    raise SchemaError(
        f"{found.path} has no row, by {found.by}, for {named}{more}, and nothing else is known of them. Every tile "
        f"needs a value of every clause of the schema {schema.label}; tiles.parquet of the corpus lists the tiles."
    )


def _entry(schema: AnnotationSchema, key: tuple[str, str], statement: Statement) -> dict[str, Any]:
    tile_id, clause = key
    return {
        "tile_id": tile_id,
        "clause": clause,
        "value": statement.value,
        "text": render_clause(schema, clause, statement.value, variant=choose_variant(tile_id, clause)),
        "confidence": statement.confidence,
    }
