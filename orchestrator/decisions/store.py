"""The decisions of a run as files: an import or an undo is one file, written whole and never changed.

What stands is found by reading all files in order. An undo names the import of each answer that it takes back, so that
what the same person answered in an earlier import stands again. They lie in the run directory, and are written under
its lock: people decide while a run is at work.
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

_Key = tuple[str, str, str, bool]


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
    def key(self) -> _Key:
        """A person's later answer to the same question takes the place of the earlier one."""
        return self.tile_id, self.clause, self.person, self.is_control


@dataclass(frozen=True)
class Entry:
    """One file.

    Attributes:
        number: of the file.
        what: import, or undo of the answers in it.
        source: the file that people made, or what was said to be taken back.
        at: when, UTC.
        answers: those that came in, or were taken back.
        imports: of an undo, the number of each answer's import; () in files of versions that did not keep it.
    """

    number: int
    what: Literal["import", "undo"]
    source: str
    at: str
    answers: tuple[Answer, ...]
    imports: tuple[int, ...] = ()


@dataclass(frozen=True)
class Kept:
    """An answer that was not taken back, and the number of its import."""

    number: int
    answer: Answer


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
    """The answers that stand, those to controls among them: of each person the last one to a question."""
    return [each.answer for each in last_of(kept(entries))]


def kept(entries: Iterable[Entry]) -> list[Kept]:
    """All answers that were not taken back, in the order of their imports, also those that a later one replaces."""
    imports: dict[int, dict[_Key, Answer]] = {}
    for entry in entries:
        if entry.what == "import":
            imports[entry.number] = {answer.key: answer for answer in entry.answers}
            continue
        numbers = entry.imports or [_import_of(answer, imports) for answer in entry.answers]
        for number, answer in zip(numbers, entry.answers, strict=True):
            imports.get(number, {}).pop(answer.key, None)
    return [Kept(number, answer) for number, answers in imports.items() for answer in answers.values()]


def last_of(answers: Iterable[Kept]) -> list[Kept]:
    """Of each person the last answer to each question, in the order of their imports."""
    found: dict[_Key, Kept] = {}
    for each in answers:
        found.pop(each.answer.key, None)
        found[each.answer.key] = each
    return list(found.values())


def _import_of(answer: Answer, imports: dict[int, dict[_Key, Answer]]) -> int:
    """The last import that holds an answer; 0 where none does."""
    return next((number for number in reversed(imports) if imports[number].get(answer.key) == answer), 0)


def append(
    run_dir: Path,
    schema: AnnotationSchema,
    what: Literal["import", "undo"],
    source: str,
    answers: Sequence[Answer],
    imports: Sequence[int] = (),
) -> Entry:
    """Keep an import or an undo, whole or not at all.

    Args:
        run_dir: of the run.
        schema: of the run.
        what: import or undo.
        source: see `Entry`.
        answers: that come in, or are taken back.
        imports: of an undo, see `Entry`; (): of each answer the last import that holds it.

    Raises:
        LockHeld: a process was stopped in the middle of a write of this run.
        DiskFull: it does not fit on the disk; nothing was kept.
    """
    folder = Path(run_dir) / FOLDER
    with lease_lock(run_dir):
        known = [int(name[1]) for path in folder.glob("*") if (name := _NAME.fullmatch(path.name))]
        entry = Entry(
            max(known, default=0) + 1,
            what,
            source,
            datetime.now(UTC).isoformat(timespec="seconds"),
            tuple(answers),
            tuple(imports),
        )
        about = {"what": what, "source": source, "at": entry.at, "schema_sha256": schema.digest, "imports": [*imports]}
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
    return Entry(number, about["what"], about["source"], about["at"], answers, tuple(about.get("imports", ())))
