"""The cells of a benchmark on disk: one CSV, to which finished cells are added whole."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmark.metrics.group_bootstrap import Estimate
from benchmark.suite.cells import CellResult
from corpus.storage.errors import InputError
from corpus.storage.lock import lease_lock
from corpus.storage.writer import UNGUARDED

FILE = "benchmark.csv"
_COLUMNS = (
    *("task", "data_set", "method", "setting", "status", "score", "value", "low", "high"),
    *("seeds", "seconds", "peak_memory_mib", "inputs", "note", "weights"),
)
_WITHOUT_WEIGHTS = _COLUMNS[:-1]
"""Columns of a table from before methods were trained here."""


class ResultsError(InputError):
    """A table of results that cannot be read; the message names file and line."""


def read_results(folder: Path) -> list[CellResult]:
    """The cells of a folder, in the order in which they were added; none where there is no table.

    Raises:
        ResultsError: the table was changed by something else.
    """
    path = folder / FILE
    if not path.exists():
        return []
    cells: dict[tuple[str, ...], CellResult] = {}
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) not in (_COLUMNS, _WITHOUT_WEIGHTS):
            raise ResultsError(f"{path}, line 1: its columns are not those of a benchmark. Use another --out.")
        for row in reader:
            try:
                score = Estimate(float(row["value"]), _number(row["low"]), _number(row["high"]))
                cell = CellResult(
                    **{name: row[name] for name in ("task", "data_set", "method", "setting", "inputs", "note")},
                    weights=row.get("weights", ""),
                    status=row["status"],  # pyright: ignore[reportArgumentType] checked by the model
                    scores={row["score"]: score} if row["score"] else {},
                    seeds=int(row["seeds"]),
                    seconds=float(row["seconds"]),
                    peak_memory_mib=float(row["peak_memory_mib"]),
                )
            except (ValueError, TypeError) as error:
                raise ResultsError(f"{path}, line {reader.line_num}: {error}. Restore it from a copy.") from error
            before = cells.get(cell.key)
            merged = {**before.scores, **cell.scores} if before is not None else cell.scores
            cells[cell.key] = cell.model_copy(update={"scores": merged})
    return list(cells.values())


def add_result(folder: Path, cell: CellResult) -> list[CellResult]:
    """Add a cell, in place of an older one of the same name, and return all cells.

    The file is written anew and renamed under a lock: a reader, and one who was killed, finds whole cells.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with lease_lock(folder):
        cells = {each.key: each for each in read_results(folder)}
        if cell.setting:  # what was not found before has been found
            cells.pop((*cell.key[:3], ""), None)
        cells[cell.key] = cell
        UNGUARDED.write_text(folder / FILE, as_csv(cells.values()), "the table")
    return list(cells.values())


def as_csv(cells: Iterable[CellResult]) -> str:
    """One line for each score of each cell; one without a score for a cell that has none."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for cell in cells:
        head = [cell.task, cell.data_set, cell.method, cell.setting, cell.status]
        tail = [cell.seeds, f"{cell.seconds:.2f}", f"{cell.peak_memory_mib:.0f}", cell.inputs, cell.note, cell.weights]
        for name, score in cell.scores.items():
            writer.writerow([*head, name, repr(score.value), score.low, score.high, *tail])
        if not cell.scores:
            writer.writerow([*head, "", 0, "", "", *tail])
    return stream.getvalue()


def _number(text: str) -> float | None:
    return float(text) if text else None


def chosen(cells: Sequence[CellResult], tasks: Iterable[str], methods: Iterable[str]) -> list[CellResult]:
    """The cells of certain tasks and methods."""
    tasks, methods = set(tasks), set(methods)
    return [cell for cell in cells if cell.task in tasks and cell.method in methods]
