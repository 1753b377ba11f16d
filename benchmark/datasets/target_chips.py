"""Chips of one target each: MSTAR, SAR-ACD, FUSAR-Ship."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from benchmark.datasets.base import DATA_SETS, Classification, DataSet
from benchmark.datasets.image_folder import read_image_folder, read_rows
from benchmark.datasets.pictures import cut_centre
from corpus.geotiff.backscatter import Backscatter

MSTAR_SIDE = 64
"""Pixels around the target: the clutter further out tells classes apart without any target in it."""
RIM = 24
"""Rows at the upper and the lower edge of a chip that show clutter alone."""


def read_mstar(root: Path) -> Classification:
    """MSTAR folders, train and test by depression angle; the middle of each chip. Errors as `read_image_folder`."""
    return read_image_folder(root, cut=partial(cut_centre, side=MSTAR_SIDE))


def read_mstar_rim(root: Path) -> Classification:
    """The upper and lower rows of the same chips, where no target is. Errors as `read_image_folder`."""
    return read_image_folder(root, cut=_rim)


def _rim(chip: Backscatter) -> Backscatter:
    rows = np.concatenate([chip.array[:, :RIM], chip.array[:, -RIM:]], axis=1)
    return Backscatter(rows, chip.polarisations, chip.calibrated)


def read_sar_acd(root: Path) -> Classification:
    """SAR-ACD by near-duplicate group where labels.csv names groups, or as published: images/CLASS.

    Errors as `read_image_folder`.
    """
    if (root / "labels.csv").is_file():
        return read_image_folder(root, group_column="near_duplicate_group")
    data = read_image_folder(root / "images" if (root / "images").is_dir() else root)
    # Of the published files 96 % have a twin: the nearest neighbour is right in .84 of a random split, .51 by group.
    return replace(data, note=f"{data.note or 'no groups of near duplicates'}; most files of SAR-ACD have a twin")


def read_fusar_ship(root: Path) -> Classification:
    """FUSAR-Ship as published: CLASS/SUBCLASS/Ship_CxxSyyNzzzz.tiff, by ship where meta.csv says which one it is.

    meta.csv has the columns id (the file's name) and mmsi (the ship), with commas or tabs between them. A ship is in
    one split only. Chips that it does not list show no ship of a known name.

    Raises:
        DataSetError: meta.csv lacks a column, or as `read_image_folder`.
    """
    table = root / "meta.csv"
    if not table.is_file():
        return read_image_folder(root)
    ships = {row["id"].removesuffix(".tiff"): row["mmsi"] for _, row in read_rows(table, ("id", "mmsi"))}
    data = read_image_folder(root, group_of=lambda path: ships.get(path.stem, ""))
    return replace(data, note=data.note.replace("the groups", "the ships"))


_MSTAR = "https://www.sdms.afrl.af.mil (MSTAR public targets), as train/CLASS and test/CLASS of images"
DATA_SETS.add("mstar_soc", DataSet("mstar_soc", _MSTAR, read_mstar))
DATA_SETS.add("mstar_soc_rim", DataSet("mstar_soc", _MSTAR, read_mstar_rim, "real, control: target masked"))
DATA_SETS.add("sar_acd", DataSet("sar_acd", "https://github.com/AICyberTeam/SAR-ACD", read_sar_acd))
DATA_SETS.add(
    "fusar_ship",
    DataSet("FUSAR-Ship1.0", "https://radars.ac.cn/web/data/getData?dataType=FUSAR (FUSAR-Ship1.0)", read_fusar_ship),
)
