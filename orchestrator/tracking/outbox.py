"""What is to be written to MLflow, kept in the run directory first: a server that is away loses nothing.

Every write is a line of an append-only journal, on disk before anything is sent. Entries are delivered in order. If the
store is away they wait: every later write tries again, but no more often than a growing pause allows, so that a dead
server costs little. The number of delivered entries is saved after each one; after a crash in between, one entry is
delivered twice, so delivering must be idempotent (orchestrator/tracking/mlflow_delivery.py).

A driver is ended by KeyboardInterrupt, which may come between any two statements, and goes on writing until its end. So
what waits is no list of its own but the journal from that number on, and the journal is read again after a write that
did not return.
"""

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import Field

from corpus.storage.disk import DiskFull, disk_full, is_disk_full, name_reaches_disk, reach_disk, writing
from corpus.storage.errors import UserError
from corpus.storage.models import StrictModel
from corpus.storage.state_files import RecordError, read_json, write_json

JOURNAL = "mlflow_journal.jsonl"
_DELIVERED = "mlflow_delivered.json"
_FILES = "mlflow_files"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0
LOOP = 0  # the number of the parent run; a round's run has the round's number


class StoreAway(Exception):
    """The store cannot be reached now; what was to be written waits."""


class RunGone(UserError):
    """The store has lost what an entry is for; the entry waits until the run is entered again (`Spool.begin_again`).

    Args:
        lost: what is lost, and where. advice: what to do.
    """

    def __init__(self, lost: str, advice: str) -> None:
        super().__init__(f"{lost} {advice}")
        self.lost = lost


@dataclass(frozen=True)
class Entry:
    """One write. run: LOOP or a round. at_ms: when it was written, in milliseconds since 1970. values: JSON."""

    kind: str
    run: int
    at_ms: int
    values: dict[str, Any]


class Delivered(StrictModel):
    """mlflow_delivered.json: how many entries of the journal, from its beginning, the store has."""

    entries: int = Field(ge=0)


def read_journal(run_dir: Path) -> list[Entry]:
    """All entries. A last line that a crash cut off is left out: nothing of it was sent.

    Raises:
        RecordError: a line before the last is damaged.
    """
    path = Path(run_dir) / JOURNAL
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(Entry(**json.loads(line)))
        except (ValueError, TypeError) as error:
            raise RecordError(
                f"{path}, line {number}, is damaged: {error}. It is only ever appended to, so it was "
                "changed afterwards; restore it from a copy."
            ) from error
    return entries


def read_delivered(run_dir: Path) -> int:
    """How many entries the store has."""
    path = Path(run_dir) / _DELIVERED
    return read_json(run_dir, path, Delivered).entries if path.exists() else 0


def waiting(run_dir: Path) -> int:
    """How many entries of a run directory wait for the store."""
    delivered = read_delivered(run_dir)  # first: a driver at work may add to both
    return len(read_journal(run_dir)) - delivered


def open_runs(entries: Sequence[Entry]) -> set[int]:
    """The runs that were opened and not closed: those of a driver that works, or was killed."""
    found = set()
    for entry in entries:
        if entry.kind == "open":
            found.add(entry.run)
        elif entry.kind == "close":
            found.discard(entry.run)
    return found


class Spool:
    """The journal of one run directory, and the entries that wait. One process at a time: the holder of the lease; of
    its threads any.

    Args:
        deliver: brings one entry to the store; raises StoreAway if it cannot be reached. Called twice for one entry
            it must come to the same as once. Any other error is raised to the writer. The entry is given up then,
            unless it is RunGone, or an OSError: something of this machine.
        check: called before every change; raises if another process has taken over the run directory.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        run_dir: Path,
        deliver: Callable[[Entry], None],
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._run_dir, self._deliver = Path(run_dir), deliver
        self._check, self._clock = check, clock
        self._lock = threading.RLock()
        self._entries = read_journal(self._run_dir)
        self._appending = False  # whether a write began to append, and its entry is not known to be in _entries
        self._delivered = read_delivered(self._run_dir)
        if self._delivered > len(self._entries):
            raise RecordError(
                f"{self._run_dir / JOURNAL} has {len(self._entries)} entries, but {self._delivered} were "
                "delivered. It was cut or replaced; restore it from a copy."
            )
        self._pause_s, self._not_before = 0.0, float("-inf")
        self._cut_torn_line()
        self._remove_delivered_files()
        self.last_problem: str | None = None

    @property
    def entries(self) -> list[Entry]:
        """All entries, delivered or not, as the journal has them."""
        with self._lock:
            self._follow_journal()
            return self._entries

    @property
    def waiting(self) -> int:
        return len(self._entries) - self._delivered

    def write(self, kind: str, run: int, values: dict[str, Any], files: Sequence[Path] = ()) -> None:
        """Enter a write and deliver what waits, if the store is not known to be away.

        files: copied now, since they may change before they are delivered; `kept_files` has the copies.
        """
        with self._lock:
            self._check()
            self._follow_journal()
            entry = Entry(kind, run, int(time.time() * 1000), values)
            line = json.dumps(asdict(entry)).encode() + b"\n"
            with writing(f"what MLflow is to be told ({kind})", self._run_dir / JOURNAL):
                if files:
                    self._keep(files, len(self._entries))
                self._appending = True
                _append(self._run_dir / JOURNAL, line)
            self._entries.append(entry)
            self._appending = False
            if self._clock() >= self._not_before:
                self.flush()

    def flush(self) -> bool:
        """Deliver what waits, in order; returns whether nothing is left."""
        with self._lock:
            self._follow_journal()
            return self._flush()

    def begin_again(self) -> None:
        """Have everything delivered once more, as the store has lost it. Files whose copies are gone are left out."""
        with self._lock:
            self._check()
            self._follow_journal()
            with writing("what MLflow is to be told again", self._run_dir / _FILES):
                for index, entry in enumerate(self._entries[: self._delivered]):
                    if entry.kind == "files":
                        self._files_of(index).mkdir(parents=True, exist_ok=True)  # empty: none to send, none missing
            write_json(self._run_dir, self._run_dir / _DELIVERED, Delivered(entries=0))
            self._delivered = 0

    def _follow_journal(self) -> None:
        if self._appending:
            self._check()  # a successor may be writing the line that would be cut
            self._cut_torn_line()
            self._entries = read_journal(self._run_dir)
            self._appending = False

    def _flush(self) -> bool:
        while self._delivered < len(self._entries):
            self._check()
            try:
                self._deliver(self._entries[self._delivered])
            except StoreAway as error:
                self.last_problem = str(error)
                self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                self._not_before = self._clock() + self._pause_s
                return False
            except (DiskFull, RunGone):  # made good before it is delivered again: the entry stays
                raise
            except Exception as error:
                if is_disk_full(error):  # of the store in the run directory
                    raise disk_full("what MLflow is told", self._run_dir) from error
                if not isinstance(error, OSError):  # that is ours: the entry stays as well
                    # Refused, and it would be again: the writer hears of it, and what follows is not held up.
                    self._done_with_first()
                raise
            self._pause_s, self._not_before = 0.0, float("-inf")
            self._done_with_first()
        return True

    def _done_with_first(self) -> None:
        self._check()  # delivering may have taken longer than the lease lasts: a successor's number is larger
        write_json(self._run_dir, self._run_dir / _DELIVERED, Delivered(entries=self._delivered + 1))
        self._delivered += 1
        # Last, so that what is delivered again after an interrupt has its files.
        shutil.rmtree(self._files_of(self._delivered - 1), ignore_errors=True)

    def kept_files(self) -> list[Path]:
        """The files of the entry that is being delivered.

        Raises:
            RecordError: they are gone.
        """
        folder = self._files_of(self._delivered)
        if not folder.is_dir():
            raise RecordError(
                f"{folder} is gone, and with it files that MLflow was to be sent. It goes without them: run the "
                "same command again to go on."
            )
        return sorted(folder.iterdir())

    def _files_of(self, index: int) -> Path:
        return self._run_dir / _FILES / str(index)

    def _remove_delivered_files(self) -> None:
        """What an interrupt left of the copies of files that were delivered."""
        folder = self._run_dir / _FILES
        if folder.is_dir() and not folder.is_symlink():
            for path in folder.iterdir():
                if path.name.isdecimal() and int(path.name) < self._delivered:
                    shutil.rmtree(path, ignore_errors=True)

    def _keep(self, files: Sequence[Path], index: int) -> None:
        folder = self._files_of(index)
        shutil.rmtree(folder, ignore_errors=True)  # of a crash before the entry was written
        folder.mkdir(parents=True)
        for file in files:
            with open(file, "rb") as source, open(folder / file.name, "xb") as copy:
                shutil.copyfileobj(source, copy)
        reach_disk(folder)
        name_reaches_disk(folder)

    def _cut_torn_line(self) -> None:
        path = self._run_dir / JOURNAL
        if path.exists():
            whole = path.read_bytes().rfind(b"\n") + 1
            if whole < path.stat().st_size:
                os.truncate(path, whole)


def _append(path: Path, line: bytes) -> None:
    # Without a buffer: closing one after a failed write would write what is left in it, behind the cut.
    with open(path, "ab", buffering=0) as file:
        begin = file.tell()
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[file.write(rest) :]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, begin)  # a full disk: no half line for the next one to continue
            raise
    if begin == 0:
        name_reaches_disk(path)
