"""Questions on images in JSON: a list of records with image, question, answer and kind.

questions.json beside the images is a list of {"image", "question", "answer", "kind"}. A record may have "choices",
the possible answers, and a "split": train to learn from, test to judge on, val for neither. An answer is a text or a
number. A kind whose answers are all numbers is judged by their mean absolute error too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmark.datasets.base import DATA_SETS, Asked, AskedImages, DataSet, DataSetError
from benchmark.datasets.image_text import image_below, read_json, split_of
from benchmark.datasets.pictures import read_picture

FILE: Final = "questions.json"
_TEXTS = ("image", "question", "kind")


class _Record(NamedTuple):
    where: str
    path: Path
    question: tuple[str, str]
    answer: str
    choices: tuple[str, ...]


def read_image_questions(root: Path) -> Asked:
    """Read a folder with questions.json; images lie beside it, or in `images`.

    Raises:
        DataSetError: no such file, a record without a part, a missing image, an image in both splits, nothing to judge,
            a right answer that is none of its choices.
    """
    table = root / FILE
    content = read_json(table, "a list of records with image, question, answer and kind")
    if not isinstance(content, list):
        raise DataSetError(f"{table} is no list of records.")
    sides: dict[str, list[_Record]] = {"train": [], "test": []}
    for number, record in enumerate(content, start=1):
        where = f"{table}, record {number}"
        if not isinstance(record, dict):
            raise DataSetError(f"{where}: it is no record.")
        if split := split_of(record, where):
            sides[split].append(_record(root, record, where))
    if not sides["test"]:
        raise DataSetError(f"{table} has no question to judge: all records are of another split than test.")
    learned = {record.path: record.where for record in sides["train"]}
    for record in sides["test"]:
        if record.path in learned:
            raise DataSetError(f"{record.where}: the image {record.path} is in train too ({learned[record.path]}).")
    numbers = _numbers([*sides["train"], *sides["test"]])
    train = _asked(sides["train"]) if sides["train"] else None
    note = f"{len(sides['test'])} questions on {len({record.path for record in sides['test']})} images"
    return Asked(_asked(sides["test"]), train, _choices(sides), numbers, note)


def as_number(answer: str) -> float | None:
    """An answer as a number; None: it is none."""
    try:
        return float(answer)
    except ValueError:
        return None


def _record(root: Path, record: Mapping[str, Any], where: str) -> _Record:
    for name in _TEXTS:
        if not isinstance(record.get(name), str) or not record[name].strip():
            raise DataSetError(f"{where}: it has no {name}.")
    answer = _answer(record.get("answer"), where)
    listed = record.get("choices", [])
    if not isinstance(listed, list):
        raise DataSetError(f"{where}: choices is no list.")
    choices = tuple(dict.fromkeys(_answer(each, where) for each in listed))
    if choices and answer not in choices:
        raise DataSetError(f"{where}: the answer {answer!r} is none of its choices: {', '.join(choices)}.")
    question = (record["kind"].strip(), record["question"].strip())
    return _Record(where, image_below(root, record["image"], where), question, answer, choices)


def _answer(value: Any, where: str) -> str:
    """Small letters, no space at the ends; a number in its shortest form, so that 2 and 2.0 are the same."""
    text = str(value).strip().lower() if isinstance(value, (str, int, float)) else ""
    if not text:
        raise DataSetError(f"{where}: it has no answer, or one that is neither a text nor a number.")
    number = as_number(text)
    return text if number is None or isinstance(value, bool) else f"{number:.12g}"


def _numbers(records: Sequence[_Record]) -> frozenset[str]:
    words = {record.question[0] for record in records if as_number(record.answer) is None}
    return frozenset({record.question[0] for record in records} - words)


def _asked(records: Sequence[_Record]) -> AskedImages:
    paths = list(dict.fromkeys(record.path for record in records))
    where = {record.path: record.where for record in records}
    number = {path: index for index, path in enumerate(paths)}
    return AskedImages(
        [read_picture(path, where[path]) for path in paths],
        [number[record.path] for record in records],
        [record.question for record in records],
        [record.answer for record in records],
    )


def _choices(sides: Mapping[str, Sequence[_Record]]) -> dict[tuple[str, str], tuple[str, ...]]:
    """Of every question its own choices, or the answers that training images have to it, or to its kind."""
    own: dict[tuple[str, str], dict[str, None]] = {}
    of_kind: dict[str, set[str]] = {}
    for record in (*sides["train"], *sides["test"]):
        own.setdefault(record.question, {}).update(dict.fromkeys(record.choices))
    for record in sides["train"]:
        of_kind.setdefault(record.question[0], set()).add(record.answer)
        own[record.question][record.answer] = None
    return {question: tuple(found) or tuple(sorted(of_kind.get(question[0], ()))) for question, found in own.items()}


DATA_SETS.add(
    "image_questions",
    DataSet(
        "image_questions",
        "any set of questions on images as questions.json (a list of image, question, answer, kind)",
        read_image_questions,
    ),
)
