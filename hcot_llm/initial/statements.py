"""What the rows of a file state: of which tile, scene or ground, which clause has which value, and how sure that is."""

import difflib
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from shapely.geometry.base import BaseGeometry

from hcot_llm.initial.annotations import expected_accuracy
from hcot_llm.initial.formats import read_rows
from hcot_llm.initial.rows import InitialFileError, Row, Rows, ground_problem, refuse
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError

By = Literal["tile_id", "scene", "ground"]
_SUBJECTS: Mapping[str, By] = {"tile_id": "tile_id", "tile": "tile_id", "scene": "scene"}
_CLAUSE, _VALUE, _CONFIDENCE = "clause", "value", "confidence"
_COLUMNS = (
    "Rows name their ground by tile_id or scene, or have a geometry (GeoParquet, STAC or GeoJSON; in CSV a column "
    "geometry in WKT, or lon and lat). They have the columns clause and value, or a column for each clause"
)


@dataclass(frozen=True)
class Statement:
    """One value of one clause.

    Attributes:
        where: its place in the file.
        subject: tile_id or name of the scene; '' of a statement about ground.
        ground: longitude and latitude in degrees.
        clause: of the schema.
        value: of the clause's vocabulary.
        confidence: probability that the value is right, 0 to 1.
    """

    where: str
    subject: str
    ground: BaseGeometry | None
    clause: str
    value: str
    confidence: float


@dataclass(frozen=True)
class InitialFile:
    """A file that fits the schema: all it states, and what it tells tiles by."""

    path: Path
    by: By
    statements: Sequence[Statement]

    @property
    def digest(self) -> str:
        """SHA-256 of all that is stated, in whatever format, in hexadecimal."""
        total = hashlib.sha256(self.by.encode())
        for each in self.statements:
            ground = "" if self.by != "ground" or each.ground is None else each.ground.wkb_hex
            total.update(json.dumps([each.subject, ground, each.clause, each.value, each.confidence]).encode())
        return total.hexdigest()


def read_statements(schema: AnnotationSchema, path: Path, default_confidence: float | None = None) -> InitialFile:
    """Read a file of initial annotations in any of its formats and shapes.

    Args:
        schema: of the annotations.
        path: see `formats.READERS`.
        default_confidence: of rows without one; None: the accuracy that the schema has for the clause.

    Raises:
        InitialFileError: names the file's bad rows; nothing of it is used then.
    """
    found = read_rows(path)
    reading = _Reading(schema, _subject(path, found), _defaults(schema, default_confidence))
    states = reading.long if _is_long(schema, found) else reading.wide
    if not _is_long(schema, found):
        _check_columns(schema, path, found)
    statements, problems = [], []
    for row in found.rows:
        try:
            statements += states(row)
        except SchemaError as error:
            problems.append(f"{row.where}: {error}")
    if reading.by != "ground":
        problems += _repeated(statements, reading.by)
    refuse(path, problems)
    return InitialFile(path, reading.by, statements)


def _defaults(schema: AnnotationSchema, stated: float | None) -> dict[str, float | None]:
    """By clause, how sure a value is of which the file does not say it; None where nobody does."""
    if stated is not None:
        return dict.fromkeys(schema.names, stated)
    return {
        clause.name: None if clause.accuracy is None else expected_accuracy(schema, clause.name)
        for clause in schema.clauses
    }


@dataclass(frozen=True)
class _Reading:
    """How the rows of one file are read."""

    schema: AnnotationSchema
    by: By
    defaults: Mapping[str, float | None]

    def long(self, row: Row) -> list[Statement]:
        """One statement: the columns clause, value and, optionally, confidence."""
        subject = self._subject(row)
        for column in (_CLAUSE, _VALUE):
            if column not in row.cells:
                raise SchemaError(f"it has no {column}")
        cells = row.cells
        return [self._statement(row, subject, cells[_CLAUSE], cells[_VALUE], cells.get(_CONFIDENCE))]

    def wide(self, row: Row) -> list[Statement]:
        """A column for each clause; an empty cell says nothing. `<clause>_confidence` goes before `confidence`."""
        subject, cells = self._subject(row), row.cells
        stated = [name for name in self.schema.names if name in cells]
        if not stated:
            raise SchemaError(f"it has a value of no clause; there are: {', '.join(self.schema.names)}")
        return [
            self._statement(row, subject, name, cells[name], cells.get(f"{name}_{_CONFIDENCE}", cells.get(_CONFIDENCE)))
            for name in stated
        ]

    def _subject(self, row: Row) -> str:
        if row.problem:
            raise SchemaError(row.problem)
        if self.by == "ground":
            if problem := ground_problem(row.ground):
                raise SchemaError(problem)
            return ""
        for column, kind in _SUBJECTS.items():
            if kind == self.by and column in row.cells:
                return row.cells[column]
        raise SchemaError(f"it has no {self.by}")

    def _statement(self, row: Row, subject: str, clause: str, value: str, confidence: str | None) -> Statement:
        self.schema.check_value(clause, value)
        sure = self.defaults[clause] if confidence is None else _probability(confidence)
        if sure is None:
            raise SchemaError(
                f"nothing says how sure '{clause}' is, neither the row nor the schema {self.schema.label}: "
                "add a column confidence, or set corpus.initial_confidence"
            )
        return Statement(row.where, subject, row.ground, clause, value, sure)


def _subject(path: Path, found: Rows) -> By:
    for column, by in _SUBJECTS.items():
        if column in found.columns:
            return by
    if any(row.ground is not None for row in found.rows):
        return "ground"
    raise InitialFileError(f"{path} does not say what its rows are about: {_has(found)}. {_COLUMNS}.")


def _check_columns(schema: AnnotationSchema, path: Path, found: Rows) -> None:
    """See that there are columns of clauses, and none whose name is nearly that of one."""
    if not set(schema.names) & set(found.columns):
        raise InitialFileError(
            f"{path} states no clause of the schema {schema.label} ({', '.join(schema.names)}): {_has(found)}. "
            f"{_COLUMNS}."
        )
    for name in set(found.columns) - set(schema.names):
        if near := difflib.get_close_matches(name, schema.names, n=1, cutoff=0.85):
            raise InitialFileError(
                f"{path} has a column '{name}', which is no clause of the schema {schema.label}. Did you mean "
                f"'{near[0]}'? Name it so, or otherwise."
            )


def _is_long(schema: AnnotationSchema, found: Rows) -> bool:
    return {_CLAUSE, _VALUE} <= set(found.columns) and not {_CLAUSE, _VALUE} <= set(schema.names)


def _probability(text: str) -> float:
    try:
        sure = float(text)
    except ValueError:
        sure = -1.0
    if not 0 <= sure <= 1:
        raise SchemaError(f"the confidence {text!r} is no number from 0 to 1")
    return sure


def _repeated(statements: Sequence[Statement], by: By) -> list[str]:
    first: dict[tuple[str, str], str] = {}
    problems = []
    for each in statements:
        before = first.setdefault((each.subject, each.clause), each.where)
        if before != each.where:
            problems.append(
                f"{each.where}: it says clause '{each.clause}' of {by} {each.subject} a second time, after {before}; "
                "keep one"
            )
    return problems


def _has(found: Rows) -> str:
    return f"its columns are {', '.join(found.columns)}" if found.columns else "it has no columns"
