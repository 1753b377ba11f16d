"""OMBRIA: floods in Sentinel-1, after and before, PNG files of 256 x 256 pixels.

The official test set is cut from the scenes of its training set. So two splits are offered: other events (2021), and
other areas.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from benchmark.datasets.base import DATA_SETS, DataSet, DataSetError, LabelledMasks, Segmentation
from benchmark.datasets.image_folder import LABELS, read_rows
from benchmark.datasets.pictures import as_mask, read_picture, read_pixels

CLASSES = ("other", "flood")
_SOURCE = "https://github.com/geodrak/OMBRIA"
_TEST_AREAS = 0.25


def read_by_event(root: Path) -> Segmentation:
    """Train on `train`, test on the events of 2021. Errors as `_read`."""
    rows = _rows(root)
    note = (
        "test events of 2021 are in no other split; permanent water is no flood, and some masks do not follow the SAR"
    )
    train, test = ([row for row in rows if row[1]["split"] == split] for split in ("train", "test_2021"))
    return _read(root, train, test, note)


def read_by_area(root: Path) -> Segmentation:
    """A quarter of the areas of the official train and test sets to test on, by a hash of their names."""
    rows = [row for row in _rows(root) if row[1]["split"] in ("train", "test")]

    def held_out(area: str) -> bool:
        return hashlib.sha256(area.encode()).digest()[0] < 256 * _TEST_AREAS

    train, test = ([row for row in rows if held_out(row[1]["area"]) is side] for side in (False, True))
    return _read(root, train, test, "areas of the test set are in no other split; the official split leaks")


def _rows(root: Path) -> list[tuple[int, dict[str, str]]]:
    if not (root / LABELS).is_file():
        raise DataSetError(f"{root} has no {LABELS} with the columns id, split, area: areas keep the splits apart.")
    return read_rows(root / LABELS, ("id", "split", "area"))


def _read(
    root: Path, train: Sequence[tuple[int, dict[str, str]]], test: Sequence[tuple[int, dict[str, str]]], note: str
) -> Segmentation:
    for name, rows in (("training", train), ("test", test)):
        if not rows:
            raise DataSetError(f"{root / LABELS} lists no {name} image.")
    return Segmentation(CLASSES, _masks(root, train), _masks(root, test), "flood", note)


def _masks(root: Path, rows: Sequence[tuple[int, dict[str, str]]]) -> LabelledMasks:
    views, masks = [], []
    for line, row in rows:
        where = f"{root / LABELS}, line {line}"
        files = {kind: root / row["split"] / kind / f"{row['id']}.png" for kind in ("after", "before", "mask")}
        views.append((read_picture(files["after"], where), read_picture(files["before"], where)))
        mask = read_pixels(files["mask"], where)
        if mask.shape != views[-1][0].array.shape[1:]:
            raise DataSetError(f"{where}: the mask {files['mask']} has another size than its image.")
        masks.append(as_mask(mask, {0: 0, 255: 1}, files["mask"]))
    return LabelledMasks(views, masks, [row["area"] for _, row in rows])


DATA_SETS.add("ombria_2021", DataSet("ombria_s1_flood", _SOURCE, read_by_event))
DATA_SETS.add("ombria_by_area", DataSet("ombria_s1_flood", _SOURCE, read_by_area))
