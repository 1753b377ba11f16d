"""Free space, flushing to disk, and the error of a full disk: what was written, where, and how much space is left."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.storage.errors import UserError

_CODES = (errno.ENOSPC, errno.EDQUOT)
# The words of the system, of SQLite and of Ray's object store: libraries pass them on and lose the error's number.
_WORDS = ("no space left on device", "disk quota exceeded", "database or disk is full", "local disk is full")
# torch's writer only reports that its position in the file is not what it should be.
_TORCH_WORDS = "inline_container.cc"
_NOTHING_LEFT_BYTES = 2**20


class DiskFull(UserError, OSError):
    """What was being written does not fit on the disk; the message names it, the place and what to do."""


def free_bytes(path: str | Path) -> int:
    """Return the free space for this user in bytes, where `path` is or would be made."""
    return _usage(path).free


def total_bytes(path: str | Path) -> int:
    """Return the size in bytes of the file system where `path` is or would be made."""
    return _usage(path).total


def is_disk_full(error: BaseException, path: str | Path | None = None) -> bool:
    """Return whether a full disk is the cause of an error, by the number or the words of it or of an error behind it.

    Args:
        error: The error.
        path: Where it happened, if that is known. Some errors say no more than that a write came out short.
    """
    for each in causes(error):
        said = str(each).lower()
        if isinstance(each, DiskFull) or (isinstance(each, OSError) and each.errno in _CODES):
            return True
        if any(words in said for words in _WORDS):
            return True
        if _TORCH_WORDS in said and path is not None and free_bytes(path) < _NOTHING_LEFT_BYTES:
            return True
    return False


def causes(error: BaseException) -> Iterator[BaseException]:
    """Iterate over an error and the errors behind it. As in a traceback, nothing is behind one raised `from None`."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def disk_full(what: str, path: str | Path) -> DiskFull:
    """Return the error that says that `what` found no space at `path`, and what to do."""
    return DiskFull(
        f"The disk is full: {what} could not be written to {path}. That file system has {room(path)}. Rounds that have "
        "a record are whole. Make room there, then `knowlip resume RUN_DIR`."
    )


def room(path: str | Path) -> str:
    """Return in words how much is free where `path` is or would be made."""
    usage = _usage(path)
    return f"{usage.free / 2**20:,.1f} MiB free of {usage.total / 2**20:,.0f} MiB"


def reach_disk(path: Path) -> None:
    """Flush a file, or a folder with all in it, to the disk itself. After that a power cut takes nothing of it away."""
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        _reach_disk(each)


def name_reaches_disk(path: Path) -> None:
    """Flush the name of a file or folder to the disk itself. The name is part of the folder above."""
    _reach_disk(path.parent)


def _reach_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(what: str, path: str | Path) -> Iterator[None]:
    """Turn an error of the body into DiskFull if a full disk caused it.

    Args:
        what: What the body writes, for the message.
        path: Where it writes.

    Raises:
        DiskFull: The disk is full. Other errors pass unchanged.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if not is_disk_full(error, path):
            raise
        raise disk_full(what, path) from error


def _usage(path: str | Path):
    return shutil.disk_usage(existing(Path(path)))


def existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that is there."""
    path = path.absolute()
    return next(each for each in (path, *path.parents) if os.path.exists(each))  # unlike Path, no error where forbidden


def why_unwritable(path: Path) -> str | None:
    """Say why nothing can be written where `path` is or would be made; None where something can. It is tried."""
    try:
        with tempfile.TemporaryFile(dir=existing(path), prefix=".knowlip-"):
            return None
    except OSError as error:
        return error.strerror or str(error)
