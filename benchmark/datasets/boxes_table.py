"""boxes.csv: file, split, class, xmin, ymin, xmax, ymax."""

from __future__ import annotations

from pathlib import Path

from benchmark.datasets.base import DataSetError
from benchmark.datasets.boxes import Boxes, MarkedImage, MarkedObject, checked, image_file
from benchmark.datasets.image_folder import SPLITS, read_rows

TABLE = "boxes.csv"
_SIDES = ("xmin", "ymin", "xmax", "ymax")


def read_box_table(root: Path) -> Boxes:
    """Read a folder with boxes.csv and images anywhere below it.

    Raises:
        DataSetError: as `benchmark.datasets.boxes` says.
    """
    table = root / TABLE
    if not table.is_file():
        raise DataSetError(f"{root} has no {TABLE}.")
    own: dict[tuple[str, str], list[MarkedObject]] = {}
    for line, row in read_rows(table, ("file", "split", "class", *_SIDES)):
        where = f"{table}, line {line}"
        if row["split"] not in SPLITS:
            raise DataSetError(f"{where}: split is {row['split']!r}; it takes train or test.")
        own.setdefault((row["split"], row["file"]), []).append(row_object(row, where))
    parts = {
        split: [
            MarkedImage(image_file(root, root / name, objects[0].where), objects, objects[0].where)
            for (part, name), objects in own.items()
            if part == split
        ]
        for split in SPLITS
    }
    return checked(root, parts)


def row_object(row: dict[str, str], where: str) -> MarkedObject:
    """The object of one line.

    Raises:
        DataSetError: a side of its box is no number.
    """
    try:
        left, top, right, bottom = (float(row[side]) for side in _SIDES)
    except ValueError as error:
        raise DataSetError(f"{where}: the sides of a box are numbers.") from error
    return MarkedObject(where, row["class"], (left, top, right, bottom))
