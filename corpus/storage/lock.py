"""File locks. A run directory's is held while its lease changes hands, and while a finished file gets its name."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.storage.errors import UserError

LEASE, LOCK = "lease.json", ".lease.lock"
LOCK_PATIENCE_S = 30.0


class LeaseLost(UserError):
    """Another driver has taken over this run directory; this process stops and changes nothing more."""


class LockHeld(UserError):
    """A process was stopped in the middle of a write of this run directory."""


@contextmanager
def lease_lock(run_dir: str | Path, patience_s: float = LOCK_PATIENCE_S) -> Iterator[None]:
    """Let one process of this file system at a time run the body. A process that ends gives the lock back.

    Raises:
        LockHeld: Another process has held the lock for all of `patience_s` seconds.
    """
    with file_lock(Path(run_dir) / LOCK, patience_s):
        yield


@contextmanager
def file_lock(path: Path, patience_s: float) -> Iterator[None]:
    """Let one process of this file system at a time run the body. A process that ends gives the lock back.

    Args:
        path: A file that is nothing but the lock; made where it is absent.
        patience_s: Seconds to wait for another process.

    Raises:
        LockHeld: Another process has held the lock for all of these seconds.
    """
    # A run directory may have come from elsewhere: its lock must be no link to another file.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    with open(descriptor, "w") as file:
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    raise LockHeld(
                        f"A process has held the lock {path} for more than {patience_s:g} s. It was "
                        "stopped in the middle of a write: let it go on, or end it (`fuser` names it)."
                    ) from error
                time.sleep(0.005)
        yield
