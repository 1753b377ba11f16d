"""BigEarthNet-S1: patches of Sentinel-1 in dB, a file for VV and one for VH, with several labels each.

The labels come from metadata.parquet of the second release, or from the JSON file beside each patch of the first. The
split is that of metadata.parquet, or of train.csv and test.csv, which list patches. Without either, whole acquisitions
are held out. Of a set as large as the public one a part is drawn by a hash.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmark.datasets.base import DATA_SETS, DataSet, DataSetError, LabelledImages, SeveralLabels
from benchmark.datasets.drawn_split import held_out_groups
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.rasters import read_decibels

METADATA: Final = "metadata.parquet"
MOST: Final = {"train": 10_000, "test": 5_000}
"""Patches that are read of a split."""
_POLARISATIONS: Final = ("VV", "VH")
_LABELS: Final = "_labels_metadata.json"


@dataclass(frozen=True)
class _Patch:
    """One patch: its name, labels, and the acquisition that it was cut from."""

    name: str
    labels: tuple[str, ...]
    scene: str
    split: str = ""


def read_bigearthnet(root: Path) -> SeveralLabels:
    """Read a folder of BigEarthNet-S1, with patches anywhere below it.

    Classes that only one split has are left out.

    Raises:
        DataSetError: no labels, a patch without its files, an empty split, or no class that both splits have.
    """
    folders = {path.name.removesuffix("_VV.tif"): path.parent for path in sorted(root.rglob("*_VV.tif"))}
    if (root / METADATA).is_file():
        patches, note = _from_metadata(root / METADATA), ""
    else:
        patches, note = _from_json(root, folders)
    parts = {split: _drawn([each for each in patches if each.split == split], MOST[split]) for split in SPLITS}
    for split, part in parts.items():
        if not part:
            raise DataSetError(
                f"{root} has no {split} patches with labels. Add some, or correct what names the splits."
            )
    found = {split: {label for patch in part for label in patch.labels} for split, part in parts.items()}
    classes = tuple(sorted(found["train"] & found["test"]))
    if not classes:
        raise DataSetError(f"No label of {root} is in both of its splits: nothing that is learned can be judged.")
    if left := len(found["train"] ^ found["test"]):
        note = "; ".join([*([note] if note else []), f"{left} labels that one split alone has are left out"])
    train, test = (_load(root, parts[split], folders) for split in SPLITS)
    train_has, test_has = (
        np.array([[name in patch.labels for name in classes] for patch in parts[split]], bool) for split in SPLITS
    )
    return SeveralLabels(classes, train, test, train_has, test_has, note)


def read_bigearthnet_sample(root: Path) -> SeveralLabels:
    """A few patches, to see that the format is read: no interval. Errors as `read_bigearthnet`."""
    data = read_bigearthnet(root)
    note = f"format only: {len(data.train)} patches to learn from and {len(data.test)} to judge; {data.note}"
    return replace(data, test=replace(data.test, groups=["all"] * len(data.test)), note=note)


def _from_metadata(table: Path) -> list[_Patch]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = ["s1_name", "labels", "split"]
    try:
        rows = pq.read_table(table, columns=columns).to_pylist()
    except (pa.ArrowInvalid, OSError, KeyError) as error:
        raise DataSetError(f"{table} must be Parquet with the columns {', '.join(columns)}: {error}.") from error
    return [
        _Patch(row["s1_name"], tuple(row["labels"]), _scene(row["s1_name"]), row["split"])
        for row in rows
        if row["split"] in SPLITS
    ]


def _from_json(root: Path, folders: Mapping[str, Path]) -> tuple[list[_Patch], str]:
    """Patches of the first release with their splits, and what is to say of these."""
    patches = []
    for name, folder in folders.items():
        file = folder / f"{name}{_LABELS}"
        if not file.is_file():
            continue  # the public set has some whose labels are missing
        try:
            content: Any = json.loads(file.read_text(encoding="utf-8"))
            patches.append(_Patch(name, tuple(content["labels"]), _scene(name)))
        except (ValueError, KeyError, TypeError) as error:
            raise DataSetError(f"{file} has no list of labels: {error}. Copy the file again.") from error
    if not patches:
        raise DataSetError(f"{root} has neither {METADATA} nor a patch with NAME_VV.tif and NAME{_LABELS}.")
    lists = {split: root / f"{split}.csv" for split in SPLITS}
    if all(path.is_file() for path in lists.values()):
        split_of = {name: split for split, path in lists.items() for name in _listed(path, folders)}
        return [replace(patch, split=split_of[patch.name]) for patch in patches if patch.name in split_of], ""
    return _by_scene(patches), "no split came with it: whole acquisitions are held out"


def _listed(path: Path, folders: Mapping[str, Path]) -> list[str]:
    """Names of patches in a list of the first release: a line names the patch of Sentinel-2 and that of Sentinel-1."""
    names = []
    with open(path, encoding="utf-8-sig", newline="") as file:
        for line, row in enumerate(csv.reader(file), start=1):
            if not any(row):
                continue
            name = next((cell for cell in row if cell.startswith("S1")), None)
            if name is None:
                raise DataSetError(f"{path}, line {line}: it names no patch of Sentinel-1 (S1A_... or S1B_...).")
            if name not in folders:
                raise DataSetError(
                    f"{path}, line {line}: there is no {name}_VV.tif. Copy it there, or remove the line."
                )
            names.append(name)
    return names


def _by_scene(patches: Sequence[_Patch]) -> list[_Patch]:
    """Acquisitions in the order of a hash are held out until 30 % of the patches are."""
    held = held_out_groups([patch.scene for patch in patches])
    return [replace(patch, split="test" if patch.scene in held else "train") for patch in patches]


def _drawn(patches: Iterable[_Patch], most: int) -> list[_Patch]:
    """At most so many patches, by a hash of their names."""
    return sorted(patches, key=lambda patch: _hash(patch.name))[:most]


def _load(root: Path, patches: Sequence[_Patch], folders: Mapping[str, Path]) -> LabelledImages:
    images = []
    for patch in patches:
        if patch.name not in folders:
            raise DataSetError(f"{root}: there is no {patch.name}_VV.tif, which {METADATA} names. Copy it there.")
        files = [folders[patch.name] / f"{patch.name}_{name}.tif" for name in _POLARISATIONS]
        images.append(read_decibels(files, _POLARISATIONS))
    return LabelledImages(images, np.arange(len(images)), [patch.scene for patch in patches])


def _scene(name: str) -> str:
    """The acquisition in a patch's name: S1A_IW_GRDH_1SDV_TIME_GRID_ROW_COLUMN."""
    return name.split("_")[4] if name.count("_") >= 4 else name


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


_SOURCE = "https://bigearth.net (BigEarthNet-S1, with metadata.parquet)"
DATA_SETS.add("bigearthnet_s1", DataSet("BigEarthNet-S1", _SOURCE, read_bigearthnet))
DATA_SETS.add(
    "bigearthnet_s1_sample",
    DataSet(
        "bigearthnet_s1",
        "https://pypi.org/project/bigearthnet-common (example patches)",
        read_bigearthnet_sample,
        "real, 9 patches: format only",
    ),
)
