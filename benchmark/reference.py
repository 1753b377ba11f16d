"""Annotations of real tiles against reference annotations, which are uncertain themselves.

A reference is a CSV with one row per window of a scene: `file`, `row_off`, `col_off`, `size` (scene pixels), a value
per field, `confidence` (high, medium, low). Beside it a second, blind reading of the same windows (same columns)
tells how far two readers agree: no score of a field means more than that agreement.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from benchmark.metrics.agreement import balanced_accuracy, cohen_kappa
from corpus.storage.errors import InputError


class ReferenceFileError(InputError):
    """A reference that cannot be used; the message says what, where and what to do."""


@dataclass(frozen=True)
class ReferenceField:
    """A column of the reference and how it is compared with a clause.

    Attributes:
        column: Name of the column.
        clause: Name of the clause.
        merge: Value -> the value that it counts as, on both sides.
        scored: False where a score means nothing, because two readers agree too little or nearly all windows have the
            same value. Such a field is only shown.
    """

    column: str
    clause: str
    merge: Mapping[str, str]
    scored: bool

    def read(self, value: str) -> str:
        """The value that counts."""
        return self.merge.get(value, value)


# What may be scored was decided by the agreement of two blind readings (kappa 0.7 and more).
FIELDS: Final = (
    ReferenceField("terrain", "terrain", {}, True),
    ReferenceField("function", "functionality", {}, True),
    ReferenceField("road", "road", {}, True),
    ReferenceField("water", "water", {}, True),
    ReferenceField("layout", "layout", {}, True),
    ReferenceField("building", "building", {"medium": "medium or dense", "dense": "medium or dense"}, True),
    ReferenceField("boundary", "boundary", {}, False),
    ReferenceField("ships", "target_count", {}, False),
)

MOST_TARGETS: Final = 9
"""The largest count that an annotation can state; a reference with more counts as this."""


class ReferenceWindow(BaseModel):
    """One window of a reference. `row_off`, `col_off`, `size`: scene pixels."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    file: str = Field(min_length=1, pattern=r"^[^/\\]+$", description="name of the scene, beside the reference")
    row_off: int = Field(ge=0)
    col_off: int = Field(ge=0)
    size: int = Field(gt=0)
    terrain: str
    function: str
    building: str
    road: str
    water: str
    layout: str
    boundary: str
    ships: int = Field(ge=0)
    confidence: Literal["high", "medium", "low"]

    @property
    def place(self) -> tuple[str, int, int]:
        """What tells windows apart."""
        return self.file, self.row_off, self.col_off

    def value(self, field: ReferenceField) -> str:
        """The value of a field as it is compared."""
        value = getattr(self, field.column)
        return field.read(str(min(value, MOST_TARGETS)) if isinstance(value, int) else value)


@dataclass(frozen=True)
class FieldScore:
    """How one set of annotations does in one field, over `windows` windows. All scores are at most 1."""

    windows: int
    accuracy: float
    balanced_accuracy: float
    kappa: float


def read_reference(path: Path, vocabulary: Mapping[str, Sequence[str]]) -> list[ReferenceWindow]:
    """The windows of a reference, in the order of the file.

    Args:
        path: the CSV file.
        vocabulary: clause -> its values; a reference value outside it is an error.

    Raises:
        ReferenceFileError: no such file, a column or value that is not known, a window listed twice, no window.
    """
    if not path.is_file():
        raise ReferenceFileError(
            f"There is no reference {path}. Name a CSV with the columns {', '.join(ReferenceWindow.model_fields)}."
        )
    try:
        # Spreadsheets put a byte order mark before UTF-8.
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, restkey="more", strict=True)
            missing = set(ReferenceWindow.model_fields) - set(reader.fieldnames or ())
            if missing:
                raise ReferenceFileError(f"The reference {path} lacks the column(s) {', '.join(sorted(missing))}.")
            windows = [_window(row, path, line, vocabulary) for line, row in enumerate(reader, start=2)]
    except (UnicodeDecodeError, csv.Error) as error:
        raise ReferenceFileError(f"The reference {path} is no CSV in UTF-8: {error}. Save it as such.") from error
    if not windows:
        raise ReferenceFileError(f"The reference {path} lists no window.")
    seen = set()
    for window in windows:
        if window.place in seen:
            raise ReferenceFileError(
                f"The reference {path} lists window {window.row_off}, {window.col_off} of "
                f"{window.file} twice. Keep one reading."
            )
        seen.add(window.place)
    return windows


def _window(row: dict, path: Path, line: int, vocabulary: Mapping[str, Sequence[str]]) -> ReferenceWindow:
    try:
        window = ReferenceWindow.model_validate(row)
    except ValidationError as error:
        problem = error.errors()[0]
        raise ReferenceFileError(
            f"{path}, line {line}: {problem['loc'][0]}: {problem['msg']} (got {problem['input']!r})."
        ) from error
    for field in FIELDS:
        value = getattr(window, field.column)
        if isinstance(value, str) and value not in vocabulary[field.clause]:
            raise ReferenceFileError(
                f"{path}, line {line}: {value!r} is no value of {field.column}; it takes: "
                f"{', '.join(vocabulary[field.clause])}."
            )
    return window


def score(field: ReferenceField, values: Sequence[str], windows: Sequence[ReferenceWindow]) -> FieldScore:
    """Compare values with the reference.

    Args:
        field: The field.
        values: One value per window.
        windows: The windows.

    Raises:
        ValueError: There is no window, or not as many values.
    """
    predicted = [field.read(value) for value in values]
    true = [window.value(field) for window in windows]
    balanced, kappa = balanced_accuracy(predicted, true), cohen_kappa(predicted, true)
    right = sum(a == b for a, b in zip(predicted, true, strict=True))
    return FieldScore(len(true), right / len(true), balanced, kappa)


def agreement(
    field: ReferenceField, first: Sequence[ReferenceWindow], second: Sequence[ReferenceWindow]
) -> FieldScore | None:
    """How the second reading does against the first, over the windows of `first`; None where none was read twice."""
    again = {window.place: window for window in second}
    both = [window for window in first if window.place in again]
    if not both:
        return None
    return score(field, [again[window.place].value(field) for window in both], both)


def most_frequent(field: ReferenceField, windows: Sequence[ReferenceWindow]) -> str:
    """The reference's own most frequent value: the best that one and the same answer everywhere can do."""
    values = [window.value(field) for window in windows]
    return max(sorted(set(values)), key=values.count)
