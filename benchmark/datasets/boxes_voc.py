"""Pascal VOC: an XML file for each image, and a list of names for each split (SAR-AIRcraft-1.0)."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.parsers import expat

from benchmark.datasets.base import DataSetError
from benchmark.datasets.boxes import Boxes, MarkedImage, MarkedObject, checked, image_file, inside
from benchmark.datasets.image_folder import SPLITS
from benchmark.datasets.pictures import SUFFIXES

LISTS = Path("ImageSets", "Main")


def read_voc(root: Path, images: str = "JPEGImages", annotations: str = "Annotations") -> Boxes:
    """ImageSets/Main/train.txt and test.txt name the splits.

    Args:
        root: the folder.
        images: folder of the images below it.
        annotations: folder of the XML files below it.

    Raises:
        DataSetError: as `benchmark.datasets.boxes` says.
    """
    parts = {}
    for split in SPLITS:
        listed = root / LISTS / f"{split}.txt"
        found = []
        for number, line in enumerate(_lines(listed, split), start=1):
            if words := line.split():
                where = f"{listed}, line {number}"
                path = _named(root, root / images, words[0], where)
                labels = inside(root, root / annotations / f"{words[0]}.xml", where)
                found.append(MarkedImage(path, read_voc_objects(labels, where), where))
        parts[split] = found
    return checked(root, parts)


def read_voc_objects(path: Path, where: str = "") -> list[MarkedObject]:
    """The objects of one XML file, each with its line.

    Raises:
        DataSetError: it is missing, no XML, or an object lacks its name or a side of its box.
    """
    if not path.is_file():
        raise DataSetError(f"{where}: there is no {path}." if where else f"There is no {path}.")
    objects: list[MarkedObject] = []
    values: dict[str, str] = {}
    state = {"tag": "", "line": 0}
    parser = expat.ParserCreate()

    def start(tag: str, _: Any) -> None:
        state["tag"] = tag
        if tag == "object":
            values.clear()
            state["line"] = parser.CurrentLineNumber

    def text(data: str) -> None:
        if data.strip():
            values[str(state["tag"])] = values.get(str(state["tag"]), "") + data.strip()

    def end(tag: str) -> None:
        state["tag"] = ""
        if tag == "object":
            at = f"{path}, line {state['line']}"
            try:
                left, top, right, bottom = (float(values[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
                objects.append(MarkedObject(at, values["name"], (left, top, right, bottom)))
            except (KeyError, ValueError) as error:
                raise DataSetError(f"{at}: the object has no name or no whole box ({error}).") from error

    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, text
    # An entity of a hostile file must not grow without end, nor name another file.
    parser.EntityDeclHandler = lambda *_: _refuse_entities(path)
    try:
        parser.Parse(path.read_bytes(), True)
    except expat.ExpatError as error:
        raise DataSetError(f"{path}, line {error.lineno}: it is no XML: {expat.ErrorString(error.code)}.") from error
    return objects


def _lines(path: Path, split: str) -> list[str]:
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError as error:
        raise DataSetError(f"There is no {path}, which names the {split} images.") from error
    except UnicodeDecodeError as error:
        raise DataSetError(f"{path} is no text in UTF-8: {error}.") from error


def _named(root: Path, folder: Path, name: str, where: str) -> Path:
    paths = [inside(root, folder / f"{name}{suffix}", where) for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), None) or image_file(root, paths[1], where)


def _refuse_entities(path: Path) -> None:
    raise DataSetError(f"{path} declares entities, which no annotation needs. It is not read.")
