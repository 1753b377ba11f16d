"""A full disk, told apart from other failures: what was written, where, and how much room is left."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.storage.errors import UserError

_CODES = (errno.ENOSPC, errno.EDQUOT)
# As the system, SQLite and Ray's object store put it; libraries pass on the words and lose the number.
_WORDS = ("no space left on device", "disk quota exceeded", "database or disk is full", "local disk is full")
# torch's writer only notices that its position is not what it should be.
_TORCH_WORDS = "inline_container.cc"
_NOTHING_LEFT_BYTES = 2**20


class DiskFull(UserError, OSError):
    """What was being written does not fit on the disk; the message names it, the place and what to do."""


def free_bytes(path: str | Path) -> int:
    """Free space for this user where `path` is, or would be made."""
    return _usage(path).free


def total_bytes(path: str | Path) -> int:
    """Size of the file system where `path` is, or would be made."""
    return _usage(path).total


def is_disk_full(error: BaseException, path: str | Path | None = None) -> bool:
    """Whether a full disk is the cause of an error, by its number or its words, or those of an error behind it.

    Args:
        path: where the error happened, if that is known: some errors say no more than that a write came out short.
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
    """An error, and those behind it; as in a traceback, none behind one that was raised `from None`."""
    seen: set[int] = set()
    each: BaseException | None = error
    while each is not None and id(each) not in seen:
        seen.add(id(each))
        yield each
        each = each.__cause__ or (None if each.__suppress_context__ else each.__context__)


def disk_full(what: str, path: str | Path) -> DiskFull:
    """The error that says so."""
    return DiskFull(
        f"The disk is full: {what} could not be written to {path}. That file system has {room(path)}. Rounds that have "
        "a record are whole. Make room there, then `knowlip resume RUN_DIR`."
    )


def room(path: str | Path) -> str:
    """How much is free where `path` is, or would be made, in words."""
    usage = _usage(path)
    return f"{usage.free / 2**20:,.1f} MiB free of {usage.total / 2**20:,.0f} MiB"


def reach_disk(path: Path) -> None:
    """Have a file, or a folder with all in it, on the disk itself: from there on a power cut takes nothing away."""
    for each in (path, *(path.rglob("*") if path.is_dir() else ())):
        _reach_disk(each)


def name_reaches_disk(path: Path) -> None:
    """Have the name of a file or folder on the disk: it stands in the folder above."""
    _reach_disk(path.parent)


def _reach_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def writing(what: str, path: str | Path) -> Iterator[None]:
    """The body writes `what` to `path`; if the disk is full its error becomes one that says so.

    Raises:
        DiskFull: the disk is full. Other errors pass unchanged.
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
    return shutil.disk_usage(_existing(Path(path)))


def _existing(path: Path) -> Path:
    path = path.absolute()
    return next(each for each in (path, *path.parents) if each.exists())
