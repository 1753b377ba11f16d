"""What lies in a folder at one moment, while processes go on writing to it by `corpus.storage.writer`.

Files get their names whole and are then never changed, except for those that their writers replace. So a list of names
that is the same twice in a row is what lay there at a moment between the two, and each file can be read afterwards: one
that has been removed or replaced meanwhile is noticed.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

_PAUSE_S, _LOOKS = 0.05, 200
_AT_ONCE_BYTES = 2**20
SMALL_BYTES = 8 * 2**20
"""Files up to this size are held in memory."""
_DATABASE = ".db"
_BESIDE_DATABASE = ("-journal", "-wal", "-shm")
REPLACED = ("status.json", "memory.json", "figures/", "logs/", "gallery.html")
"""Paths, or what paths begin with, of files that are replaced again and again and on which no other file depends."""


class Moved(Exception):
    """A file was removed or replaced since it was listed: the folder has to be listed again."""


@dataclass(frozen=True)
class FileState:
    """A file as it was listed. Another file of the same name has another state."""

    size: int
    modified_ns: int
    inode: int


def list_folder(root: Path, left_out: Callable[[str], bool] = lambda _: False) -> dict[str, FileState]:
    """Return the files below a folder as they were at one moment, by path with '/' between its parts.

    Links are left out, and names that begin with a dot: writers use them for what is not finished.

    Args:
        root: The folder.
        left_out: Whether to leave out a file or a folder of this path.

    Raises:
        Moved: The folder changed during every look.
    """
    before: dict[str, FileState] | None = None
    for _ in range(_LOOKS):
        try:
            now = dict(_walk(root, "", left_out))
        except FileNotFoundError:
            now = None
        if now is not None and before is not None and _lasting(now) == _lasting(before):
            return now
        if before is not None or now is None:
            time.sleep(_PAUSE_S)
        before = now
    raise Moved(f"{root} changes faster than it can be listed")


def _lasting(files: dict[str, FileState]) -> dict[str, FileState]:
    return {path: state for path, state in files.items() if not is_replaced(path) and not path.endswith(_DATABASE)}


def is_replaced(path: str) -> bool:
    """Return whether a file of this path is one that nothing depends on (REPLACED)."""
    return any(path.startswith(each) if each.endswith("/") else path == each for each in REPLACED)


def _walk(folder: Path, above: str, left_out: Callable[[str], bool]) -> Iterator[tuple[str, FileState]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda each: each.name):
            path = f"{above}{entry.name}"
            unfinished = entry.name.startswith(".") or entry.name.endswith(_BESIDE_DATABASE)
            if unfinished or entry.is_symlink() or left_out(path):
                continue
            if entry.is_dir():
                yield from _walk(folder / entry.name, f"{path}/", left_out)
            else:
                found = entry.stat()
                yield path, FileState(found.st_size, found.st_mtime_ns, found.st_ino)


def state_of(path: Path) -> FileState:
    """Return the state of a file now.

    Raises:
        Moved: It is gone.
    """
    try:
        found = path.stat()
    except FileNotFoundError as error:
        raise Moved(str(path)) from error
    return FileState(found.st_size, found.st_mtime_ns, found.st_ino)


def read_small(path: Path) -> bytes:
    """Return the content of a small file, as one write has left it.

    Raises:
        Moved: It is gone.
    """
    try:
        return _copy_of_database(path) if path.name.endswith(_DATABASE) else path.read_bytes()
    except FileNotFoundError as error:
        raise Moved(str(path)) from error


def is_small(path: str, state: FileState) -> bool:
    """Return whether a file is read into memory: a database always is, since a copy of it is published."""
    return state.size <= SMALL_BYTES or path.endswith(_DATABASE)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file of any size.

    Raises:
        Moved: It is gone.
    """
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while part := file.read(_AT_ONCE_BYTES):
                digest.update(part)
    except FileNotFoundError as error:
        raise Moved(str(path)) from error
    return digest.hexdigest()


def _copy_of_database(path: Path) -> bytes:
    """An SQLite file between two transactions, whatever its writer does meanwhile."""
    if not path.exists():
        raise FileNotFoundError(path)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(":memory:")) as copy:
        source.backup(copy)
        return copy.serialize()
