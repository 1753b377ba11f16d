"""`knowlip history`: the story of one tile's annotation, or of one clause of it, for people and for machines."""

import math
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.report.reasons import SOURCES, Saying
from orchestrator.report.story import Step, Story, check_clause, read_story


def print_history(run_dir: Path, tile_id: str, clause: str | None, console: Console) -> None:
    """Print who said what about a tile in which round, and why it changed or stayed.

    Raises:
        UnknownInRun: the run has no such tile or clause.
    """
    story = _read(run_dir, tile_id, clause)
    if clause is None:
        _print_tile(story, tile_id, console)
    else:
        _print_clause(story, tile_id, clause, console)


def history_as_json(run_dir: Path, tile_id: str, clause: str | None) -> dict[str, Any]:
    """The same as plain values: tile, split, and for each clause its rounds; errors as of `print_history`."""
    story = _read(run_dir, tile_id, clause)
    clauses = story.schema.names if clause is None else (clause,)
    return {
        "tile": tile_id,
        "split": story.splits.get(tile_id),
        "clauses": {name: [step.as_json() for step in story.steps(tile_id, name)] for name in clauses},
    }


def _read(run_dir: Path, tile_id: str, clause: str | None) -> Story:
    story = read_story(run_dir, [tile_id])
    if clause is not None:
        check_clause(story.schema, clause)
    return story


def _print_tile(story: Story, tile_id: str, console: Console) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("clause", no_wrap=True)
    for number in range(story.rounds + 1):
        table.add_column("initial" if number == 0 else f"round {number}", no_wrap=True)
    _add_probability(table)
    table.add_column("why, when it changed last")
    for clause in story.schema.names:
        steps = story.steps(tile_id, clause)
        cells = [
            "·" if number and step.value == steps[number - 1].value else _new(step) for number, step in enumerate(steps)
        ]
        last = next((step for step in reversed(steps) if _changes(steps, step)), steps[-1])
        table.add_row(_plain(clause), *cells, f"{steps[-1].confidence:.2f}", last.why)
    console.print(_heading(story, tile_id), highlight=False, markup=False)
    console.print(table)
    more = f"Who said what: knowlip history {story.directory.path} {tile_id} CLAUSE"
    console.print(more, style="dim", highlight=False, soft_wrap=True, markup=False)


def _changes(steps: list[Step], step: Step) -> bool:
    return step.round > 0 and step.value != steps[step.round - 1].value


def _print_clause(story: Story, tile_id: str, clause: str, console: Console) -> None:
    steps = story.steps(tile_id, clause)
    console.print(f"{_heading(story, tile_id)}: {_plain(clause)}", highlight=False, markup=False)
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("round", no_wrap=True, min_width=len("round"))
    table.add_column("value", no_wrap=True)
    _add_probability(table)
    for name in SOURCES:
        if name == "initial" or any(each.source == name for step in steps for each in step.sayings):
            table.add_column(f"{name}", overflow="fold")
    shown = [str(column.header) for column in table.columns[3:]]
    for step in steps:
        by_source = {each.source: each for each in step.sayings}
        table.add_row(
            str(step.round) if step.round else "start",
            _new(step) if step.round == 0 or _changes(steps, step) else _plain(step.value),
            f"{step.confidence:.2f}",
            *(_cell(by_source.get(name)) for name in shown),
        )
    console.print(table)
    for step in steps:
        console.print(f"{f'round {step.round}' if step.round else 'start'}: {step.why}", highlight=False, markup=False)
    console.print(
        "A cell says what the source holds most probable and how probable; x is how far it was believed. rules: all "
        "sources together under the rules of the schema.",
        style="dim",
        highlight=False,
    )


def _add_probability(table: Table) -> None:
    """A column that a narrow terminal leaves whole."""
    table.add_column("p", justify="right", no_wrap=True, min_width=len("0.00"))


def _heading(story: Story, tile_id: str) -> str:
    split = {"train": "training tile", "held_out": "held out of training"}.get(story.splits.get(tile_id, ""), "")
    return f"tile {tile_id}{f' ({split})' if split else ''}"


def _cell(said: Saying | None) -> str:
    if said is None:
        return ""
    probability = "" if math.isnan(said.probability) else f" {said.probability:.2f}"
    weight = "" if said.weight is None else f" x{said.weight:.1f}"
    return f"{_plain(said.value)}{probability}{weight}"


def _new(step: Step) -> Text:
    return Text(_plain(step.value), style="bold")


def _plain(name: str) -> str:
    return name.replace("_", " ")
