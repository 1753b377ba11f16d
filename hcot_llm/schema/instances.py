"""Single targets of an annotation: boxes in pixels, and relations between targets and regions.

North is the top of the tile, as everywhere in the schema.
"""

from typing import Final, Literal

from pydantic import ConfigDict, Field, model_validator

from corpus.storage.models import FrozenModel

CATEGORIES: Final = ("ship", "aircraft")
WATER_REGIONS: Final = ("sea", "harbour", "channel", "lake")
PAVED_REGIONS: Final = ("apron", "runway")
TARGET_REGIONS: Final = (*WATER_REGIONS, *PAVED_REGIONS)
# What a target can be related to; only those of TARGET_REGIONS can hold it.
REGIONS: Final = (*TARGET_REGIONS, "buildings", "shore", "road")
# Unit steps (row, column): rows count downwards, so north is minus.
DIRECTIONS: Final[dict[str, tuple[int, int]]] = {
    "north_of": (-1, 0),
    "northeast_of": (-1, 1),
    "east_of": (0, 1),
    "southeast_of": (1, 1),
    "south_of": (1, 0),
    "southwest_of": (1, -1),
    "west_of": (0, -1),
    "northwest_of": (-1, -1),
}
CONTAINMENT: Final[dict[str, tuple[str, ...]]] = {"in": WATER_REGIONS, "on": PAVED_REGIONS}
# beside: the gap between two boxes is at most the longest of their sides; near: at most three times that. Between a
# target and a region it is the target's longer side that counts.
NEIGHBOURHOOD: Final[dict[str, float]] = {"beside": 1.0, "near": 3.0}
PREDICATES: Final = (*CONTAINMENT, *NEIGHBOURHOOD, *DIRECTIONS)
ALL_TARGETS: Final = "targets"
MOST_BOXES: Final = 100
LONGEST_SIDE_PIXELS: Final = 100_000


class Bounds(FrozenModel):
    """An upright rectangle of whole pixels. Half-open: rows row_start to row_stop - 1.

    Numbers are taken as they are: text, booleans and fractions of a pixel are refused.
    """

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    row_start: int = Field(ge=0, description="first row, in pixels of the tile, 0 at the top")
    row_stop: int = Field(le=LONGEST_SIDE_PIXELS, description="first row below it")
    col_start: int = Field(ge=0, description="first column, in pixels of the tile, 0 at the left")
    col_stop: int = Field(le=LONGEST_SIDE_PIXELS, description="first column right of it")

    @model_validator(mode="after")
    def _not_empty(self) -> "Bounds":
        for axis, start, stop in (("row", self.row_start, self.row_stop), ("col", self.col_start, self.col_stop)):
            if stop <= start:
                raise ValueError(
                    f"{axis}_stop ({stop}) must be larger than {axis}_start ({start}): "
                    "the stop is the first one outside the box."
                )
        return self

    @property
    def centre(self) -> tuple[float, float]:
        """(row, column) in pixels; (0, 0) is the centre of the upper left pixel."""
        return (self.row_start + self.row_stop - 1) / 2, (self.col_start + self.col_stop - 1) / 2

    @property
    def sides(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.row_stop - self.row_start, self.col_stop - self.col_start

    def gap_to(self, other: "Bounds") -> float:
        """Distance between the two in pixels; 0 where they touch or overlap."""
        rows = max(self.row_start - other.row_stop, other.row_start - self.row_stop, 0)
        cols = max(self.col_start - other.col_stop, other.col_start - self.col_stop, 0)
        return float((rows * rows + cols * cols) ** 0.5)


class Box(Bounds):
    """One target and the upright rectangle around it."""

    category: Literal[*CATEGORIES] = Field(description="what it is")
    length_m: float | None = Field(None, gt=0, le=1000, description="length of the target itself, in metres")
    heading_deg: float | None = Field(
        None, ge=0, lt=360, description="of its long axis, degrees clockwise from the top of the tile"
    )


class Relation(FrozenModel):
    """Subject, predicate, object, as in a scene graph: target 0 is north of target 1; the targets are in the sea.

    A target is named by its place in the annotation's boxes, counted from 0.
    """

    model_config = ConfigDict(strict=True)

    subject: int | Literal[ALL_TARGETS] = Field(description="a box, or all targets together")
    predicate: Literal[*PREDICATES] = Field(description="how the subject lies to the object")
    object: int | Literal[*REGIONS] = Field(description="another box, or a region")

    @model_validator(mode="after")
    def _makes_sense(self) -> "Relation":
        if self.predicate in CONTAINMENT and self.object not in CONTAINMENT[self.predicate]:
            raise ValueError(
                f"nothing can be '{self.predicate}' {self.object!r}: '{self.predicate}' goes with "
                f"{', '.join(CONTAINMENT[self.predicate])}."
            )
        if isinstance(self.object, int):
            if self.subject == ALL_TARGETS:
                raise ValueError("all targets together cannot be related to one of them.")
            if self.subject == self.object:
                raise ValueError(f"target {self.subject} is related to itself.")
        for name in (self.subject, self.object):
            if isinstance(name, int) and name < 0:
                raise ValueError(f"targets are counted from 0, {name} is none.")
        return self


def check_instances(
    boxes: tuple[Box, ...], relations: tuple[Relation, ...], tile_shape: tuple[int, int] | None
) -> None:
    """Boxes lie in the tile, relations name boxes that exist. tile_shape: rows and columns in pixels.

    Raises ValueError naming the box or relation by its place in the list, and the limit.
    """
    if boxes and tile_shape is None:
        raise ValueError(
            "boxes need tile_shape (rows, columns in pixels): without it nobody can tell whether they lie in the tile."
        )
    if len(boxes) > MOST_BOXES:
        raise ValueError(f"there are {len(boxes)} boxes; an annotation holds at most {MOST_BOXES}.")
    for index, box in enumerate(boxes):
        if box.row_stop > tile_shape[0] or box.col_stop > tile_shape[1]:
            raise ValueError(
                f"boxes[{index}] ends at row {box.row_stop} and column {box.col_stop}, outside the tile "
                f"of {tile_shape[0]} rows and {tile_shape[1]} columns."
            )
    for index, relation in enumerate(relations):
        for name in (relation.subject, relation.object):
            if isinstance(name, int) and name >= len(boxes):
                raise ValueError(
                    f"relations[{index}] names target {name}, but there are {len(boxes)} boxes (counted from 0)."
                )
    if len(set(relations)) != len(relations):
        raise ValueError("a relation is stated twice.")
