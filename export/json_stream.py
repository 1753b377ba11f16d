"""JSON files with long lists, written entry by entry: the whole never lies in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from corpus.storage.disk import writing


class LongLists:
    """Writes a JSON object to an open file: short entries, and lists whose entries come one by one."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self._first_key = self._first_entry = True
        self._in_list = False
        file.write("{")

    def entries(self, content: Mapping[str, Any]) -> None:
        """Write entries of the object as they are."""
        for key, value in content.items():
            self._key(key)
            self.file.write(_text(value))

    def begin(self, key: str) -> None:
        """Begin a list, whose entries `add` writes."""
        self._key(key)
        self.file.write("[")
        self._in_list = self._first_entry = True

    def add(self, entry: Any) -> None:
        """Write the next entry of the list."""
        self._add_text(_text(entry))

    def begin_entry(self) -> None:
        """Write what stands before the next entry of the list, which the caller writes to `file`."""
        self.file.write("\n" if self._first_entry else ",\n")
        self._first_entry = False

    def _add_text(self, text: str) -> None:
        self.begin_entry()
        self.file.write(text)

    def add_lines(self, path: Path) -> None:
        """Write every entry that `Lines` collected in a file."""
        with path.open(encoding="utf-8") as file:
            for line in file:
                self._add_text(line.rstrip("\n"))

    def close(self) -> None:
        """End the list and the object."""
        self._end_list()
        self.file.write("\n}\n")

    def _end_list(self) -> None:
        if self._in_list:
            self.file.write("]")
            self._in_list = False

    def _key(self, key: str) -> None:
        self._end_list()
        self.file.write("\n" if self._first_key else ",\n")
        self.file.write(f"{_text(key)}: ")
        self._first_key = False


class Lines:
    """Collects the entries of several long lists in one pass: a file of lines for each, removed at the end.

    Args:
        folder: where the files lie meanwhile.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, TextIO] = {}

    def add(self, name: str, entry: Any) -> None:
        """Add an entry to the list `name`."""
        if name not in self._files:
            self._files[name] = self._path(name).open("w", encoding="utf-8")
        self._files[name].write(_text(entry) + "\n")

    def copy(self, name: str, target: LongLists) -> None:
        """Write the list `name` as a list of a JSON object, under the last part of its name."""
        target.begin(name.rpartition("/")[2])
        if name in self._files:
            self._files[name].flush()
            target.add_lines(self._path(name))

    def add_object(self, name: str, content: Mapping[str, Any], target: LongLists) -> None:
        """Add an object with the list `name` as an entry of a list, under the last part of its name."""
        target.begin_entry()
        inner = LongLists(target.file)
        inner.entries(content)
        self.copy(name, inner)
        inner.close()

    def __enter__(self) -> Lines:
        return self

    def __exit__(self, *_: object) -> None:
        for name, file in self._files.items():
            file.close()
            self._path(name).unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f".{name.replace('/', '-')}.lines"


@contextmanager
def long_json(path: Path) -> Iterator[LongLists]:
    """Open a JSON file to write long lists into.

    Raises:
        DiskFull: It does not fit on the disk.
    """
    with writing(path.name, path), path.open("w", encoding="utf-8") as file:
        lists = LongLists(file)
        yield lists
        lists.close()


def write_json(path: Path, content: Any) -> None:
    """Write a short JSON file. Raises DiskFull."""
    with writing(path.name, path):
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")


def _text(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
