"""Captioned images in JSON: COCO captions, Karpathy's form of them, or a list of records with an image and a caption.

captions.json beside the images is COCO's ({"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}),
Karpathy's ({"images": [{"filename", "sentences": [{"raw"}]}]}), or a list of {"image", "caption"}. An image or a record
may have a "split": train to learn from, test to judge on, val for neither. Without any, all images are judged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmark.datasets.base import DATA_SETS, DataSet, DataSetError, Pairs
from benchmark.datasets.drawn_split import side_of
from benchmark.datasets.pictures import read_picture
from benchmark.metrics.captions import words

FILE: Final = "captions.json"
SPLITS: Final = {"train": "train", "restval": "train", "val": "", "test": "test"}
"""What a file calls a split -> train, test, or neither."""
_FOLDERS = ("", "images")
_LEAST = 2


class _Caption(NamedTuple):
    where: str
    file: str
    text: str
    split: str


def read_image_text(root: Path) -> Pairs:
    """Read a folder with captions.json; images lie beside it, or in `images`.

    Raises:
        DataSetError: no such file, a record without image or caption, a missing image, an image in both splits, fewer
            than two images to judge.
    """
    table = root / FILE
    content = read_json(table, "COCO captions, or a list of records with image and caption")
    if not isinstance(content, dict):
        records = _listed(content, table)
    else:
        records = _coco(content, table) if "annotations" in content else _karpathy(content, table)
    sides: dict[str, dict[Path, tuple[str, list[str]]]] = {"train": {}, "test": {}}
    for where, name, text, split in records:
        if not split:
            continue
        path = image_below(root, name, where)
        other = sides["train" if split == "test" else "test"]
        if path in other:
            raise DataSetError(
                f"{where}: the image {path} is in {split}, and in the other split too ({other[path][0]})."
            )
        sides[split].setdefault(path, (where, []))[1].append(text)
    if len(sides["test"]) < _LEAST:
        raise DataSetError(f"{table} has {len(sides['test'])} images with a caption to judge; it takes two at least.")
    parts = {split: _pairs(own) for split, own in sides.items()}
    several = sum(len(own) for own in parts["test"].captions) - len(parts["test"].captions)
    note = f"{len(parts['test'].images)} images; {several} further captions of them count for captioning alone"
    return Pairs(parts["test"].images, parts["test"].captions, note, parts["train"] if sides["train"] else None)


def read_annotation_texts(root: Path) -> Pairs:
    """Texts alone: JSON lists of records with image_id and a sentence for each clause (FUSAR-KLIP as published).

    30 % of the texts are judged, by a hash of their image_id.

    Raises:
        DataSetError: no file, no list of records, a record without image_id or without a sentence, too few records.
    """
    tables = sorted(root.glob("*.json"))
    if not tables:
        raise DataSetError(f"{root} has no JSON file: lists of records with image_id and a sentence for each clause.")
    found: dict[str, list[tuple[str, ...]]] = {"train": [], "test": []}
    for table in tables:
        content = read_json(table, "a list of records")
        if not isinstance(content, list):
            raise DataSetError(f"{table} is no list of records.")
        for number, record in enumerate(content, start=1):
            where = f"{table}, record {number}"
            if not isinstance(record, dict) or "image_id" not in record:
                raise DataSetError(f"{where}: it has no image_id.")
            sentences = [text.strip() for key, text in record.items() if key != "image_id" and isinstance(text, str)]
            if not any(sentences):
                raise DataSetError(f"{where}: it has no sentence.")
            found[side_of(str(record["image_id"]).encode())].append((". ".join(filter(None, sentences)) + ".",))
    if min(map(len, found.values())) < _LEAST:
        raise DataSetError(
            f"{root} has {sum(map(len, found.values()))} texts; that is too few to learn from and to judge."
        )
    note = "texts alone: no image came with them, so figures say what a caption scores that follows from no image"
    return Pairs((), found["test"], note, Pairs((), found["train"]))


def read_json(table: Path, wanted: str) -> Any:
    """The content of a JSON file.

    Raises:
        DataSetError: it is missing, or no JSON in UTF-8.
    """
    try:
        return json.loads(table.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataSetError(f"There is no {table}: {wanted}.") from error
    except (ValueError, RecursionError) as error:
        raise DataSetError(f"{table} is no JSON: {error}.") from error


def split_of(item: dict[str, Any], where: str) -> str:
    """`train`, `test`, or "" for neither. An item that names none is judged.

    Raises:
        DataSetError: it names another.
    """
    said = item.get("split", "test")
    if not isinstance(said, str) or said not in SPLITS:
        raise DataSetError(f"{where}: split is {said!r}; it takes {', '.join(SPLITS)}.")
    return SPLITS[said]


def image_below(root: Path, name: str, where: str) -> Path:
    """An image beside a JSON file, or in `images`.

    Raises:
        DataSetError: the path leads out of the folder, or there is no such file.
    """
    for folder in _FOLDERS:
        path = root / folder / name
        if not path.resolve().is_relative_to(root.resolve()):
            raise DataSetError(f"{where}: {name} leads out of {root}.")
        if path.is_file():
            return path
    raise DataSetError(f"{where}: there is no image {root / name}. Copy it there, or remove the record.")


def _pairs(own: dict[Path, tuple[str, list[str]]]) -> Pairs:
    images = [read_picture(path, where) for path, (where, _) in own.items()]
    return Pairs(images, [tuple(texts) for _, texts in own.values()])


def _coco(content: dict[str, Any], table: Path) -> Iterable[_Caption]:
    try:
        images = {image["id"]: image for image in content["images"]}
        files = {own: image["file_name"] for own, image in images.items()}
        annotations = list(enumerate(content["annotations"], start=1))
    except (KeyError, TypeError) as error:
        raise DataSetError(f"{table} is not of COCO's form: it lacks {error}.") from error
    for number, annotation in annotations:
        where = f"{table}, annotation {number}"
        image = annotation.get("image_id") if isinstance(annotation, dict) else None
        if image not in files:
            raise DataSetError(f"{where}: there is no image with the id {image!r}.")
        yield _Caption(where, files[image], _text(annotation, "caption", where), split_of(images[image], where))


def _karpathy(content: dict[str, Any], table: Path) -> Iterable[_Caption]:
    images = content.get("images")
    if not isinstance(images, list):
        raise DataSetError(f"{table} is neither of COCO's form nor of Karpathy's: it lacks 'annotations' or 'images'.")
    for number, image in enumerate(images, start=1):
        where = f"{table}, image {number}"
        sentences = image.get("sentences") if isinstance(image, dict) else None
        if not isinstance(sentences, list) or not isinstance(image.get("filename"), str):
            raise DataSetError(
                f"{where}: it has no filename and sentences; the file is not of COCO's form: it lacks 'annotations'."
            )
        for sentence in sentences:
            if not isinstance(sentence, dict):
                raise DataSetError(f"{where}: a sentence is no record with `raw`.")
            yield _Caption(where, image["filename"], _text(sentence, "raw", where), split_of(image, where))


def _listed(content: Any, table: Path) -> Iterable[_Caption]:
    """Each record of a list."""
    if not isinstance(content, list):
        raise DataSetError(f"{table} is neither COCO captions nor a list of records.")
    for number, record in enumerate(content, start=1):
        where = f"{table}, record {number}"
        if not isinstance(record, dict) or not isinstance(record.get("image"), str):
            raise DataSetError(f"{where}: it names no image.")
        yield _Caption(where, record["image"], _text(record, "caption", where), split_of(record, where))


def _text(record: dict[str, Any], key: str, where: str) -> str:
    caption = record.get(key)
    if not isinstance(caption, str) or not caption.strip():
        raise DataSetError(f"{where}: it has no caption.")
    if not words(caption):
        raise DataSetError(f"{where}: its caption has no word of Latin letters or digits; those are judged.")
    return caption.strip()


DATA_SETS.add(
    "image_text",
    DataSet("image_text", "any set of captioned images as captions.json (COCO captions, or a list)", read_image_text),
)
DATA_SETS.add(
    "fusar_klip_text",
    DataSet(
        "fusar_klip_text",
        "https://github.com/yangyifremad/FUSAR-KLIP (data/part/caption_part1.json)",
        read_annotation_texts,
        "real texts by a language model, no images",
    ),
)
