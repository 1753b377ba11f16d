"""Reads the table of a set of labelled images. Every row that cannot be used is named by its line."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from corpus.labelled.config import LabelledConfig
from corpus.storage.errors import InputError

_SHOWN = 5


class LabelError(InputError):
    """A set of labelled images cannot be used; the message names file and line."""


@dataclass(frozen=True)
class LabelledImage:
    """One row of the table.

    Attributes:
        tile_id: made of the file's name, or of the window's corner.
        path: of the image.
        window: (x, y, size) in pixels; None: all of it.
        split: 'train' or 'held_out'.
        values: clause -> label.
        group: what images of one object share; the tile_id where nothing says it.
        line: of the CSV.
    """

    tile_id: str
    path: Path
    window: tuple[int, int, int] | None
    split: str
    values: dict[str, str]
    group: str
    line: int


def read_labels(config: LabelledConfig, vocabulary: Mapping[str, Sequence[str]]) -> list[LabelledImage]:
    """Read the images that a configuration names, sorted by tile_id.

    Args:
        config: of the set.
        vocabulary: clause -> its values.

    Raises:
        LabelError: there is no such file, a column is missing, rows cannot be used, or a split is empty.
    """
    path = config.labels
    if path is None:
        raise LabelError(
            "corpus.kind is labelled, but no labels were named. Set corpus.labelled.labels to a CSV with columns file, "
            "split and one for each clause."
        )
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            rows = list(reader)
            header = reader.fieldnames or []
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LabelError(
            f"{path} cannot be read: {getattr(error, 'strerror', None) or error}. Correct corpus.labelled.labels."
        ) from error
    columns = {clause: config.columns.get(clause, clause) for clause in vocabulary}
    wanted = [
        "split",
        *columns.values(),
        *([] if config.image else ["file"]),
        *([config.group] if config.group else []),
    ]
    if missing := [name for name in wanted if name not in header]:
        raise LabelError(
            f"{path} has no column {', '.join(map(repr, missing))}; it has: {', '.join(header)}. Name the column of "
            "a clause with corpus.labelled.columns."
        )
    problems: list[str] = []
    images: dict[str, LabelledImage] = {}
    for line, row in enumerate(rows, 2):
        found = _image(config, path.parent, columns, vocabulary, row, line)
        if isinstance(found, str):
            problems.append(f"line {line}: {found}")
        elif found is not None and (twin := images.setdefault(found.tile_id, found)) is not found:
            problems.append(f"line {line}: the same image as line {twin.line}")
    if problems:
        more = f"\n  and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise LabelError(f"{path} cannot be used:" + "".join(f"\n  {each}." for each in problems[:_SHOWN]) + more)
    for split, names in (("train", config.train_splits), ("held_out", config.held_out_splits)):
        if not any(image.split == split for image in images.values()):
            raise LabelError(
                f"{path} has no row whose split is {' or '.join(names)}. Name its splits with "
                f"corpus.labelled.{split}_splits."
            )
    return sorted(images.values(), key=lambda image: image.tile_id)


def _value(config: LabelledConfig, clause: str, label: str) -> str:
    return config.values.get(clause, {}).get(label.strip(), label.strip())


def _image(
    config: LabelledConfig,
    folder: Path,
    columns: Mapping[str, str],
    vocabulary: Mapping[str, Sequence[str]],
    row: Mapping[str, str | None],
    line: int,
) -> LabelledImage | str | None:
    """The image of a row, what is wrong with it, or None where its split is not used."""
    split = {**dict.fromkeys(config.held_out_splits, "held_out"), **dict.fromkeys(config.train_splits, "train")}.get(
        row["split"] or ""
    )
    if split is None:
        return None
    values = {clause: _value(config, clause, row[column] or "") for clause, column in columns.items()}
    for clause, value in values.items():
        if value not in vocabulary[clause]:
            return f"{columns[clause]} is {row[columns[clause]]!r}, which is none of {', '.join(vocabulary[clause])}"
    window = None
    if all(row.get(name) for name in ("x", "y", "size")):
        try:
            x, y, size = (int(row[name] or "") for name in ("x", "y", "size"))
        except ValueError:
            return "x, y and size must be whole numbers of pixels"
        if min(x, y) < 0 or size <= 0:
            return "x and y must not be negative, and size must be positive"
        window = (x, y, size)
    name = row.get("file") or ""
    path = config.image if config.image is not None else (folder / name).resolve()
    if config.image is None and (not name or not path.is_relative_to(folder.resolve())):
        return f"file {name!r} does not lie in the folder of the CSV"
    if not path.is_file():
        return f"there is no image {path}"
    stem = Path(name).with_suffix("").as_posix().replace("/", "-") if name else path.stem
    tile_id = stem if window is None else f"{stem}-x{window[0]}-y{window[1]}"
    group = str(row.get(config.group) or tile_id) if config.group else tile_id
    return LabelledImage(tile_id, path, window, split, values, group, line)
