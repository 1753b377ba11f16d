"""A table for a spreadsheet: a line is a question, and the person fills in two columns."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from orchestrator.review.formats.base import FORMATS, Export, RawAnswer, Unreadable, number_or_none, plain, read_text

_COLUMNS: Final = (
    "tile_id",
    "clause",
    "decision",
    "person",
    "proposed",
    "probability",
    "possible_values",
    "reasons",
    "picture",
    "export",
    "version",
)
_NEEDED: Final = ("tile_id", "clause", "decision", "version")
_EMPTY: Final = ("", None)


class CsvFormat:
    """decision: one of possible_values, empty: not decided. person: who decided."""

    def write(self, export: Export, folder: Path) -> list[Path]:
        """Write questions.csv and the pictures that it names."""
        (folder / "pictures").mkdir(parents=True)
        text = io.StringIO()
        table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        table.writeheader()
        for number, task in enumerate(export.tasks):
            picture = folder / "pictures" / export.picture_name(number)
            picture.write_bytes(export.pictures[task.tile_id])
            for question in task.questions:
                table.writerow(
                    {
                        "tile_id": task.tile_id,
                        "clause": question.clause,
                        "decision": "",
                        "person": "",
                        "proposed": question.proposed,
                        "probability": f"{question.confidence:.2f}",
                        "possible_values": " | ".join(export.schema.vocabulary[question.clause]),
                        "reasons": "; ".join(map(plain, question.reasons)),
                        "picture": str(picture.relative_to(folder)),
                        "export": export.name,
                        "version": export.version,
                    }
                )
        path = folder / "questions.csv"
        path.write_text(text.getvalue(), encoding="utf-8")
        return [path, folder / "pictures"]

    def recognises(self, path: Path) -> bool:
        """By its name."""
        return path.suffix.lower() == ".csv"

    def read(self, path: Path) -> Sequence[RawAnswer]:
        """Lines with a decision; errors as of `ReviewFormat.read`."""
        content = read_text(path)
        separator = ";" if content.partition("\n")[0].count(";") > content.partition("\n")[0].count(",") else ","
        reader = csv.DictReader(io.StringIO(content, newline=""), strict=True, delimiter=separator)
        found, line = [], 1
        try:
            if missing := [name for name in _NEEDED if name not in (reader.fieldnames or ())]:
                raise Unreadable(f"line 1: there is no column {', '.join(missing)}; needed are {', '.join(_NEEDED)}")
            for row in reader:
                line, begun = reader.line_num, line + 1
                if None in row or any(value is None for value in row.values()):
                    raise Unreadable(
                        f"line {begun}: it has not as many columns as the first line; the file was cut off, or the "
                        "line damaged"
                    )
                if row["decision"].strip() in _EMPTY:
                    continue
                found.append(_answer(row, begun))
        except csv.Error as error:
            raise Unreadable(f"line {reader.line_num}: {error}; the file was cut off, or the line damaged") from error
        return found


def _answer(row: dict[str, str], line: int) -> RawAnswer:
    version, problem = None, ""
    try:
        version = number_or_none(row["version"].strip())
        problem = "" if version is not None else "it does not say which version it is about; restore the column version"
    except Unreadable as error:
        problem = str(error)
    return RawAnswer(
        f"line {line}",
        row["tile_id"].strip(),
        row["clause"].strip(),
        row["decision"].strip(),
        row.get("person", "").strip(),
        row.get("export", "").strip(),
        version,
        problem,
    )


FORMATS.add("csv", CsvFormat())
