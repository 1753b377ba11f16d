"""Whether the files of a corpus's tiles are those that were recorded, one folder of tiles after the other.

A corpus of 120,000 tiles is opened without reading them: a folder in which no file was touched since its tiles were
last found right is passed over. What a run reads of a tile is compared once more as it is read, see `check_tile`.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from corpus.storage.arrow import compute as pc
from corpus.storage.writer import UNGUARDED
from corpus.tiles import CorpusError, file_sha256, read_tiles, tile_path

CHECKED = "checked.json"
"""File of a corpus: folder of tiles -> digest of its files and rows as they were last found right."""


@dataclass(frozen=True)
class Problem:
    """One thing wrong with a corpus: which tile, a short code, and a sentence."""

    tile_id: str
    path: str
    reason: Literal["missing", "changed", "outside_corpus", "duplicate", "schema"]
    message: str


@dataclass(frozen=True)
class _Folder:
    """The tiles of one folder. `rows` has tile_id, path and sha256."""

    name: str
    rows: pa.Table

    def digest(self, root: Path) -> str:
        """Of the rows, and of name, size and time of change of every file in the folder; '' where there is none."""
        try:
            with os.scandir(root / self.name) as entries:
                found = sorted((entry.name, (about := entry.stat()).st_size, about.st_mtime_ns) for entry in entries)
        except OSError:
            return ""  # the tiles' own errors say what it is
        rows = [self.rows[name].to_pylist() for name in ("path", "sha256")]
        return hashlib.sha256(repr((found, rows)).encode()).hexdigest()

    def problems(self, root: Path) -> list[Problem]:
        """What is wrong with its tiles, every one of which is read."""
        rows = self.rows.to_pylist()
        try:
            inside = tile_path(root, self.name)  # once, as it looks at every part of a path
        except CorpusError:
            inside = None
        return [problem for row in rows if (problem := _problem(root, inside, row)) is not None]


def check_tiles(corpus_dir: str | Path, *, touched_only: bool = False) -> list[Problem]:
    """Compare tiles with their recorded SHA-256; an empty list means that nothing has changed.

    Args:
        corpus_dir: The corpus.
        touched_only: Pass over folders in which no file was touched since they were last found right, and remember
            those that are right now. A corpus that lies where nothing can be written is read whole every time.

    Raises:
        CorpusError: There is no list of tiles, or it is damaged.
    """
    root, table = Path(corpus_dir), read_tiles(corpus_dir).select(["tile_id", "path", "sha256"])
    folders = list(_folders(table))
    before = _checked(root) if touched_only else {}
    now = {folder.name: folder.digest(root) for folder in folders} if touched_only else {}
    open_ = [folder for folder in folders if not now.get(folder.name) or now[folder.name] != before.get(folder.name)]
    # Threads take longer: they wait for Python's lock, and not for the disk.
    found = [folder.problems(root) for folder in open_]
    if touched_only and open_:
        wrong = {folder.name for folder, problems in zip(open_, found, strict=True) if problems}
        _remember(root, {name: digest for name, digest in now.items() if digest and name not in wrong})
    return [*_duplicates(table), *(problem for problems in found for problem in problems)]


def check_tile(tile_id: str, file: Path, recorded: str) -> None:
    """See, just before a tile is read, that its file is still the one whose SHA-256 was recorded.

    A run looks at all tiles when it starts; what it reads later, for a block that was lost say, may have changed since.

    Raises:
        CorpusError: it has, or cannot be read.
    """
    try:
        problem = _compare(tile_id, str(file), file, recorded)
    except OSError as error:
        raise CorpusError(
            f"Tile {tile_id} ({file}) cannot be read: {error.strerror or error}. Check the path and its "
            "rights, then `knowlip resume RUN_DIR`."
        ) from error
    if problem is not None:
        raise CorpusError(
            f"{problem.message} A run that went on would not be the same run. Put back what it was, then "
            "`knowlip resume RUN_DIR`, or start a new run."
        )


def _folders(table: pa.Table) -> Iterator[_Folder]:
    """The tiles by the folder that they lie in."""
    names = pc.replace_substring_regex(table["path"], r"/?[^/]*$", "").combine_chunks().dictionary_encode()
    order = np.argsort(names.indices.to_numpy(), kind="stable")
    ends = np.cumsum(np.bincount(names.indices.to_numpy(), minlength=len(names.dictionary)))
    for name, rows in zip(names.dictionary.to_pylist(), np.split(order, ends[:-1]), strict=True):
        yield _Folder(name, table.take(rows))


def _duplicates(table: pa.Table) -> list[Problem]:
    listed = table["tile_id"].to_numpy()  # sorted
    return [
        Problem(row["tile_id"], row["path"], "duplicate", f"Tile {row['tile_id']} is listed twice.")
        for row in table.take(np.flatnonzero(listed[1:] == listed[:-1]) + 1).to_pylist()
    ]


def _checked(root: Path) -> dict[str, str]:
    """What `_remember` has written; {} where there is nothing that can be used, as then all is read."""
    try:
        found = json.loads((root / CHECKED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(root: Path, digests: dict[str, str]) -> None:
    with suppress(OSError):  # nothing can be written there: the next one reads all again
        UNGUARDED.write_text(root / CHECKED, json.dumps(digests, indent=0, sort_keys=True), "what was checked")


def _problem(root: Path, inside: Path | None, row: dict[str, str]) -> Problem | None:
    """What is wrong with a tile; `inside` is its folder, None where that leads out of the corpus."""
    try:
        file = None if inside is None else inside / row["path"].rsplit("/", 1)[-1]
        if file is None or file.is_symlink():  # which may lead out, too
            file = tile_path(root, row["path"])
        return _compare(row["tile_id"], row["path"], file, row["sha256"])
    except CorpusError as error:
        return Problem(row["tile_id"], row["path"], "outside_corpus", str(error))


def _compare(tile_id: str, path: str, file: Path, recorded: str) -> Problem | None:
    """What is wrong with a tile's file, which the problem names as `path`."""
    try:
        found = file_sha256(file)
    except FileNotFoundError:
        return Problem(tile_id, path, "missing", f"Tile {tile_id} has no file {path}.")
    if found == recorded:
        return None
    return Problem(
        tile_id,
        path,
        "changed",
        f"Tile {tile_id} ({path}) has changed since it was recorded: SHA-256 {found[:12]}, recorded {recorded[:12]}.",
    )
