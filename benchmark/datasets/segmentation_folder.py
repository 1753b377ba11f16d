"""Segmentation sets as folders: SPLIT/images and SPLIT/masks of equal names (FUSAR-Map, AIR-PolSAR-Seg).

classes.csv beside the splits says what a value of the masks means: columns value and class; an empty class is ignored.
A value is a number, or a colour #rrggbb where masks are coloured. A place with several polarisations has an image for
each, NAME_HH, NAME_HV, NAME_VH or NAME_VV, and one mask NAME.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from benchmark.datasets.base import DATA_SETS, IGNORED, DataSet, DataSetError, LabelledMasks, Segmentation
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import SUFFIXES, as_mask, read_picture, read_pixels
from corpus.geotiff.backscatter import Backscatter

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}$")
_POLARISED = re.compile(r"(.+)_(HH|HV|VH|VV)$")


def read_segmentation_folder(root: Path) -> Segmentation:
    """Read a folder of images with masks.

    Raises:
        DataSetError: classes.csv, an image or a mask is missing or does not fit.
    """
    meaning, classes = _classes(root / "classes.csv")
    parts = {split: _part(root / split, meaning) for split in SPLITS}
    return Segmentation(classes, parts["train"], parts["test"])


def _classes(table: Path) -> tuple[dict[int | str, int], tuple[str, ...]]:
    """Number or colour in a mask -> class, or IGNORED; and the classes."""
    if not table.is_file():
        raise DataSetError(f"There is no {table}: write a line `value,class` for each value of the masks.")
    meaning: dict[int | str, int] = {}
    classes: list[str] = []
    lines = table.read_text(encoding="utf-8-sig").splitlines()
    if not lines or [part.strip() for part in lines[0].split(",")] != ["value", "class"]:
        raise DataSetError(f"{table}, line 1: the columns are value,class.")
    for number, line in enumerate(lines[1:], start=2):
        text, _, name = (part.strip() for part in line.partition(","))
        value = text.lower() if _COLOUR.match(text) else int(text) if text.isdecimal() else None
        if value is None or (isinstance(value, int) and value > 65535) or value in meaning:
            raise DataSetError(f"{table}, line {number}: {text!r} is no value of a mask, or is there twice.")
        if name and name not in classes:
            classes.append(name)
        meaning[value] = classes.index(name) if name else IGNORED
    if len({type(value) for value in meaning}) > 1:
        raise DataSetError(f"{table} has numbers and colours; masks have one or the other.")
    if len(classes) < 2:
        raise DataSetError(f"{table} names {len(classes)} classes; two at least can be told apart.")
    return meaning, tuple(classes)


def _part(folder: Path, meaning: Mapping[int | str, int]) -> LabelledMasks:
    places = _places(folder / "images")
    if not places:
        raise DataSetError(f"{folder / 'images'} has no image.")
    masks = {path.stem: path for path in (folder / "masks").glob("*") if path.suffix.lower() in SUFFIXES}
    views, read = [], []
    for name, files in places.items():
        if name not in masks:
            raise DataSetError(f"The image {next(iter(files.values()))} has no mask of its name in {folder / 'masks'}.")
        views.append((_place(files),))
        read.append(_mask(masks[name], meaning, views[-1][0].array.shape[1:]))
    return LabelledMasks(views, read, list(places))


def _places(folder: Path) -> dict[str, dict[str, Path]]:
    """Name of a place -> polarisation -> file; the polarisation of a place with one image is not known."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES):
        match = _POLARISED.match(path.stem)
        name, polarisation = match.groups() if match else (path.stem, "unknown")
        found.setdefault(name, {})[polarisation] = path
    return found


def _place(files: Mapping[str, Path]) -> Backscatter:
    pictures = [read_picture(path) for path in files.values()]
    if len({picture.array.shape for picture in pictures}) > 1:
        raise DataSetError(f"{', '.join(path.name for path in files.values())} have different sizes.")
    array = np.concatenate([picture.array for picture in pictures])
    return Backscatter(array, tuple(files), calibrated=False)


def _mask(path: Path, meaning: Mapping[int | str, int], shape: tuple[int, ...]) -> np.ndarray:
    pixels = read_pixels(path)
    if coloured := isinstance(next(iter(meaning)), str):
        if pixels.ndim != 3:
            raise DataSetError(f"The mask {path} has no colours, as classes.csv says.")
        pixels = (pixels[..., :3].astype(np.int64) << np.array([16, 8, 0])).sum(axis=2)
    if pixels.shape != shape:
        raise DataSetError(f"The mask {path} has another size than its image, or several bands.")
    codes = {int(value[1:], 16) if isinstance(value, str) else value: label for value, label in meaning.items()}
    if coloured and (unknown := sorted(set(np.unique(pixels).tolist()) - set(codes))):
        known = ", ".join(map(str, meaning))
        raise DataSetError(f"The mask {path} has the colour #{unknown[0]:06x}; it takes {known}. Is it the right file?")
    return as_mask(pixels, codes, path)


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
