"""Images and captions in JSON: COCO captions, or a list of records with an image and a caption.

captions.json beside the images is either COCO's ({"images": [{"id", "file_name"}], "annotations": [{"image_id",
"caption"}]}) or a list of {"image", "caption"}. Of an image with several captions the first counts.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmark.datasets.base import DATA_SETS, DataSet, DataSetError, Pairs
from benchmark.datasets.pictures import read_picture

FILE = "captions.json"
_FOLDERS = ("", "images")
_LEAST = 2


def read_image_text(root: Path) -> Pairs:
    """Read a folder with captions.json; images lie beside it, or in `images`.

    Raises:
        DataSetError: no such file, a record without image or caption, a missing image, fewer than two pairs.
    """
    table = root / FILE
    try:
        content: Any = json.loads(table.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataSetError(
            f"There is no {table}: COCO captions, or a list of records with image and caption."
        ) from error
    except ValueError as error:
        raise DataSetError(f"{table} is no JSON: {error}.") from error
    records = _coco(content, table) if isinstance(content, dict) else _listed(content, table)
    found: dict[Path, tuple[str, str]] = {}
    several = 0
    for where, name, caption in records:
        path = _file(root, name, where)
        several += path in found
        found.setdefault(path, (where, caption))
    if len(found) < _LEAST:
        raise DataSetError(f"{table} has {len(found)} images with a caption; it takes two to find one among them.")
    images = [read_picture(path, where) for path, (where, _) in found.items()]
    note = f"{len(found)} images; of {several} further captions none is used" if several else f"{len(found)} images"
    return Pairs(images, [caption for _, caption in found.values()], note)


def _coco(content: dict[str, Any], table: Path) -> Iterable[tuple[str, str, str]]:
    """(where, file, caption) of each annotation."""
    try:
        files = {image["id"]: image["file_name"] for image in content["images"]}
        annotations = list(enumerate(content["annotations"], start=1))
    except (KeyError, TypeError) as error:
        raise DataSetError(f"{table} is not of COCO's form: it lacks {error}.") from error
    for number, annotation in annotations:
        where = f"{table}, annotation {number}"
        image = annotation.get("image_id") if isinstance(annotation, dict) else None
        if image not in files:
            raise DataSetError(f"{where}: there is no image with the id {image!r}.")
        yield where, files[image], _caption(annotation, where)


def _listed(content: Any, table: Path) -> Iterable[tuple[str, str, str]]:
    """(where, file, caption) of each record of a list."""
    if not isinstance(content, list):
        raise DataSetError(f"{table} is neither COCO captions nor a list of records.")
    for number, record in enumerate(content, start=1):
        where = f"{table}, record {number}"
        if not isinstance(record, dict) or not isinstance(record.get("image"), str):
            raise DataSetError(f"{where}: it names no image.")
        yield where, record["image"], _caption(record, where)


def _caption(record: dict[str, Any], where: str) -> str:
    caption = record.get("caption")
    if not isinstance(caption, str) or not caption.strip():
        raise DataSetError(f"{where}: it has no caption.")
    return caption.strip()


def _file(root: Path, name: str, where: str) -> Path:
    for folder in _FOLDERS:
        path = root / folder / name
        if not path.resolve().is_relative_to(root.resolve()):
            raise DataSetError(f"{where}: {name} leads out of {root}.")
        if path.is_file():
            return path
    raise DataSetError(f"{where}: there is no image {root / name}. Copy it there, or remove the record.")


DATA_SETS.add(
    "image_text",
    DataSet("image_text", "any set of captioned images as captions.json (COCO captions, or a list)", read_image_text),
)
