"""AIR-PolSAR-Seg as published: train_set and test_set of Gaofen-3 places in four polarisations, with masks in colours.

A place NAME has NAME_HH.tiff, NAME_HV.tiff, NAME_VH.tiff, NAME_VV.tiff and NAME_gt.png, all in the folder of its split
or sorted below it (images/HH, ..., labels).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from benchmark.datasets.base import DATA_SETS, IGNORED, DataSet, DataSetError, Segmentation
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import SUFFIXES
from benchmark.datasets.segmentation_folder import MarkedPlace, as_segmentation, read_segmentation_folder

FOLDER: Final = "{split}_set"
POLARISATIONS: Final = ("HH", "HV", "VH", "VV")
CLASSES: Final = ("industrial area", "natural area", "land use area", "water area", "other area", "housing area")
MEANING: Final = {
    **{"#0000ff": 0, "#00ff00": 1, "#ff0000": 2, "#00ffff": 3, "#ffffff": 4, "#ffff00": 5},
    "#000000": IGNORED,
}
_FILE = re.compile(rf"(.+)_({'|'.join(POLARISATIONS)}|gt)$")


def read_air_polsar_seg(root: Path) -> Segmentation:
    """Read the set as published, or as `read_segmentation_folder` takes any set.

    Raises:
        DataSetError: a split, a polarisation or a mask is missing, or they do not fit.
    """
    if (root / "classes.csv").is_file():
        return read_segmentation_folder(root)
    parts = {split: _places(root / FOLDER.format(split=split)) for split in SPLITS}
    return as_segmentation(CLASSES, MEANING, parts, "the split of its authors; black pixels are not judged")


def _places(folder: Path) -> list[MarkedPlace]:
    files: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.rglob("*")):
        match = _FILE.match(path.stem)
        if match and path.suffix.lower() in SUFFIXES:
            files.setdefault(match[1], {})[match[2]] = path
    if not files:
        raise DataSetError(
            f"{folder} has no NAME_HH.tiff. It takes train_set and test_set as published, or classes.csv with "
            "SPLIT/images and SPLIT/masks."
        )
    for name, own in files.items():
        if missing := [kind for kind in (*POLARISATIONS, "gt") if kind not in own]:
            known = next(iter(own.values()))
            raise DataSetError(f"{known}: there is no {name}_{missing[0]} of the same place below {folder}.")
    return [MarkedPlace({kind: own[kind] for kind in POLARISATIONS}, own["gt"], name) for name, own in files.items()]


DATA_SETS.add(
    "air_polsar_seg",
    DataSet(
        "AIR-PolSAR-Seg",
        "https://github.com/AICyberTeam/AIR-PolSAR-Seg (the folders train_set and test_set)",
        read_air_polsar_seg,
    ),
)
