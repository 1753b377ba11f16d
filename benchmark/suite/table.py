"""The table of a benchmark as Markdown: a part for each data set of a task, a row for each method."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from benchmark.datasets.base import DATA_SETS
from benchmark.metrics.group_bootstrap import Estimate
from benchmark.suite.base import METHODS, SUITE
from benchmark.suite.cells import CellResult


def markdown(cells: Sequence[CellResult], title: str = "Benchmark") -> str:
    """The whole table.

    Args:
        cells: finished cells and those that were not found.
        title: its heading.
    """
    tasks, methods = list(SUITE), list(METHODS)
    order = sorted(cells, key=lambda cell: (tasks.index(cell.task), cell.data_set, methods.index(cell.method)))
    lines = [f"# {title}", "", "Value [95 % interval]; seconds and MiB are those of all settings of a row.", ""]
    for (task, data_set), group in groupby(order, key=lambda cell: (cell.task, cell.data_set)):
        lines += _part(task, data_set, list(group))
    return "\n".join(lines)


def shown(score: Estimate | None) -> str:
    """0.93 [0.91, 0.95], in three decimals."""
    if score is None:
        return ""
    interval = "" if score.low is None or score.high is None else f" [{score.low:.3f}, {score.high:.3f}]"
    return f"{score.value:.3f}{interval}"


def _part(task: str, data_set: str, cells: list[CellResult]) -> list[str]:
    settings = [name for name in SUITE[task].settings if any(cell.setting == name for cell in cells)]
    headline = next((next(iter(cell.scores)) for cell in cells if cell.scores), "")
    lines = [f"## {task}, {data_set} ({DATA_SETS[data_set].real})", ""]
    if headline:
        lines += [f"{headline.replace('_', ' ').capitalize()} by setting.", ""]
    lines += [
        "| method | " + " | ".join([*(name.replace("_", " ") for name in settings), "ECE", "seconds", "MiB"]) + " |",
        "|---" + "|---:" * (len(settings) + 3) + "|",
    ]
    for method, group in groupby(cells, key=lambda cell: cell.method):
        own = {cell.setting: cell for cell in group}
        if "" in own:
            lines.append(f"| {method} | {own[''].note} |" + " |" * (len(settings) + 2))
            continue
        values = [shown(own[name].scores.get(headline)) if name in own else "" for name in settings]
        eces = [cell.scores["ece"].value for cell in own.values() if "ece" in cell.scores]
        ece = f"{min(eces):.3f} to {max(eces):.3f}" if len(eces) > 1 else "".join(f"{value:.3f}" for value in eces)
        seconds = sum(cell.seconds for cell in own.values())
        memory = max(cell.peak_memory_mib for cell in own.values())
        lines.append("| " + " | ".join([method, *values, ece, f"{seconds:.0f}", f"{memory:.0f}"]) + " |")
    notes = sorted({cell.note for cell in cells if cell.note and cell.status == "done"})
    said = {cell.method: cell.weights for cell in cells if cell.weights}
    below = [*(f"Note: {note}." for note in notes), *(f"{method}: {weights}." for method, weights in said.items())]
    return [*lines, "", *(f"{line}  " if line is not below[-1] else line for line in below), *([""] if below else [])]
