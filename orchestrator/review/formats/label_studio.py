"""Label Studio: tasks as JSON with pictures inside, proposals as predictions, and a labelling configuration.

Format of https://labelstud.io/guide/tasks (import) and https://labelstud.io/guide/export (JSON). A person's annotation
says a value for each clause that has a choice; skipped tasks say nothing.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from xml.sax.saxutils import quoteattr

from orchestrator.review.formats.base import FORMATS, Export, RawAnswer, Unreadable, number_or_none, plain, read_text
from orchestrator.review.questions import Task

_IMAGE: Final = "image"
_SPACE: Final = re.compile(r"[\s,]*")


class LabelStudioFormat:
    """tasks.json to import, label_config.xml for the project's labelling interface."""

    def write(self, export: Export, folder: Path) -> list[Path]:
        """Write the tasks and the configuration."""
        tasks = folder / "tasks.json"
        content = [_task(export, task) for task in export.tasks]
        tasks.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        config = folder / "label_config.xml"
        config.write_text(label_config(export), encoding="utf-8")
        return [tasks, config]

    def recognises(self, path: Path) -> bool:
        """By its name."""
        return path.suffix.lower() == ".json"

    def read(self, path: Path) -> Sequence[RawAnswer]:
        """All annotations of all tasks; errors as of `ReviewFormat.read`."""
        found: list[RawAnswer] = []
        for number, (line, task) in enumerate(_tasks(read_text(path)), start=1):
            found += _answers(task, f"line {line}, task {number}")
        return found


def label_config(export: Export) -> str:
    """The labelling interface: the picture, who says what, and the values of every clause that is asked about."""
    lines = [
        "<View>",
        f'  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true" zoomControl="true" brightnessControl="true" '
        'contrastControl="true"/>',
        '  <Text name="asked" value="$asked"/>',
    ]
    for clause in export.clauses:
        lines += [
            f'  <View className="{clause}">',
            f"    <Header value={quoteattr(plain(clause))} size={quoteattr('4')}/>",
            f'    <Choices name="{clause}" toName="{_IMAGE}" choice="single" showInLine="true">',
            *(f"      <Choice value={quoteattr(value)}/>" for value in export.schema.vocabulary[clause]),
            "    </Choices>",
            "  </View>",
        ]
    lines += ['  <Text name="reasons" value="$reasons"/>', "</View>"]
    return "\n".join(lines) + "\n"


def _task(export: Export, task: Task) -> dict[str, Any]:
    picture = base64.b64encode(export.pictures[task.tile_id]).decode()
    asked = ", ".join(plain(question.clause) for question in task.questions)
    return {
        "data": {
            _IMAGE: f"data:image/png;base64,{picture}",
            "tile_id": task.tile_id,
            "export": export.name,
            "version": export.version,
            "asked": f"Decide: {asked}",
            "reasons": _reasons(task),
        },
        "predictions": [
            {
                "model_version": f"knowlip version {export.version}",
                "score": round(min(question.confidence for question in task.questions), 4),
                "result": [
                    {
                        "id": question.clause,
                        "from_name": question.clause,
                        "to_name": _IMAGE,
                        "type": "choices",
                        "score": round(question.confidence, 4),
                        "value": {"choices": [question.proposed]},
                    }
                    for question in task.questions
                ],
            }
        ],
    }


def _reasons(task: Task) -> str:
    parts = [
        f"{plain(question.clause)}: proposed {plain(question.proposed)} ({question.confidence:.0%}). "
        + "; ".join(map(plain, question.reasons))
        for question in task.questions
    ]
    others = ", ".join(f"{plain(clause)} {plain(value)}" for clause, value in task.context.items())
    return "\n".join([*parts, *([f"The rest of the annotation: {others}"] if others else [])])


def _tasks(text: str) -> Iterator[tuple[int, Any]]:
    """Each task of a JSON list, with the line in which it begins."""
    decoder, place = json.JSONDecoder(), len(text) - len(text.lstrip())
    if not text[place:].startswith("["):
        raise Unreadable("line 1: it is no list of tasks; export the project as JSON")
    place += 1
    while True:
        place = _SPACE.match(text, place).end()  # pyright: ignore[reportOptionalMemberAccess]  # it matches nothing, too
        line = text.count("\n", 0, place) + 1
        if place >= len(text):
            raise Unreadable(f"line {line}: the list of tasks has no end; the file was cut off")
        if text[place] == "]":
            return
        try:
            task, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            raise Unreadable(f"line {error.lineno}: {error.msg}; the file was cut off or damaged") from error
        yield line, task


def _answers(task: Any, place: str) -> list[RawAnswer]:
    data = task.get("data") if isinstance(task, Mapping) else None
    if not isinstance(data, Mapping) or "annotations" not in task:
        raise Unreadable(
            f"{place}: it has no data or no annotations; export the project as JSON, not as JSON-MIN or tasks alone"
        )
    if not data.get("tile_id"):
        raise Unreadable(f"{place}: its data has no tile_id; import the tasks as they were exported")
    try:
        version = number_or_none(data.get("version"))
    except Unreadable as error:
        raise Unreadable(f"{place}: {error}") from error
    found = []
    for annotation in task["annotations"]:
        if not isinstance(annotation, Mapping) or not isinstance(annotation.get("result"), list):
            raise Unreadable(f"{place}: an annotation has no result")
        if annotation.get("was_cancelled"):
            continue
        for result in annotation["result"]:
            choices = result.get("value", {}).get("choices") if isinstance(result, Mapping) else None
            if not isinstance(choices, list) or len(choices) != 1:
                raise Unreadable(f"{place}: clause {result.get('from_name')!r} has not exactly one choice")
            found.append(
                RawAnswer(
                    place,
                    str(data["tile_id"]),
                    str(result.get("from_name")),
                    str(choices[0]),
                    _person(annotation.get("completed_by")),
                    str(data.get("export", "")),
                    version,
                )
            )
    return found


def _person(completed_by: Any) -> str:
    """A user's address where the export has it, else the number of the user."""
    if isinstance(completed_by, Mapping):
        return str(completed_by.get("email") or completed_by.get("username") or completed_by.get("id") or "")
    return "" if completed_by is None else str(completed_by)


FORMATS.add("label-studio", LabelStudioFormat())
