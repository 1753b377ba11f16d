"""What is to be written to MLflow, kept in the run directory first: a server that is away loses nothing.

Every write is a line of an append-only journal, on disk before anything is sent. Entries are delivered in order. If the
store is away they wait: every later write tries again, but no more often than a growing pause allows, so that a dead
server costs little. The number of delivered entries is saved after each one; after a crash in between, one entry is
delivered twice, so delivering must be idempotent (orchestrator/delivery.py).
"""

import json
import os
import shutil
import threading
import time
from collections import deque
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Sequence

from pydantic import BaseModel, ConfigDict, Field

from corpus.disk import disk_full, is_disk_full, name_reaches_disk, reach_disk, writing
from orchestrator.records import RecordError, read_json, write_json

JOURNAL = "mlflow_journal.jsonl"
_DELIVERED = "mlflow_delivered.json"
_FILES = "mlflow_files"
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0
LOOP = 0  # the number of the parent run; a round's run has the round's number


class StoreAway(Exception):
    """The store cannot be reached now; what was to be written waits."""


@dataclass(frozen=True)
class Entry:
    """One write. run: LOOP or a round. at_ms: when it was written, in milliseconds since 1970. values: JSON."""

    kind: str
    run: int
    at_ms: int
    values: dict[str, Any]


class Delivered(BaseModel):
    """mlflow_delivered.json: how many entries of the journal, from its beginning, the store has."""

    model_config = ConfigDict(extra="forbid")

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
            raise RecordError(f"{path}, line {number}, is damaged: {error}. It is only ever appended to, so it was "
                              "changed afterwards; restore it from a copy.") from error
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
            it must come to the same as once. Any other error is raised to the writer, and the entry is given up.
        check: called before every change; raises if another process has taken over the run directory.
        clock: seconds, monotonic.
    """

    def __init__(self, run_dir: Path, deliver: Callable[[Entry], None], check: Callable[[], None] = lambda: None,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._run_dir, self._deliver = Path(run_dir), deliver
        self._check, self._clock = check, clock
        self._lock = threading.RLock()
        self.entries = read_journal(self._run_dir)
        self._delivered = read_delivered(self._run_dir)
        if self._delivered > len(self.entries):
            raise RecordError(f"{self._run_dir / JOURNAL} has {len(self.entries)} entries, but {self._delivered} were "
                              "delivered. It was cut or replaced; restore it from a copy.")
        self._queue = deque(self.entries[self._delivered:])
        self._pause_s, self._not_before = 0.0, float("-inf")
        self._cut_torn_line()
        self.last_problem: str | None = None

    @property
    def waiting(self) -> int:
        return len(self._queue)

    def write(self, kind: str, run: int, values: dict[str, Any], files: Sequence[Path] = ()) -> None:
        """Enter a write and deliver what waits, if the store is not known to be away.

        files: copied now, since they may change before they are delivered; `kept_files` has the copies.
        """
        with self._lock:
            self._check()
            entry = Entry(kind, run, int(time.time() * 1000), values)
            line = json.dumps(asdict(entry)).encode() + b"\n"
            with writing(f"what MLflow is to be told ({kind})", self._run_dir / JOURNAL):
                if files:
                    self._keep(files, len(self.entries))
                _append(self._run_dir / JOURNAL, line)
            self.entries.append(entry)
            self._queue.append(entry)
            if self._clock() >= self._not_before:
                self.flush()

    def flush(self) -> bool:
        """Deliver what waits, in order; returns whether nothing is left."""
        with self._lock:
            return self._flush()

    def _flush(self) -> bool:
        while self._queue:
            self._check()
            try:
                self._deliver(self._queue[0])
            except StoreAway as error:
                self.last_problem = str(error)
                self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                self._not_before = self._clock() + self._pause_s
                return False
            except OSError:  # ours, such as a full disk: the entry stays
                raise
            except Exception as error:
                if is_disk_full(error):  # of the store in the run directory: the entry stays as well
                    raise disk_full("what MLflow is told", self._run_dir) from error
                # Refused, and it would be again: the writer hears of it, and what follows is not held up.
                self._done_with_first()
                raise
            self._pause_s, self._not_before = 0.0, float("-inf")
            self._done_with_first()
        return True

    def _done_with_first(self) -> None:
        write_json(self._run_dir, self._run_dir / _DELIVERED, Delivered(entries=self._delivered + 1))
        shutil.rmtree(self._files_of(self._delivered), ignore_errors=True)
        self._delivered += 1
        self._queue.popleft()

    def kept_files(self) -> list[Path]:
        """The files of the entry that is being delivered.

        Raises:
            RecordError: they are gone.
        """
        folder = self._files_of(self._delivered)
        if not folder.is_dir():
            raise RecordError(f"{folder} is gone, and with it files that MLflow was to be sent. It goes without them: run the "
                              "same command again to go on.")
        return sorted(folder.iterdir())

    def _files_of(self, index: int) -> Path:
        return self._run_dir / _FILES / str(index)

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
                rest = rest[file.write(rest):]
            os.fsync(file.fileno())
        except OSError:
            os.truncate(path, begin)  # a full disk: no half line for the next one to continue
            raise
    if begin == 0:
        name_reaches_disk(path)
