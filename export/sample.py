"""One tile with all that is said of it, as every format gets it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from corpus.tiles import Tile
from export.licence import Licence
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.problems import LOCATIONS

SOMETHING = "object"
"""Category of a box where the annotation says where something is, and not what."""
_CELLS = {name: (row, column) for row, names in enumerate(LOCATIONS) for column, name in enumerate(names)}


@dataclass(frozen=True)
class Annotation:
    """What one clause says of a tile.

    Attributes:
        clause: its name.
        value: of the clause's vocabulary.
        text: the sentence that says so.
        level: HCoT level that decides the clause.
        source: who said it, see corpus.annotations.SOURCES.
        confidence: probability that it is right, 0 to 1.
        round: the round that the row was written in.
    """

    clause: str
    value: str
    text: str
    level: int
    source: str
    confidence: float
    round: int


@dataclass(frozen=True)
class Box:
    """Where in a tile something is, as far as its annotations say: one cell of a 3 x 3 grid.

    Attributes:
        clause: that says where.
        category: what is there.
        x, y, width, height: in pixels of the tile, from its upper left corner.
        confidence: of the clause.
        attributes: value of every other clause that describes the same thing.
    """

    clause: str
    category: str
    x: float
    y: float
    width: float
    height: float
    confidence: float
    attributes: dict[str, str]


@dataclass(frozen=True)
class Sample:
    """A tile, its annotations in the order of the schema, its licence, and the file that holds its pixels."""

    tile: Tile
    file: Path
    annotations: tuple[Annotation, ...]
    licence: Licence

    @property
    def caption(self) -> str:
        """All sentences, in the order of the clauses."""
        return " ".join(annotation.text for annotation in self.annotations)

    @property
    def values(self) -> dict[str, str]:
        """Clause -> value."""
        return {annotation.clause: annotation.value for annotation in self.annotations}

    @property
    def confidence(self) -> dict[str, float]:
        """Clause -> probability that its value is right, 0 to 1, rounded to what a float32 tells."""
        return {annotation.clause: round(annotation.confidence, 6) for annotation in self.annotations}

    @property
    def place(self) -> str:
        """City and country, as far as they are known."""
        return ", ".join(part for part in (self.tile.city, self.tile.country) if part)

    def boxes(self, schema: AnnotationSchema) -> list[Box]:
        """One box for each clause of kind location that says that something is there."""
        return [box for clause in schema.of_kind("location") if (box := self._box(schema, clause)) is not None]

    def _box(self, schema: AnnotationSchema, clause: str) -> Box | None:
        said = next((each for each in self.annotations if each.clause == clause), None)
        if said is None or said.value == schema.absence.get(clause):
            return None
        width, height = self.tile.width / 3, self.tile.height / 3
        row, column = _CELLS[said.value]
        block = schema.block_of(clause)
        others = {name: self.values[name] for name in (block.clauses if block else ()) if name in self.values}
        others.pop(clause, None)
        by = category_clause(schema, clause)
        category = others.get(by, SOMETHING)
        if category == schema.absence.get(by):
            category = SOMETHING
        return Box(clause, category, column * width, row * height, width, height, round(said.confidence, 6), others)


def category_clause(schema: AnnotationSchema, location: str) -> str:
    """The clause that says what is at the place that a clause of kind location names; "" where none does."""
    block = schema.block_of(location)
    if block is None:
        return ""
    if block.invented is not None:
        return block.invented.by
    named = [name for name in block.clauses if schema.clause(name).kind == "category"]
    return next((name for name in named if name.endswith("category")), "")


def box_categories(schema: AnnotationSchema) -> list[str]:
    """All categories that boxes can have, in the order of the vocabulary; [] where no clause says where."""
    found: dict[str, None] = {}
    for clause in schema.of_kind("location"):
        by = category_clause(schema, clause)
        found |= dict.fromkeys(value for value in schema.vocabulary.get(by, ()) if value != schema.absence.get(by))
        found[SOMETHING] = None
    return list(found)
