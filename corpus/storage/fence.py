"""What keeps a driver that lost its run directory, and the workers it started, from writing there.

Every change of hands gives lease.json a larger token (orchestrator/state/lease.py). Whoever writes the run's state holds the
token under which it began, and puts its finished file in place only while that token stands. Looking and putting in
place are one step: both happen under a lock that a change of hands needs too, so that a process which is stopped
between the two cannot wake up and write over its successor's work.
"""

import fcntl
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus.storage.disk import name_reaches_disk, reach_disk
from corpus.storage.errors import UserError

LEASE, LOCK = "lease.json", ".lease.lock"
_UNFINISHED = ".partial"
LOCK_PATIENCE_S = 30.0


class LeaseLost(UserError):
    """Another driver has taken over this run directory; this process stops and changes nothing more."""


class LockHeld(UserError):
    """A process stands in the middle of a write of this run directory and does not go on."""


@dataclass(frozen=True)
class Fence:
    """The token under which a process may write a run's state. A plain value, for workers on any node."""

    run_dir: str
    token: int

    def check(self) -> None:
        """See that the lease has not changed hands.

        Raises:
            LeaseLost: it has.
        """
        path = Path(self.run_dir) / LEASE
        found = json.loads(path.read_bytes()) if path.exists() else None
        if found is None or found["token"] != self.token:
            owner = "nobody" if found is None else f"process {found['owner']['pid']} on {found['owner']['host']}"
            # Whatever failed before it, a full disk say, is the successor's concern now.
            raise LeaseLost(
                f"This process held the lease of {self.run_dir} with token {self.token}, but {owner} has "
                "taken over since. It stops and changes nothing more."
            ) from None

    @contextmanager
    def holding(self) -> Iterator[None]:
        """The body puts something in place that is ready; for as long the lease cannot change hands. Keep it short.

        Raises:
            LeaseLost: the lease has changed hands; the body was not run.
        """
        with lease_lock(self.run_dir):
            self.check()
            yield


class NoFence:
    """For directories that no lease guards."""

    def check(self) -> None:
        return

    @contextmanager
    def holding(self) -> Iterator[None]:
        yield


def put_in_place(partial: Path, final: Path, fence: Fence | NoFence) -> None:
    """Give a finished file or folder its name, while the lease is ours; in place of an older one.

    After a power cut it is there, whole, or not at all.
    """
    reach_disk(partial)
    with fence.holding():
        if partial.is_dir():
            shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
    name_reaches_disk(final)


@contextmanager
def placing(final: Path, fence: Fence | NoFence) -> Iterator[Path]:
    """The body writes the file or folder that it is given the path of; then it gets its name, as by `put_in_place`.

    The path is of this write alone: a driver that wakes up in the middle of one has nothing of its successor's open.

    Raises:
        LeaseLost: the lease has changed hands; what has the name is left as it is.
    """
    partial = final.with_name(f".{final.name}.{uuid.uuid4().hex}{_UNFINISHED}")
    try:
        yield partial
        put_in_place(partial, final, fence)
    except Exception:
        fence.check()  # a successor removes what it finds unfinished
        raise
    finally:
        _remove(partial)


def remove_unfinished(folder: Path, fence: Fence | NoFence, name: str = "") -> None:
    """Remove what writers that were killed in the middle of `placing` left in a folder: of `name`, or all.

    Raises:
        LeaseLost: the lease has changed hands; nothing was removed.
    """
    with fence.holding():
        for path in folder.iterdir():
            if path.name.startswith(f".{name}") and path.name.endswith(_UNFINISHED):
                _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)  # its writer may have woken up
    else:
        path.unlink(missing_ok=True)


@contextmanager
def lease_lock(run_dir: str | Path, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
    """One process of this file system at a time; a process that ends lets go.

    Raises:
        LockHeld: another one has held it for all of `patience_s`: it was stopped in the middle of a write.
    """
    # A run directory may have come from elsewhere: its lock is no link to another file.
    descriptor = os.open(Path(run_dir) / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "w") as file:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise LockHeld(
                        f"A process has held the lock {Path(run_dir) / LOCK} for more than {patience_s:g} s. It was "
                        "stopped in the middle of a write: let it go on, or end it (`fuser` names it)."
                    ) from error
                time.sleep(0.005)
        yield
