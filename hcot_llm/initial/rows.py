"""Rows of a file of annotations that a user made, as texts with the place of each; what they mean is said elsewhere."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import shapely
from shapely.geometry.base import BaseGeometry

from hcot_llm.schema.errors import SchemaError

_SHOWN = 5  # of the bad rows


class InitialFileError(SchemaError):
    """A file of initial annotations that cannot be used; the message names its bad rows and what to do."""


@dataclass(frozen=True)
class Row:
    """One row, feature or label.

    Attributes:
        where: the place in the file, as a message names it: "line 3".
        cells: column -> text; empty cells are left out.
        ground: what it is about, longitude and latitude in degrees; None where the row does not say.
        problem: what is wrong with the row as such; '' where nothing is.
    """

    where: str
    cells: Mapping[str, str]
    ground: BaseGeometry | None = None
    problem: str = ""


@dataclass(frozen=True)
class Rows:
    """A file's rows and the names of its columns, those without a value among them."""

    columns: tuple[str, ...]
    rows: Sequence[Row]


def refuse(path: Path, problems: Sequence[str]) -> None:
    """Raise InitialFileError with the first problems, if there are any: of a file with bad rows nothing is taken."""
    if not problems:
        return
    more = [f"and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    raise InitialFileError(
        f"{path} cannot be used, and nothing of it was taken: {len(problems)} of its rows are bad. Correct or remove "
        "them:\n  " + "\n  ".join([*problems[:_SHOWN], *more])
    )


def text_of(value: Any) -> str:
    """A cell as text; '' where it is empty. 3.0 is '3', as a column of whole numbers with gaps is read so."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def ground_problem(ground: BaseGeometry | None) -> str:
    """What is wrong with the ground of a row that should have one; '' where nothing is."""
    if ground is None or ground.is_empty:
        return "it has no geometry, or one that cannot be read"
    if not (shapely.get_dimensions(ground) == 2 or ground.geom_type == "Point"):
        return f"a {ground.geom_type} covers no tile; take polygons, or one point in each tile"
    west, south, east, north = ground.bounds
    if not (-180 <= west <= east <= 360 and -90 <= south <= north <= 90):
        return f"its ground, {west:g} {south:g} to {east:g} {north:g}, is not in degrees of longitude and latitude"
    return "" if ground.is_valid else f"its polygon is invalid: {shapely.is_valid_reason(ground)}"
