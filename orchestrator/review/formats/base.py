"""What a format is: a class that writes an export for a labelling tool, and reads what the tool gives back."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from corpus.registry import Registry
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.review.questions import Task


@dataclass(frozen=True)
class Export:
    """What goes out.

    Attributes:
        name: of the export; answers come back with it.
        version: of the annotations that are asked about.
        schema: of the clauses.
        tasks: in the order in which they are to be answered.
        pictures: tile_id -> PNG.
    """

    name: str
    version: int
    schema: AnnotationSchema
    tasks: tuple[Task, ...]
    pictures: Mapping[str, bytes]

    @property
    def clauses(self) -> tuple[str, ...]:
        """The clauses that are asked about, in schema order."""
        return self.schema.ordered({question.clause for task in self.tasks for question in task.questions})

    def picture_name(self, number: int) -> str:
        """File name of the picture of a task, counted from 0: letters, digits and hyphens."""
        return f"{number + 1:04d}-{re.sub('[^A-Za-z0-9]', '-', self.tasks[number].tile_id)}.png"


@dataclass(frozen=True)
class RawAnswer:
    """One answer as a file has it, not checked yet.

    Attributes:
        place: where it stands: "line 7", or "line 1, task 3".
        tile_id: the tile.
        clause: the clause.
        value: the answer.
        person: who gave it; '' where the file does not say.
        export: name of the export; '' where the file does not say.
        version: of the annotations; None where the file does not say.
        problem: what is wrong with this answer alone; '' where nothing is.
    """

    place: str
    tile_id: str
    clause: str
    value: str
    person: str
    export: str
    version: int | None
    problem: str = ""


class Unreadable(Exception):
    """A file, or a part of it, is not of the format; the message says in which line, and why."""


class ReviewFormat(Protocol):
    """A labelling tool's format."""

    def write(self, export: Export, folder: Path) -> list[Path]:
        """Write all files of an export into an empty folder; the first one is the file to open."""
        ...

    def recognises(self, path: Path) -> bool:
        """Whether a file that has come back is of this format, by its name and its beginning."""
        ...

    def read(self, path: Path) -> Sequence[RawAnswer]:
        """All answers of a file that has come back.

        Raises:
            Unreadable: it is half written, or not of this format.
        """
        ...


FORMATS: Registry[ReviewFormat] = Registry("review format")


def plain(name: str) -> str:
    """A value or clause as people read it."""
    return name.replace("_", " ")


def read_text(path: Path) -> str:
    """The text of a file that has come back, without a byte order mark. Raises Unreadable: it is not UTF-8."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable(f"line {content[: error.start].count(10) + 1}: it is not UTF-8") from error


def number_or_none(text: object) -> int | None:
    """A version as a file has it. Raises Unreadable: it is no number."""
    if text in (None, ""):
        return None
    try:
        return int(str(text))
    except ValueError as error:
        raise Unreadable(f"the version {text!r} is no number") from error
