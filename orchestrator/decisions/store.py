"""The decisions of a run as files: an import or an undo is one file, written whole and never changed.

What stands is found by reading all files in order, so that an undo takes back what it names and nothing is lost. They
lie in the run directory, and are written under its lock: people decide while a run is at work.
"""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from corpus.storage.errors import InputError
from corpus.storage.lock import lease_lock
from corpus.storage.parquet import read_parquet
from corpus.storage.writer import UNGUARDED
from hcot_llm.schema.annotation_schema import AnnotationSchema

FOLDER: Final = "decisions"
_NAME: Final = re.compile(r"(\d{4,})\.parquet")
_METADATA: Final = b"knowlip"
_COLUMNS: Final = pa.schema(
    [(name, pa.string()) for name in ("tile_id", "clause", "value", "person", "kind", "expected", "export", "place")]
)


class DecisionError(InputError):
    """Decisions that cannot be read, taken in or taken back; the message names each place and what to do."""


@dataclass(frozen=True)
class Answer:
    """What one person said of one clause of one tile.

    Attributes:
        tile_id: the tile.
        clause: of the run's schema.
        value: of the clause's vocabulary.
        person: who said it.
        kind: what kind of person, of PEOPLE.
        expected: the known value of a planted control; '' for a question.
        export: the export that asked; '' where nothing asked.
        place: file and line that it came from.
    """

    tile_id: str
    clause: str
    value: str
    person: str
    kind: str
    expected: str = ""
    export: str = ""
    place: str = ""

    @property
    def is_control(self) -> bool:
        """Whether the answer was known, and only the person was tried."""
        return bool(self.expected)

    @property
    def key(self) -> tuple[str, str, str, bool]:
        """A person's later answer to the same question takes the place of the earlier one."""
        return self.tile_id, self.clause, self.person, self.is_control


@dataclass(frozen=True)
class Entry:
    """One file. what: import, or undo of the answers in it. source: the file that people made. at: when, UTC."""

    number: int
    what: Literal["import", "undo"]
    source: str
    at: str
    answers: tuple[Answer, ...]


def read_entries(run_dir: Path, schema: AnnotationSchema) -> list[Entry]:
    """All files in order; [] where nobody has decided anything.

    Raises:
        DecisionError: a file is damaged, or of another schema.
    """
    folder = Path(run_dir) / FOLDER
    if not folder.is_dir():
        return []
    numbered = sorted((int(name[1]), path) for path in folder.iterdir() if (name := _NAME.fullmatch(path.name)))
    return [_read(number, path, schema) for number, path in numbered]


def standing(entries: Iterable[Entry]) -> list[Answer]:
    """The answers that stand, those to controls among them."""
    found: dict[tuple[str, str, str, bool], Answer] = {}
    for entry in entries:
        for answer in entry.answers:
            found.pop(answer.key, None)
            if entry.what == "import":
                found[answer.key] = answer
    return list(found.values())


def append(
    run_dir: Path, schema: AnnotationSchema, what: Literal["import", "undo"], source: str, answers: Sequence[Answer]
) -> Entry:
    """Keep an import or an undo, whole or not at all.

    Raises:
        LockHeld: a process was stopped in the middle of a write of this run.
        DiskFull: it does not fit on the disk; nothing was kept.
    """
    folder = Path(run_dir) / FOLDER
    with lease_lock(run_dir):
        known = [int(name[1]) for path in folder.glob("*") if (name := _NAME.fullmatch(path.name))]
        entry = Entry(
            max(known, default=0) + 1, what, source, datetime.now(UTC).isoformat(timespec="seconds"), tuple(answers)
        )
        about = {"what": what, "source": source, "at": entry.at, "schema_sha256": schema.digest}
        table = pa.Table.from_pylist([asdict(answer) for answer in answers], schema=_COLUMNS)
        with UNGUARDED.place(folder / f"{entry.number:04d}.parquet", "people's decisions") as partial:
            pq.write_table(table.replace_schema_metadata({_METADATA: json.dumps(about).encode()}), partial)
    return entry


def _read(number: int, path: Path, schema: AnnotationSchema) -> Entry:
    table = read_parquet(path)
    about = json.loads((table.schema.metadata or {}).get(_METADATA, b"{}"))
    if about.get("what") not in ("import", "undo") or set(table.column_names) != set(_COLUMNS.names):
        raise DecisionError(f"{path} holds no decisions. It was changed after it was written; restore it from a copy.")
    if about["schema_sha256"] != schema.digest:
        raise DecisionError(
            f"{path} was decided under another annotation schema than the run's, {schema.label}. Restore the file from "
            "a copy."
        )
    answers = tuple(Answer(**row) for row in table.to_pylist())
    return Entry(number, about["what"], about["source"], about["at"], answers)
