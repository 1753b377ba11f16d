"""Classification sets as folders: SPLIT/CLASS/image, CLASS/image, or a labels.csv that says both.

MSTAR comes as train/CLASS and test/CLASS, SAR-ACD as CLASS, FUSAR-Ship as CLASS/SUBCLASS.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmark.datasets.base import Classification, DataSetError, LabelledImages
from benchmark.datasets.drawn_split import side_of
from benchmark.datasets.pictures import SUFFIXES, read_picture
from corpus.geotiff.backscatter import Backscatter

LABELS = "labels.csv"
SPLITS = ("train", "test")


@dataclass(frozen=True)
class _Entry:
    """One image: its file, and what names it in messages."""

    path: Path
    split: str
    name: str
    group: str
    where: str


def read_image_folder(
    root: Path,
    *,
    group_column: str = "",
    cut: Callable[[Backscatter], Backscatter] | None = None,
    group_of: Callable[[Path], str] | None = None,
) -> Classification:
    """Read a folder of classified images.

    All that can be wrong with labels and files is found before the first image is decoded.

    Args:
        root: folder with labels.csv (columns file, split, class), or with train/CLASS and test/CLASS, or with CLASS
            alone, of which 30 % become the test set by a hash of each group, or of each file's content.
        group_column: column of labels.csv that names related images; "": every image is a group of its own.
        cut: what is done to each image.
        group_of: group of an image of a folder with CLASS alone; "": it is related to none; None: none is.

    Raises:
        DataSetError: a label file without its columns, a missing or unreadable image, a split without images, a class
            that only one split has, a group that both splits have.
    """
    note = ""
    if (root / LABELS).is_file():
        entries = _from_labels(root, group_column)
    elif any((root / split).is_dir() for split in SPLITS):
        entries = [entry for split in SPLITS for entry in _from_classes(root / split, lambda _, split=split: split)]
    else:
        entries, note = _drawn(root, group_of)
    check_splits(root, entries, group_column)
    classes = tuple(sorted({entry.name for entry in entries}))
    train, test = (_load([entry for entry in entries if entry.split == split], classes, cut) for split in SPLITS)
    return Classification(classes, train, test, note)


def check_splits(root: Path, entries: Sequence[_Entry], group_column: str = "") -> None:
    """See that train and test fit together.

    Raises:
        DataSetError: an empty split, a class of one split only, a group in both.
    """
    classes = {split: {entry.name for entry in entries if entry.split == split} for split in SPLITS}
    for split in SPLITS:
        if not classes[split]:
            raise DataSetError(f"{root} has no {split} images. Add some, or correct what names the splits.")
    if classes["train"] != classes["test"]:
        only = sorted(classes["train"] ^ classes["test"])
        raise DataSetError(
            f"The classes of {root} differ between its splits: {', '.join(only)} are in one of train and test only. "
            "Add images of them to the other, or remove them."
        )
    if group_column:
        sides: dict[str, _Entry] = {}
        for entry in entries:
            first = sides.setdefault(entry.group, entry)
            if first.split != entry.split:
                raise DataSetError(
                    f"{entry.where}: {group_column} {entry.group} is in {entry.split}, and in {first.split} too "
                    f"({first.where}). Related images belong to one split."
                )


def read_rows(path: Path, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """(line, row) of a CSV that must have certain columns. A tab in its first line separates them in place of a comma.

    Raises:
        DataSetError: it is no CSV in UTF-8, lacks a column, or a line has no value in one.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if "\t" in file.readline() else ","
            file.seek(0)
            reader = csv.DictReader(file, strict=True, delimiter=delimiter)
            missing = [column for column in columns if column not in (reader.fieldnames or ())]
            if missing:
                raise DataSetError(f"{path}, line 1: the column(s) {', '.join(missing)} are missing.")
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataSetError(f"{path} is no CSV in UTF-8: {error}. Save it as such.") from error
    for line, row in rows:
        for column in columns:
            if not row[column]:
                raise DataSetError(f"{path}, line {line}: {column} is empty.")
    return rows


def _from_labels(root: Path, group_column: str) -> list[_Entry]:
    table = root / LABELS
    columns = ["file", "split", "class", *([group_column] if group_column else [])]
    entries = []
    for line, row in read_rows(table, columns):
        where = f"{table}, line {line}"
        if row["split"] not in SPLITS:
            raise DataSetError(f"{where}: split is {row['split']!r}; it takes train or test.")
        path = root / row["file"]
        if not path.resolve().is_relative_to(root.resolve()):
            raise DataSetError(f"{where}: {row['file']} leads out of {root}.")
        if not path.is_file():
            raise DataSetError(f"{where}: there is no image {path}. Copy it there, or remove the line.")
        group = row[group_column] if group_column else row["file"]
        entries.append(_Entry(path, row["split"], row["class"], group, where))
    return entries


def _from_classes(root: Path, split_of: Callable[[Path], str]) -> list[_Entry]:
    entries = []
    for folder in sorted(path for path in root.iterdir() if path.is_dir()) if root.is_dir() else ():
        for path in sorted(folder.rglob("*")):
            if path.suffix.lower() in SUFFIXES:
                entries.append(_Entry(path, split_of(path), folder.name, str(path), str(path)))
    return entries


def _drawn(root: Path, group_of: Callable[[Path], str] | None) -> tuple[list[_Entry], str]:
    """Images without a split, drawn into one; classes that one side alone has got are left out."""

    def side(path: Path) -> str:
        group = group_of(path) if group_of is not None else ""
        return side_of(group.encode() if group else path.read_bytes())

    entries = _from_classes(root, side)
    if group_of is not None:
        entries = [replace(entry, group=group_of(entry.path) or entry.group) for entry in entries]
    sides = {split: {entry.name for entry in entries if entry.split == split} for split in SPLITS}
    alone = sorted(sides["train"] ^ sides["test"])
    related = "groups" if group_of is not None else "files"
    note = f"no split came with it: 30 % of the {related} by a hash"
    note += "" if group_of is not None else " of their content; near duplicates may leak"
    if alone:
        note += f"; left out, as one side alone had them: {', '.join(alone)}"
    return [entry for entry in entries if entry.name not in alone], note


def _load(
    entries: Sequence[_Entry], classes: tuple[str, ...], cut: Callable[[Backscatter], Backscatter] | None
) -> LabelledImages:
    number = {name: index for index, name in enumerate(classes)}
    whole = (read_picture(entry.path, entry.where) for entry in entries)
    images = [image if cut is None else cut(image) for image in whole]
    labels = np.array([number[entry.name] for entry in entries], np.int64)
    return LabelledImages(images, labels, [entry.group for entry in entries])
