"""Segmentation sets as folders: SPLIT/images and SPLIT/masks of equal names.

classes.csv beside the splits says what a value of the masks means: columns value and class; an empty class is ignored.
A value is a number, or a colour #rrggbb where masks are coloured. A place with several polarisations has an image for
each, NAME_HH, NAME_HV, NAME_VH or NAME_VV, and one mask NAME.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmark.datasets.base import IGNORED, DataSetError, LabelledMasks, Segmentation
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import SUFFIXES, as_mask, read_picture, read_pixels
from corpus.geotiff.backscatter import Backscatter

Meaning = Mapping[int, int] | Mapping[str, int] | Mapping[int | str, int]
"""Number, or colour `#rrggbb`, in a mask -> class, or IGNORED."""
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}$")
_POLARISED = re.compile(r"(.+)_(HH|HV|VH|VV)$")


def read_segmentation_folder(root: Path) -> Segmentation:
    """Read a folder of images with masks.

    Raises:
        DataSetError: classes.csv, an image or a mask is missing or does not fit.
    """
    meaning, classes = _classes(root / "classes.csv")
    listed = {split: _listed(root / split) for split in SPLITS}
    return as_segmentation(classes, meaning, listed)


@dataclass(frozen=True)
class MarkedPlace:
    """A place as its files say it.

    Attributes:
        images: polarisation -> file.
        mask: the file with a class for every pixel.
        group: what related places share.
    """

    images: Mapping[str, Path]
    mask: Path
    group: str


def as_segmentation(
    classes: tuple[str, ...],
    meaning: Meaning,
    parts: Mapping[str, Sequence[MarkedPlace]],
    note: str = "",
) -> Segmentation:
    """Read the files of a set whose splits are known.

    Args:
        classes: names.
        meaning: of the values in a mask.
        parts: `train` and `test` -> their places.
        note: what a reader of the numbers has to know of the split.

    Raises:
        DataSetError: an image or a mask cannot be read, they do not fit, or a class is in one split only.
    """
    read = {split: _read(parts[split], meaning) for split in SPLITS}
    _check_classes(classes, read, parts)
    return Segmentation(classes, read["train"], read["test"], note=note)


def _read(places: Sequence[MarkedPlace], meaning: Meaning) -> LabelledMasks:
    views = [(_place(place.images),) for place in places]
    masks = [_mask(place.mask, meaning, view.array.shape[1:]) for place, (view,) in zip(places, views, strict=True)]
    return LabelledMasks(views, masks, [place.group for place in places])


def _check_classes(
    classes: Sequence[str], read: Mapping[str, LabelledMasks], parts: Mapping[str, Sequence[MarkedPlace]]
) -> None:
    """See that each class stands in both splits: nothing could learn it, or nothing judges it."""
    first: dict[str, dict[int, Path]] = {}
    for split in SPLITS:
        found: dict[int, Path] = {}
        for place, mask in zip(parts[split], read[split].masks, strict=True):
            for label in np.unique(mask).tolist():
                found.setdefault(label, place.mask)
        found.pop(IGNORED, None)
        if not found:
            folder = parts[split][0].mask.parent
            raise DataSetError(f"The {split} masks in {folder} have no pixel of a class; all of them are ignored.")
        first[split] = found
    for own, other in (SPLITS, SPLITS[::-1]):
        for label, path in first[own].items():
            if label not in first[other]:
                raise DataSetError(
                    f"The mask {path} has the class {classes[label]}, which no {other} mask has. Move places between "
                    f"the splits, or give the class no name in classes.csv."
                )


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


def _listed(folder: Path) -> list[MarkedPlace]:
    places = _places(folder / "images")
    if not places:
        raise DataSetError(f"{folder / 'images'} has no image.")
    masks = {path.stem: path for path in (folder / "masks").glob("*") if path.suffix.lower() in SUFFIXES}
    for name, files in places.items():
        if name not in masks:
            raise DataSetError(f"The image {next(iter(files.values()))} has no mask of its name in {folder / 'masks'}.")
    return [MarkedPlace(files, masks[name], name) for name, files in places.items()]


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


def _mask(path: Path, meaning: Meaning, shape: tuple[int, ...]) -> np.ndarray:
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
