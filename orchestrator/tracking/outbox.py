"""What a server is to be told, kept in the run directory first: a server that is away loses nothing.

The outbox is one SQLite file. An entry is written in one transaction, together with the files that belong to it, and is
on the disk before anything is sent. Entries are delivered in order, and each is marked once the server has it. After a
crash between the two it is delivered again, so delivering must be idempotent. While the server is away entries wait:
every later write tries again, but no more often than a growing pause allows, so that a dead server costs little.

A driver is ended by KeyboardInterrupt, which may come between any two statements, and it goes on writing until its end.
Therefore no entry is kept in memory, and no transaction is open while an entry is delivered.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from corpus.storage.disk import DiskFull, disk_full, is_disk_full, writing
from corpus.storage.errors import InputError
from corpus.storage.lock import LockHeld
from corpus.storage.state_files import RecordError, StateFolder
from orchestrator.tracking.base import TrackerAway

OUTBOX = "mlflow_outbox.db"
LOOP = 0
"""Number of the parent run; the run of a round has the round's number."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 5.0, 60.0
_LOCK_PATIENCE_S = 30.0
# The large column is the last one, so that marks are found without reading it. EXTRA: a commit survives a power cut.
_OPEN = """
PRAGMA trusted_schema = OFF;
PRAGMA synchronous = EXTRA;
BEGIN;
CREATE TABLE IF NOT EXISTS entries (
    number INTEGER PRIMARY KEY, delivered INTEGER NOT NULL DEFAULT 0,
    kind TEXT NOT NULL, run INTEGER NOT NULL, at_ms INTEGER NOT NULL, content TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS files (
    entry INTEGER NOT NULL, name TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (entry, name)
);
COMMIT;
"""


class RunGone(InputError):
    """The server has lost what an entry is for; the entry waits until `Outbox.begin_again`.

    Args:
        lost: What is lost, and where.
        advice: What to do.
    """

    def __init__(self, lost: str, advice: str) -> None:
        super().__init__(f"{lost} {advice}")
        self.lost = lost


@dataclass(frozen=True)
class Entry:
    """One thing to tell.

    Args:
        kind: What is told; the outbox attaches no meaning to it, except in `open_runs`.
        run: LOOP, or the number of a round.
        at_ms: When it was written, in milliseconds since 1970.
        values: What is told, as JSON holds it.
        files: Content of the files that belong to it, by name. Empty where entries are only looked at.
    """

    kind: str
    run: int
    at_ms: int
    values: dict[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)


def open_runs(entries: Sequence[Entry]) -> set[int]:
    """Return the runs with an entry of kind "open" and none of kind "close" after it."""
    found = set()
    for entry in entries:
        if entry.kind == "open":
            found.add(entry.run)
        elif entry.kind == "close":
            found.discard(entry.run)
    return found


class Outbox:
    """The outbox of one run directory. The holder of the lease writes, from any thread; anybody may read.

    Args:
        directory: The run directory. The file is made in it by the first write, and changed while its writer may write.
        deliver: Brings one entry to the server; raises TrackerAway if the server cannot be reached. Called twice for
            one entry it must come to the same as once. Any other error is raised to the writer. The entry is given up
            then, unless the error is RunGone, or an OSError, which is about this machine.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        directory: StateFolder,
        deliver: Callable[[Entry], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._directory, self._path = directory, directory.path / OUTBOX
        self._deliver, self._clock = deliver, clock
        self._lock = threading.RLock()
        self._pause_s, self._not_before = 0.0, float("-inf")
        self.last_problem: str | None = None

    def write(
        self, kind: str, run: int, values: dict[str, Any], files: Sequence[Path] | Mapping[str, bytes] = ()
    ) -> None:
        """Enter one thing to tell, and deliver what waits unless the server is known to be away.

        Args:
            kind: See Entry.
            run: See Entry.
            values: See Entry.
            files: Files, which are copied now, since they may change before they are delivered; or their content by
                name.

        Raises:
            DiskFull: The entry does not fit on the disk.
        """
        with self._lock:
            self._directory.writer.check()
            row = (kind, run, int(time.time() * 1000), json.dumps(values))
            given = files if isinstance(files, Mapping) else {file.name: file.read_bytes() for file in files}
            with self._changing(f"what MLflow is to be told ({kind})") as db:
                insert = "INSERT INTO entries (kind, run, at_ms, content) VALUES (?, ?, ?, ?)"
                number = db.execute(insert, row).lastrowid
                db.executemany("INSERT INTO files VALUES (?, ?, ?)", [(number, *each) for each in given.items()])
            if self._clock() >= self._not_before:
                self.flush()

    def flush(self) -> bool:
        """Deliver what waits, in order; return whether nothing is left."""
        with self._lock:
            while (found := self._next()) is not None:
                number, entry = found
                self._directory.writer.check()
                try:
                    self._deliver(entry)
                except TrackerAway as error:
                    self.last_problem = str(error)
                    self._pause_s = min(max(2 * self._pause_s, _FIRST_PAUSE_S), _LONGEST_PAUSE_S)
                    self._not_before = self._clock() + self._pause_s
                    return False
                except (DiskFull, RunGone):  # made good before it is delivered again: the entry stays
                    raise
                except Exception as error:
                    if is_disk_full(error):  # of the store in the run directory
                        raise disk_full("what MLflow is told", self._path.parent) from error
                    if not isinstance(error, OSError):  # that is ours: the entry stays as well
                        # Refused, and it would be again: the writer hears of it, and what follows is not held up.
                        self._mark_delivered(number)
                    raise
                self._pause_s, self._not_before = 0.0, float("-inf")
                self._mark_delivered(number)
            return True

    def begin_again(self) -> None:
        """Have everything delivered once more, as the server has lost it; without files that it had before."""
        with self._lock:
            self._directory.writer.check()
            with self._changing("what MLflow is to be told again") as db:
                db.execute("UPDATE entries SET delivered = 0")

    @property
    def waiting(self) -> int:
        """How many entries the server has not got yet."""
        [(count,)] = self._read("SELECT count(*) FROM entries WHERE NOT delivered") or [(0,)]
        return count

    def entries(self) -> list[Entry]:
        """Return all entries, delivered or not, in their order and without files."""
        rows = self._read("SELECT kind, run, at_ms, content FROM entries ORDER BY number")
        return [self._entry(*row) for row in rows]

    def _next(self) -> tuple[int, Entry] | None:
        waiting = "SELECT number, kind, run, at_ms, content FROM entries WHERE NOT delivered ORDER BY number LIMIT 1"
        for number, *row in self._read(waiting):
            files = self._read("SELECT name, content FROM files WHERE entry = ? ORDER BY name", number)
            return number, self._entry(*row, files=dict(files))
        return None

    def _entry(self, kind: str, run: int, at_ms: int, content: str, files: Mapping[str, bytes] | None = None) -> Entry:
        try:
            return Entry(kind, run, at_ms, json.loads(content), files or {})
        except ValueError as error:
            raise RecordError(f"{self._path} is damaged: {error}. Restore it from a copy.") from error

    def _mark_delivered(self, number: int) -> None:
        self._directory.writer.check()  # delivering may have taken longer than the lease lasts
        with self._changing("what MLflow was told") as db:
            db.execute("UPDATE entries SET delivered = 1 WHERE number = ?", (number,))
            db.execute("DELETE FROM files WHERE entry = ?", (number,))

    def _read(self, query: str, *parameters: int) -> list[tuple]:
        if not self._path.exists():
            return []
        with self._connected() as db:
            return db.execute(query, parameters).fetchall()

    @contextmanager
    def _changing(self, what: str) -> Iterator[sqlite3.Connection]:
        """The body's statements are one transaction: an error or an interrupt undoes all of them."""
        with writing(what, self._path), self._connected() as db, db:
            yield db

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_LOCK_PATIENCE_S)) as db:
                db.executescript(_OPEN)
                yield db
        except sqlite3.DatabaseError as error:
            if is_disk_full(error):
                raise
            if "locked" in str(error):
                raise LockHeld(
                    f"A process has held {self._path} for more than {_LOCK_PATIENCE_S:g} s. It was stopped in the "
                    "middle of a write: let it go on, or end it (`fuser` names it)."
                ) from error
            raise RecordError(f"{self._path} cannot be used: {error}. Restore it from a copy.") from error
