"""COCO: one JSON file for each split (SSDD, HRSID). In place of a line an error names the place in its list."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmark.datasets.base import DataSetError
from benchmark.datasets.boxes import Boxes, MarkedImage, MarkedObject, checked, image_file, inside
from benchmark.datasets.image_folder import SPLITS

FILES = ("annotations/{split}.json", "annotations/{split}2017.json", "{split}.json")
"""Where the public sets have the file of a split."""
IMAGES = ("images", "images/{split}", "JPEGImages", "{split}", ".")
"""Where they have its images."""


def coco_files(root: Path) -> dict[str, str]:
    """Split -> path of its file below a folder, for the splits that have one of FILES."""
    names = {split: [name.format(split=split) for name in FILES] for split in SPLITS}
    there = {split: next((name for name in names[split] if (root / name).is_file()), None) for split in SPLITS}
    return {split: name for split, name in there.items() if name is not None}


def read_coco(root: Path, files: Mapping[str, str] | None = None, images: Sequence[str] = IMAGES) -> Boxes:
    """Read a folder.

    Args:
        root: the folder.
        files: split -> path of its JSON file below the folder; None: the first one of FILES.
        images: folders of the images below it; the first one that has an image is taken.

    Raises:
        DataSetError: as `benchmark.datasets.boxes` says.
    """
    files = coco_files(root) if files is None else files
    parts = {}
    for split in SPLITS:
        if split not in files:
            raise DataSetError(f"There is no {root / FILES[0].format(split=split)}.")
        folders = [root / folder.format(split=split) for folder in images]
        parts[split] = _images(root, root / files[split], folders)
    return checked(root, parts)


def _images(root: Path, path: Path, folders: Sequence[Path]) -> list[MarkedImage]:
    content = _json(path)
    names = {_key(item, "id", at): str(_key(item, "name", at)) for at, item in _each(content, "categories", path)}
    found: dict[Any, MarkedImage] = {}
    objects: dict[Any, list[MarkedObject]] = {}
    for at, item in _each(content, "images", path):
        name, own = str(_key(item, "file_name", at)), _key(item, "id", at)
        if own in found:
            raise DataSetError(f"{at}: the id {own} is that of {found[own].where} too.")
        objects[own] = []
        found[own] = MarkedImage(_file(root, folders, name, at), objects[own], at)
    for at, item in _each(content, "annotations", path):
        if item.get("iscrowd"):
            raise DataSetError(f"{at}: it marks a crowd. Give each object a box of its own, or remove it.")
        try:
            left, top, width, height = (float(value) for value in item["bbox"])
            label = names[item["category_id"]]
            objects[item["image_id"]].append(MarkedObject(at, label, (left, top, left + width, top + height)))
        except (KeyError, TypeError, ValueError) as error:
            raise DataSetError(f"{at}: its bbox, image_id or category_id is missing or unknown: {error}.") from error
    return list(found.values())


def _file(root: Path, folders: Sequence[Path], name: str, where: str) -> Path:
    paths = [inside(root, folder / name, where) for folder in folders]
    return next((path for path in paths if path.is_file()), None) or image_file(root, paths[0], where)


def _each(content: dict[str, Any], name: str, path: Path) -> list[tuple[str, dict[str, Any]]]:
    found = [(f"{path}, {name}[{number}]", item) for number, item in enumerate(content[name])]
    for at, item in found:
        if not isinstance(item, dict):
            raise DataSetError(f"{at} is no object of JSON.")
    return found


def _key(item: dict[str, Any], name: str, where: str) -> Any:
    if not isinstance(item.get(name), (int, str)):
        raise DataSetError(f"{where}: its {name} is missing.")
    return item[name]


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataSetError(f"There is no {path}.") from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{path} is no JSON: {error}.") from error
    lists = ("images", "annotations", "categories")
    if not isinstance(content, dict) or any(not isinstance(content.get(name), list) for name in lists):
        raise DataSetError(f"{path} is no COCO file: it needs the lists {', '.join(lists)}.")
    return content
