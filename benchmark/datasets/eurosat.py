"""EuroSAT-S1: patches of Sentinel-1 on the places of EuroSAT, as Copernicus-Bench publishes them.

`eurosat-train.txt` and `eurosat-test.txt` have a line CLASS_NUMBER.jpg for each patch, which lies at
all_imgs/CLASS/CLASS_NUMBER.tif with the bands VV and VH in dB.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from benchmark.datasets.base import DATA_SETS, Classification, DataSet, DataSetError, LabelledImages
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.rasters import read_decibels

_POLARISATIONS: Final = ("VV", "VH")
_IMAGES: Final = "all_imgs"


def read_eurosat(root: Path) -> Classification:
    """Read a folder of EuroSAT-S1.

    Raises:
        DataSetError: a list is missing, a line names no patch, a patch is missing, classes differ between the splits.
    """
    lines = {split: _listed(root, split) for split in SPLITS}
    names = {split: {name for _, name, _ in entries} for split, entries in lines.items()}
    if different := sorted(names["train"] ^ names["test"]):
        raise DataSetError(
            f"The classes of {root} differ between its splits: {', '.join(different)} are in one of "
            f"{_list_of('train')} and {_list_of('test')} only."
        )
    if both := {path for _, _, path in lines["train"]} & {path for _, _, path in lines["test"]}:
        raise DataSetError(f"{root}: {min(both).name} is in {_list_of('train')} and in {_list_of('test')}.")
    classes = tuple(sorted(names["train"]))
    train, test = (
        LabelledImages(
            [read_decibels([path], _POLARISATIONS, where) for where, _, path in lines[split]],
            np.array([classes.index(name) for _, name, _ in lines[split]], np.int64),
            [path.stem for _, _, path in lines[split]],
        )
        for split in SPLITS
    )
    return Classification(classes, train, test, "official split; neighbouring patches can be on both sides")


def _listed(root: Path, split: str) -> list[tuple[str, str, Path]]:
    """(where it is named, class, file) of each patch of a split."""
    table = root / _list_of(split)
    if not table.is_file():
        raise DataSetError(f"There is no {table}: a line CLASS_NUMBER.jpg for each patch.")
    found = []
    for line, text in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), start=1):
        if not (name := text.strip()):
            continue
        where = f"{table}, line {line}"
        stem = name.rpartition(".")[0] or name
        label, _, number = stem.rpartition("_")
        if not label or "/" in stem or not number.isdecimal():
            raise DataSetError(f"{where}: {name!r} is not of the form CLASS_NUMBER.jpg.")
        path = root / _IMAGES / label / f"{stem}.tif"
        if not path.is_file():
            raise DataSetError(f"{where}: there is no image {path}. Copy it there, or remove the line.")
        found.append((where, label, path))
    if not found:
        raise DataSetError(f"{table} names no patch.")
    return found


def _list_of(split: str) -> str:
    return f"eurosat-{split}.txt"


DATA_SETS.add(
    "eurosat_s1",
    DataSet(
        "eurosat_s1",
        "https://huggingface.co/datasets/wangyi111/Copernicus-Bench (l2_eurosat_s1s2/eurosat_s1.zip)",
        read_eurosat,
    ),
)
