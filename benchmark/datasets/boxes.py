"""Boxes of objects in images as their files say them, and what is refused of them.

Labels are checked whole before an image is decoded: a box outside its image, an image that is missing or stands in both
splits, a path that leads out of the folder, a class that only one split has, and an empty test set are errors with file
and line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from benchmark.datasets.base import DataSetError
from benchmark.datasets.detection import Detection, LabelledBoxes, ReadWhenAsked
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import read_picture

_TOLERANCE_PX = 1.0  # the formats differ in whether the last pixel counts


@dataclass(frozen=True)
class MarkedObject:
    """An object as its file says it.

    Attributes:
        where: file and line.
        label: name of its class.
        box: left, top, right, bottom in pixels.
    """

    where: str
    label: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class MarkedImage:
    """An image as its files say it.

    Attributes:
        path: the file.
        objects: in it; none: it shows nothing that the set looks for.
        where: file and line that name the image.
    """

    path: Path
    objects: Sequence[MarkedObject]
    where: str


@dataclass(frozen=True)
class BoxedImage:
    """An image and its objects.

    Attributes:
        path: the file.
        shape: height and width in pixels.
        boxes: float64 [n, 4]: left, top, right, bottom in pixels.
        labels: n names of classes.
    """

    path: Path
    shape: tuple[int, int]
    boxes: np.ndarray
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Boxes:
    """A detection data set.

    Attributes:
        classes: names, sorted.
        train: images to learn from.
        test: images to judge on.
    """

    classes: tuple[str, ...]
    train: tuple[BoxedImage, ...]
    test: tuple[BoxedImage, ...]


def as_detection(boxes: Boxes, note: str = "") -> Detection:
    """Boxes as the benchmark takes them; pictures are read when they are asked for, each a group of its own."""
    number = {name: index for index, name in enumerate(boxes.classes)}

    def part(images: Sequence[BoxedImage]) -> LabelledBoxes:
        return LabelledBoxes(
            ReadWhenAsked([partial(read_picture, image.path) for image in images]),
            [image.shape for image in images],
            [image.boxes for image in images],
            [np.array([number[label] for label in image.labels], np.int64) for image in images],
            [str(image.path) for image in images],
        )

    return Detection(boxes.classes, part(boxes.train), part(boxes.test), note)


def checked(root: Path, parts: Mapping[str, Sequence[MarkedImage]]) -> Boxes:
    """A data set whose splits fit together.

    Args:
        root: its folder.
        parts: split -> its images.

    Raises:
        DataSetError: as the module says.
    """
    for split in SPLITS:
        if not any(image.objects for image in parts[split]):
            raise DataSetError(f"{root} has no {split} image with an object.")
    _check_classes(parts)
    seen: dict[Path, str] = {}
    for split in SPLITS:
        for image in parts[split]:
            before = seen.setdefault(image.path.resolve(), image.where)
            if before is not image.where:
                raise DataSetError(f"{image.where}: the image {image.path} is there twice, first in {before}.")
    classes = sorted({o.label for image in parts["train"] for o in image.objects})
    return Boxes(tuple(classes), *(tuple(boxed(image) for image in parts[split]) for split in SPLITS))


def _check_classes(parts: Mapping[str, Sequence[MarkedImage]]) -> None:
    first = {split: {o.label: o.where for i in reversed(parts[split]) for o in reversed(i.objects)} for split in SPLITS}
    for own, other, why in (("test", "train", "nothing can learn it"), ("train", "test", "nothing judges it")):
        if only := sorted(first[own].keys() - first[other].keys()):
            raise DataSetError(
                f"{first[own][only[0]]}: the class {only[0]} is in {own} only; {why}. Add objects of it to {other}, or "
                "remove it."
            )


def boxed(image: MarkedImage) -> BoxedImage:
    """An image whose boxes lie inside it.

    Raises:
        DataSetError: a box does not, or the picture cannot be read.
    """
    width, height = _size(image.path, image.where)
    for o in image.objects:
        left, top, right, bottom = o.box
        inside = (
            min(left, top) >= -_TOLERANCE_PX and right <= width + _TOLERANCE_PX and bottom <= height + _TOLERANCE_PX
        )
        if not inside or not (min(right, width) > max(left, 0) and min(bottom, height) > max(top, 0)):
            raise DataSetError(
                f"{o.where}: the box {left:g}, {top:g}, {right:g}, {bottom:g} is empty or leaves its image of "
                f"{width} x {height} pixels ({image.path.name})."
            )
    boxes = np.array([o.box for o in image.objects], np.float64).reshape(-1, 4)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    return BoxedImage(image.path, (height, width), boxes, tuple(o.label for o in image.objects))


def inside(root: Path, path: Path, where: str) -> Path:
    """A file below a folder.

    Raises:
        DataSetError: the path leads out of it.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataSetError(f"{where}: {path} leads out of {root}.")
    return path


def image_file(root: Path, path: Path, where: str) -> Path:
    """An image below a folder.

    Raises:
        DataSetError: the path leads out of the folder, or there is no such file.
    """
    if not inside(root, path, where).is_file():
        raise DataSetError(f"{where}: there is no image {path}. Copy it there, or remove its entry.")
    return path


def _size(path: Path, where: str) -> tuple[int, int]:
    try:
        with Image.open(path) as picture:
            return picture.size
    except (UnidentifiedImageError, OSError, Image.DecompressionBombError) as error:
        raise DataSetError(f"{where}: {path} is no picture that can be read: {error}.") from error
