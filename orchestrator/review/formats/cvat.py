"""CVAT: pictures, label definitions, and the proposals as tags in the format "CVAT for images 1.1".

Format of https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/. A label is a clause; its tag has the value
and a box "decided", which a person ticks: a tag that nobody looked at comes back as it went out.
"""

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from PIL import Image

from orchestrator.review.formats.base import FORMATS, Export, RawAnswer, Unreadable, number_or_none, plain
from orchestrator.review.questions import Question

_ANNOTATIONS: Final = "annotations.xml"
_ATTRIBUTES: Final = ("value", "decided", "reasons", "tile", "export", "version")


class CvatFormat:
    """images.zip for the task, labels.json for its constructor, annotations.xml to upload."""

    def write(self, export: Export, folder: Path) -> list[Path]:
        """Write the three files."""
        annotations, labels, images = folder / _ANNOTATIONS, folder / "labels.json", folder / "images.zip"
        annotations.write_text(_xml(export), encoding="utf-8")
        labels.write_text(json.dumps(_labels(export), indent=1) + "\n", encoding="utf-8")
        with zipfile.ZipFile(images, "w", zipfile.ZIP_STORED) as archive:
            for number, task in enumerate(export.tasks):
                archive.writestr(export.picture_name(number), export.pictures[task.tile_id])
        return [annotations, labels, images]

    def recognises(self, path: Path) -> bool:
        """By its name: the XML, or the archive that CVAT puts it into."""
        return path.suffix.lower() in (".xml", ".zip")

    def read(self, path: Path) -> Sequence[RawAnswer]:
        """All tags that are marked as decided; errors as of `ReviewFormat.read`."""
        reader = _Reader()
        try:
            reader.parser.Parse(_content(path), True)
        except expat.ExpatError as error:
            said = expat.errors.messages[error.code]
            raise Unreadable(f"line {error.lineno}: {said}; the file was cut off or damaged") from error
        if not reader.is_cvat:
            raise Unreadable("line 1: it has no <annotations>; export the task as 'CVAT for images 1.1'")
        return reader.answers


class _Reader:
    """Collects the tags of a document. Entities are refused: they can make a small file a huge one."""

    def __init__(self) -> None:
        self.parser = expat.ParserCreate()
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        self.parser.EntityDeclHandler = self._refuse
        self.answers: list[RawAnswer] = []
        self.is_cvat = False
        self._path: list[str] = []
        self._label = self._attribute = self._said = self._person = ""
        self._values: dict[str, str] = {}
        self._line = 0

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._said = ""
        self.is_cvat = self.is_cvat or self._path == ["annotations"]
        if name == "tag":
            self._label, self._values, self._line = attributes.get("label", ""), {}, self.parser.CurrentLineNumber
        elif name == "attribute":
            self._attribute = attributes.get("name", "")

    def _text(self, text: str) -> None:
        self._said += text

    def _end(self, name: str) -> None:
        if name == "username" and self._path[-2:-1] == ["assignee"]:
            self._person = self._said.strip()
        elif name == "attribute" and self._path[-2:-1] == ["tag"]:
            self._values[self._attribute] = self._said.strip()
        elif name == "tag" and self._values.get("decided", "").lower() == "true":
            self._add()
        self._path.pop()
        self._said = ""

    def _add(self) -> None:
        values = self._values
        if not values.get("tile") or "value" not in values:
            lacks = "tile" if not values.get("tile") else "value"
            raise Unreadable(f"line {self._line}: the tag has no {lacks}; upload annotations.xml as it was written")
        try:
            version = number_or_none(values.get("version"))
        except Unreadable as error:
            raise Unreadable(f"line {self._line}: {error}") from error
        self.answers.append(
            RawAnswer(
                f"line {self._line}",
                values["tile"],
                self._label,
                values["value"],
                self._person,
                values.get("export", ""),
                version,
            )
        )

    def _refuse(self, *_: object) -> None:
        raise Unreadable(f"line {self.parser.CurrentLineNumber}: it declares an entity, which is not read")


def _content(path: Path) -> bytes:
    if path.suffix.lower() != ".zip":
        return path.read_bytes()
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(_ANNOTATIONS)
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        raise Unreadable(f"line 1: the archive is cut off or damaged ({error})") from error
    except KeyError as error:
        raise Unreadable(f"line 1: the archive has no {_ANNOTATIONS}; export as 'CVAT for images 1.1'") from error


def _labels(export: Export) -> list[dict[str, Any]]:
    """The label definitions, for the Raw tab of CVAT's constructor."""
    return [
        {
            "name": clause,
            "type": "tag",
            "attributes": [
                {
                    "name": "value",
                    "mutable": False,
                    "input_type": "select",
                    "default_value": export.schema.vocabulary[clause][0],
                    "values": list(export.schema.vocabulary[clause]),
                },
                {
                    "name": "decided",
                    "mutable": False,
                    "input_type": "checkbox",
                    "default_value": "false",
                    "values": ["false"],
                },
                *(
                    {"name": name, "mutable": False, "input_type": "text", "default_value": "", "values": [""]}
                    for name in _ATTRIBUTES[2:]
                ),
            ],
        }
        for clause in export.clauses
    ]


def _xml(export: Export) -> str:
    lines = ['<?xml version="1.0" encoding="utf-8"?>', "<annotations>", "  <version>1.1</version>"]
    for number, task in enumerate(export.tasks):
        with Image.open(io.BytesIO(export.pictures[task.tile_id])) as picture:
            width, height = picture.size
        name = quoteattr(export.picture_name(number))
        lines.append(f'  <image id="{number}" name={name} width="{width}" height="{height}">')
        lines += [line for question in task.questions for line in _tag(export, question)]
        lines.append("  </image>")
    return "\n".join([*lines, "</annotations>"]) + "\n"


def _tag(export: Export, question: Question) -> list[str]:
    values = (
        question.proposed,
        "false",
        f"proposed {plain(question.proposed)} ({question.confidence:.0%}); " + "; ".join(map(plain, question.reasons)),
        question.tile_id,
        export.name,
        str(export.version),
    )
    return [
        f'    <tag label={quoteattr(question.clause)} source="file">',
        *(
            f"      <attribute name={quoteattr(name)}>{escape(value)}</attribute>"
            for name, value in zip(_ATTRIBUTES, values, strict=True)
        ),
        "    </tag>",
    ]


FORMATS.add("cvat", CvatFormat())
