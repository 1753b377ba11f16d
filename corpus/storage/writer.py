"""The one way in which files and folders get their names: whole, under the lease, and still there after a power cut.

Every change of hands gives lease.json of a run directory a larger token (orchestrator/state/lease.py). A writer holds
the token under which its process began, and gives a finished file its name only while that token stands. Checking the
token and giving the name are one step: both happen under a lock that a change of hands needs too. So a process that is
stopped between the two cannot wake up and write over its successor's work.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus.storage.disk import name_reaches_disk, reach_disk, writing
from corpus.storage.lock import LEASE, LeaseLost, lease_lock

_UNFINISHED = ".partial"


@dataclass(frozen=True)
class Writer:
    """Writes files and folders whole, or not at all.

    A plain value, so that Ray hands it to workers on any node.

    Args:
        run_dir: The run directory whose lease guards what is written. None for a folder that no lease guards.
        token: The fencing token of the lease under which the process writes. None where it holds no lease: every
            write is refused.
    """

    run_dir: str | None = None
    token: int | None = None

    def check(self) -> None:
        """See that this process may write.

        Raises:
            LeaseLost: The lease has changed hands.
            RuntimeError: This process never took the lease.
        """
        if self.run_dir is None:
            return
        if self.token is None:
            raise RuntimeError(f"this process has not taken the lease of {self.run_dir}, so it writes nothing there")
        path = Path(self.run_dir) / LEASE
        found = json.loads(path.read_bytes()) if path.exists() else None
        if found is None or found["token"] != self.token:
            owner = "nobody" if found is None else f"process {found['owner']['pid']} on {found['owner']['host']}"
            # Whatever failed before, such as a full disk, is now the concern of the process that has taken over.
            raise LeaseLost(
                f"This process held the lease of {self.run_dir} with token {self.token}, but {owner} has "
                "taken over since. It stops and changes nothing more."
            ) from None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Keep the lease from changing hands while the body runs. The body must be short.

        Raises:
            LeaseLost: The lease has changed hands; the body was not run.
            LockHeld: Another process holds the lock and does not go on.
        """
        if self.run_dir is None:
            yield
            return
        if self.token is None:
            self.check()
        with lease_lock(self.run_dir):
            self.check()
            yield

    @contextmanager
    def place(self, final: Path, what: str | None = None) -> Iterator[Path]:
        """Give the body a path to write a file or a folder to, and then give that its final name.

        The path is of this write alone. So a process that wakes up in the middle of a write has nothing of its
        successor's open.

        Args:
            final: The name that the file or folder gets, in place of an older one.
            what: What is written, for the error of a full disk. None: the file's name.

        Raises:
            LeaseLost: The lease has changed hands; what has the name is left as it is.
            DiskFull: It does not fit on the disk; what has the name is left as it is.
        """
        self.check()
        partial = final.with_name(f".{final.name}.{uuid.uuid4().hex}{_UNFINISHED}")
        with writing(what or final.name, final):
            try:
                final.parent.mkdir(parents=True, exist_ok=True)
                yield partial
                self.put_in_place(partial, final)
            except Exception:
                self.check()  # what failed may be that a successor removed an unfinished file
                raise
            finally:
                _remove(partial)

    def put_in_place(self, partial: Path, final: Path) -> None:
        """Give a finished file or folder its name, in place of an older one.

        After a power cut it is there, whole, or not at all.

        Raises:
            LeaseLost: The lease has changed hands; nothing was changed.
        """
        reach_disk(partial)
        with self.holding():
            if partial.is_dir():
                shutil.rmtree(final, ignore_errors=True)
            os.replace(partial, final)
        name_reaches_disk(final)

    def write_text(self, path: Path, text: str, what: str | None = None, mode: int = 0o666) -> None:
        """Write a text file.

        Args:
            path: The file; errors as of `place`.
            text: Its content, written as UTF-8.
            what: As of `place`.
            mode: Its permissions, less those that the process's umask takes away.
        """
        with self.place(path, what) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)

    def remove_unfinished(self, folder: Path, name: str = "") -> None:
        """Remove what writers that were killed in the middle of `place` left in a folder.

        Args:
            folder: The folder to look in, not below.
            name: Only what was to become `name`, which ends with a dot; "" removes all.

        Raises:
            LeaseLost: The lease has changed hands; nothing was removed.
        """
        with self.holding():
            for path in folder.iterdir():
                if is_unfinished(path, name):
                    _remove(path)


PRIVATE = 0o600
"""Mode of a file that its owner alone may read: a run's state and configuration."""
UNGUARDED = Writer()
"""Writes into folders that no lease guards: corpora, caches, results of an ablation."""


def is_unfinished(path: Path, name: str = "") -> bool:
    """Return whether a path is what a writer that was killed left of `name`, or of any name."""
    return path.name.startswith(f".{name}") and path.name.endswith(_UNFINISHED)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)  # the process that was writing it may have woken up
    else:
        path.unlink(missing_ok=True)
