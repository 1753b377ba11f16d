"""FUSAR-Map as published: SAR_1024 and LAB_1024 of Gaofen-3 tiles, with masks in colours; or sorted into splits.

A tile PLACE_SCENE_RANGE_ROW_COLUMN_SAR_NUMBER.tif has the mask PLACE_..._Label_NUMBER.tif. The optical tiles are not
read. No split comes with the set. It is read from train.txt and test.txt where they lie beside the folders, each line a
file of SAR_1024; otherwise whole scenes are held out, as tiles of one scene touch.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmark.datasets.base import DATA_SETS, IGNORED, DataSet, DataSetError, Segmentation
from benchmark.datasets.drawn_split import held_out_groups
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import SUFFIXES
from benchmark.datasets.segmentation_folder import MarkedPlace, as_segmentation, read_segmentation_folder

IMAGES: Final = "SAR_1024"
MASKS: Final = ("LAB_1024", "Labels_1024")
CLASSES: Final = ("building", "vegetation", "water", "road")
MEANING: Final = {"#ff0000": 0, "#00ff00": 1, "#0000ff": 2, "#ffff00": 3, "#000000": IGNORED}
"""Black is what the authors gave no class."""
_NAME = re.compile(r"(?P<scene>[A-Za-z]+_\d+)_.*_?SAR_\d+$")


def read_fusar_map(root: Path) -> Segmentation:
    """Read the set as published, or as `read_segmentation_folder` takes any set.

    Raises:
        DataSetError: neither folder is there, a name or a list is not of its form, a mask is missing or does not fit.
    """
    if (root / "classes.csv").is_file():
        return read_segmentation_folder(root)
    images = sorted(path for path in (root / IMAGES).glob("*") if path.suffix.lower() in SUFFIXES)
    if not images:
        raise DataSetError(
            f"{root} has no image in {IMAGES}. It takes {IMAGES} and {MASKS[0]} as published, or classes.csv with "
            "SPLIT/images and SPLIT/masks."
        )
    folder = next((root / name for name in MASKS if (root / name).is_dir()), root / MASKS[0])
    places = [_place(path, folder) for path in images]
    lists = {split: root / f"{split}.txt" for split in SPLITS}
    if all(path.is_file() for path in lists.values()):
        parts, note = {split: _listed(lists[split], places) for split in SPLITS}, "the split of train.txt and test.txt"
        _check_apart(parts, lists["test"])
    else:
        parts, note = _by_scene(root, places), "no split came with it: whole scenes are held out by a hash"
    return as_segmentation(CLASSES, MEANING, parts, f"{note}; black pixels are not judged")


def _place(image: Path, folder: Path) -> MarkedPlace:
    match = _NAME.match(image.stem)
    if match is None:
        raise DataSetError(f"{image} is not named PLACE_SCENE_..._SAR_NUMBER, which says what scene it is of.")
    mask = folder / image.name.replace("_SAR_", "_Label_")
    if not mask.is_file():
        raise DataSetError(f"The image {image} has no mask {mask}. Copy it there, or remove the image.")
    return MarkedPlace({"unknown": image}, mask, match["scene"])


def _listed(table: Path, places: Sequence[MarkedPlace]) -> list[MarkedPlace]:
    by_name = {place.images["unknown"].name: place for place in places}
    found = []
    for number, line in enumerate(table.read_text(encoding="utf-8").splitlines(), start=1):
        if name := line.strip():
            if name not in by_name:
                raise DataSetError(f"{table}, line {number}: there is no image {name} in {IMAGES}.")
            found.append(by_name[name])
    if not found:
        raise DataSetError(f"{table} lists no image.")
    return found


def _check_apart(parts: dict[str, list[MarkedPlace]], table: Path) -> None:
    learned = {place.mask for place in parts["train"]}
    for place in parts["test"]:
        if place.mask in learned:
            raise DataSetError(f"{table}: {place.images['unknown'].name} is in train.txt too.")


def _by_scene(root: Path, places: Sequence[MarkedPlace]) -> dict[str, list[MarkedPlace]]:
    """Scenes in the order of a hash to test on, until they have 30 % of the tiles; the others to learn from."""
    scenes = [place.group for place in places]
    if len(set(scenes)) < 2:
        raise DataSetError(
            f"{root / IMAGES} has tiles of one scene. Add others, or name a split in train.txt, test.txt."
        )
    held = held_out_groups(scenes, spare_last=True)
    return {split: [place for place in places if (place.group in held) is (split == "test")] for split in SPLITS}


DATA_SETS.add(
    "fusar_map",
    DataSet(
        "FUSAR-Map",
        f"https://github.com/fudanxu/FUSAR-Map (the folders {IMAGES} and {MASKS[0]})",
        read_fusar_map,
    ),
)
