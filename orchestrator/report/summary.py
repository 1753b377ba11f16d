"""What a run came to: one JSON object, or tables for people."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.monitoring.memory import read_memory
from orchestrator.monitoring.status import read_status
from orchestrator.state.lease import killed_driver, read_lease
from orchestrator.state.records import PHASES, RoundRecord, is_over, read_initial_summary, read_records
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.run_end import read_end
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.registry import make_tracker

ACCURACY = "annotation_accuracy"


def report(run_dir: Path) -> dict[str, Any]:
    """A run's results as one JSON-ready object.

    Args:
        run_dir: Directory of the run.

    Returns:
        A dictionary with these keys:
            rounds: The round records.
            seed_accuracy: Accuracy of the initial annotations in 0..1; None without truth. The key has the name that
                earlier versions gave it.
            final_accuracy: Accuracy after the last round in 0..1; None without truth or before a round.
            accuracy_by_clause: Clause -> its initial accuracy (key "seed", an earlier name too) and its final one (key
                "final"); None without truth.
            peak_rss_bytes: Peak memory of all processes in bytes; None where it was not measured.
            quarantined: Number of input files set aside; None before start-up.

    Raises:
        RunDirectoryError: There is no run.
        RecordError: A record is damaged.
    """
    directory, _ = RunDirectory.open(Path(run_dir))
    records, memory = read_records(directory.path), read_memory(directory.path)
    initial = read_initial_summary(directory.path)
    return {
        "rounds": [record.model_dump(mode="json") for record in records],
        "seed_accuracy": None if initial is None else initial.annotation_accuracy,
        "final_accuracy": records[-1].metrics.get(ACCURACY) if records else None,
        "accuracy_by_clause": _by_clause(
            initial.accuracy_by_clause if initial else None, records[-1].accuracy_by_clause if records else None
        ),
        "peak_rss_bytes": None if memory is None else memory.peak_rss_bytes,
        "quarantined": None if initial is None else initial.quarantined,
    }


def print_report(run_dir: Path, console: Console) -> None:
    """Print a run's results as tables."""
    found = report(run_dir)
    records = read_records(RunDirectory.open(Path(run_dir))[0].path)
    if not records:
        console.print("No round has finished yet.")
    else:
        console.print(_rounds_table(records, found["seed_accuracy"]))
        console.print(_time_table(records))
        if found["accuracy_by_clause"]:
            console.print(_clause_table(found["accuracy_by_clause"]))
        if records[-1].end:
            console.print(f"Ended early: {records[-1].end}.", highlight=False)
    facts = []
    if found["peak_rss_bytes"]:
        facts.append(f"Peak memory of all processes {found['peak_rss_bytes'] / 2**30:.1f} GiB")
    if found["quarantined"] is not None:
        facts.append(f"{found['quarantined']:,} files quarantined")
    if facts:
        console.print("; ".join(facts) + ".", highlight=False)


def print_status(run_dir: Path, console: Console) -> None:
    """Say how far a run has come and where its results lie."""
    directory, config = RunDirectory.open(Path(run_dir))
    records = read_records(directory.path)
    lines = [f"run directory  {directory.path}", f"rounds         {len(records)} of {config.rounds} recorded"]
    if records:
        last = records[-1]
        lines += [
            f"accuracy       {_percent(last.metrics.get(ACCURACY))} after round {last.round}",
            f"annotations    version {last.corpus_version} of {directory.annotations}",
            f"weights        {directory.weights(last.round)}",
        ]
        if last.end:
            lines.append(f"ended early    {last.end}")
    tracker = make_tracker(config.tracking, TrackedRun(directory, config.name, directory.run_id))
    if tracker.view is not None:
        lines.append(f"look at it     {tracker.view}")
    if now := _now(directory.path):
        lines.insert(2, f"now            {now}")
    if tracker.waiting:
        lines.append(f"waiting        {tracker.waiting} entries for {config.tracking.kind}")
    end = read_end(directory.path)
    killed = killed_driver(directory.path) if end is None else None
    if end is not None:
        when = datetime.fromtimestamp(end.at, UTC)
        lines.append(
            f"driver         {end.status} at {when:%Y-%m-%d %H:%M:%S} UTC{f': {end.error}' if end.error else ''}"
        )
    elif killed is not None:
        lines.append(f"driver         {killed} was killed; trackers show the run as running until it is resumed")
    finished = end is not None and end.status == "finished"
    if not is_over(records, config.rounds) or tracker.waiting or killed is not None or not finished:
        lines.append(f"go on with     knowlip resume {directory.path}")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def _now(run_dir: Path) -> str | None:
    """What the driver does; None where it has ended in order or has not begun."""
    now = read_status(run_dir)
    if now is None or now.phase == "ended":
        return None
    where = f"round {now.round}, {now.phase}" if now.round else now.phase
    minutes = (time.time() - now.since) / 60
    lease = read_lease(run_dir)
    if lease is not None and lease.is_held():
        return f"{where}, for {minutes:.1f} min ({lease.owner})"
    return f"its driver died in {where}; `knowlip resume` goes on"


def _by_clause(initial: dict | None, final: dict | None) -> dict[str, dict[str, float | None]] | None:
    if not initial and not final:
        return None
    clauses: list[str] = list(dict.fromkeys([*(initial or {}), *(final or {})]))
    found: dict[str, dict[str, float | None]] = {
        clause: {"seed": (initial or {}).get(clause), "final": (final or {}).get(clause)} for clause in clauses
    }
    return found if any(value is not None for each in found.values() for value in each.values()) else None


_HEADING = {"startup": "start", "unaccounted": "other", "evaluate": "eval"}  # as short as 80 columns need


def _rounds_table(records: list[RoundRecord], initial_accuracy: float | None) -> Table:
    table = _table(
        "Rounds: annotation accuracy, clauses, trainers",
        "round",
        "accuracy",
        "flagged",
        "rewritten",
        "accepted",
        "rejected",
        "invalid",
        "workers",
        "time",
    )
    table.add_row("initial", _percent(initial_accuracy), *[""] * 7)
    for record in records:
        counts = record.counts
        table.add_row(
            str(record.round),
            _percent(record.metrics.get(ACCURACY)),
            f"{counts.flagged:,}",
            f"{counts.regenerated:,}",
            f"{counts.accepted:,}",
            f"{counts.rejected:,}",
            f"{counts.invalid:,}",
            str(record.world_size),
            f"{record.timings.total_s:.0f} s",
        )
    return table


def _time_table(records: list[RoundRecord]) -> Table:
    names = ("startup", *PHASES, "unaccounted", "total")
    table = _table("Seconds by phase", "round", *(_HEADING.get(name, name) for name in names))
    for record in records:
        table.add_row(str(record.round), *(f"{getattr(record.timings, f'{name}_s'):.1f}" for name in names))
    return table


def _clause_table(by_clause: dict[str, dict[str, float | None]]) -> Table:
    table = _table("Annotation accuracy by clause", "clause", "initial", "last", "change")
    for clause, values in by_clause.items():
        initial, final = values["seed"], values["final"]
        table.add_row(
            clause.replace("_", " "),
            _percent(initial),
            _percent(final),
            "" if initial is None or final is None else f"{100 * (final - initial):+.1f}",
        )
    return table


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, header_style="dim")
    table.add_column(first)
    for name in others:
        table.add_column(name, justify="right")
    return table


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
