"""Segmentation sets as folders: SPLIT/images and SPLIT/masks of equal names (FUSAR-Map, AIR-PolSAR-Seg).

classes.csv beside the splits says what a value of the masks means: columns value and class; an empty class is ignored.
"""

from __future__ import annotations

from pathlib import Path

from benchmark.datasets.base import DATA_SETS, IGNORED, DataSet, DataSetError, LabelledMasks, Segmentation
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import SUFFIXES, as_mask, read_picture, read_pixels


def read_segmentation_folder(root: Path) -> Segmentation:
    """Read a folder of images with masks.

    Raises:
        DataSetError: classes.csv, an image or a mask is missing or does not fit.
    """
    meaning, classes = _classes(root / "classes.csv")
    parts = {split: _part(root / split, meaning) for split in SPLITS}
    return Segmentation(classes, parts["train"], parts["test"])


def _classes(table: Path) -> tuple[dict[int, int], tuple[str, ...]]:
    if not table.is_file():
        raise DataSetError(f"There is no {table}: write a line `value,class` for each value of the masks.")
    meaning: dict[int, int] = {}
    classes: list[str] = []
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    if not lines or [part.strip() for part in lines[0].split(",")] != ["value", "class"]:
        raise DataSetError(f"{table}, line 1: the columns are value,class.")
    for number, line in enumerate(lines[1:], start=2):
        value, _, name = (part.strip() for part in line.partition(","))
        if not value.isdecimal() or int(value) > 65535 or int(value) in meaning:
            raise DataSetError(f"{table}, line {number}: {value!r} is no value of a mask, or is there twice.")
        if name and name not in classes:
            classes.append(name)
        meaning[int(value)] = classes.index(name) if name else IGNORED
    if len(classes) < 2:
        raise DataSetError(f"{table} names {len(classes)} classes; two at least can be told apart.")
    return meaning, tuple(classes)


def _part(folder: Path, meaning: dict[int, int]) -> LabelledMasks:
    images = sorted(path for path in (folder / "images").glob("*") if path.suffix.lower() in SUFFIXES)
    if not images:
        raise DataSetError(f"{folder / 'images'} has no image.")
    masks = {path.stem: path for path in (folder / "masks").glob("*") if path.suffix.lower() in SUFFIXES}
    views, read = [], []
    for path in images:
        if path.stem not in masks:
            raise DataSetError(f"The image {path} has no mask of its name in {folder / 'masks'}.")
        views.append((read_picture(path),))
        mask = read_pixels(masks[path.stem])
        if mask.shape != views[-1][0].array.shape[1:]:
            raise DataSetError(f"The mask {masks[path.stem]} has another size than its image, or several bands.")
        read.append(as_mask(mask, meaning, masks[path.stem]))
    return LabelledMasks(views, read, [path.stem for path in images])


DATA_SETS.add(
    "fusar_map",
    DataSet(
        "FUSAR-Map", "https://github.com/fudanxu/FUSAR-Map (as SPLIT/images, SPLIT/masks)", read_segmentation_folder
    ),
)
DATA_SETS.add(
    "air_polsar_seg",
    DataSet(
        "AIR-PolSAR-Seg",
        "https://github.com/AICyberTeam/AIR-PolSAR-Seg (as SPLIT/images, SPLIT/masks)",
        read_segmentation_folder,
    ),
)
