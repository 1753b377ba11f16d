"""What annotators say when they are wrong: the table behind the errors of simulated initial annotations."""

from typing import Final

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.problems import LOCATIONS

RARE: Final = 0.15
"""Weight of a wrong value that the schema's confusions do not list."""
_CELL: Final = {name: (row, column) for row, names in enumerate(LOCATIONS) for column, name in enumerate(names)}


def confusion(schema: AnnotationSchema, clause: str, value: str) -> dict[str, float]:
    """Probability of each wrong value when this is the true one; they add up to one.

    Without confusions in the schema, counts are mostly off by one and locations by one cell of the grid.
    """
    known = schema.clause(clause)
    listed = known.confusions.get(value, {})
    near = not known.confusions and known.kind != "category"
    other = {
        each: _nearness(schema, clause, value, each) if near else listed.get(each, RARE)
        for each in known.values
        if each != value
    }
    total = sum(other.values())
    return {each: weight / total for each, weight in other.items()}


def _nearness(schema: AnnotationSchema, clause: str, value: str, other: str) -> float:
    if schema.clause(clause).kind == "count":
        gap = abs(int(value) - int(other))
        return 6.0 if gap == 1 else 2.0 if gap == 2 else RARE
    if schema.absence.get(clause) in (value, other):
        return 1.0
    (row, column), (other_row, other_column) = _CELL[value], _CELL[other]
    return 4.0 if max(abs(row - other_row), abs(column - other_column)) == 1 else RARE
