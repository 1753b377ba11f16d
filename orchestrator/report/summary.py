"""What a run came to: one JSON object, or tables for people."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from orchestrator.monitoring.memory import read_memory
from orchestrator.report.tables import titled_table
from orchestrator.state.records import ACCURACY, PHASES, RoundRecord, read_initial_summary, read_records
from orchestrator.state.run_directory import RunDirectory

_OF_THE_LAST_ROUND = {
    "false_repair_share": "false_repair_rate",
    "ece": "expected_calibration_error",
    "flag_precision": "flag_precision",
    "hint_follow_rate": "hint_follow_rate",
}
"""Key of the report -> metric of a round's record."""


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
            false_repair_share: Share of the clauses that were right in the initial annotations and are wrong after
                the last round; None without truth, as the next two.
            ece: Expected calibration error of the annotations' confidence after the last round.
            flag_precision: Share of the clauses flagged in the last round that were wrong.
            hint_follow_rate: Share of the captioner's answers of the last round that repeat the encoder's hint where
                that contradicts the current value; None where no prompt has hints.

    Raises:
        RunDirectoryError: There is no run.
        RecordError: A record is damaged.
    """
    directory, _ = RunDirectory.open(Path(run_dir))
    records, memory = read_records(directory.path), read_memory(directory.path)
    initial = read_initial_summary(directory.path)
    metrics = records[-1].metrics if records else {}
    return {
        "rounds": [record.model_dump(mode="json") for record in records],
        "seed_accuracy": None if initial is None else initial.annotation_accuracy,
        "final_accuracy": metrics.get(ACCURACY),
        "accuracy_by_clause": _by_clause(
            initial.accuracy_by_clause if initial else None, records[-1].accuracy_by_clause if records else None
        ),
        "peak_rss_bytes": None if memory is None else memory.peak_rss_bytes,
        "quarantined": None if initial is None else initial.quarantined,
        **{key: metrics.get(metric) for key, metric in _OF_THE_LAST_ROUND.items()},
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
    table = titled_table(
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
    table = titled_table("Seconds by phase", "round", *(_HEADING.get(name, name) for name in names))
    for record in records:
        table.add_row(str(record.round), *(f"{getattr(record.timings, f'{name}_s'):.1f}" for name in names))
    return table


def _clause_table(by_clause: dict[str, dict[str, float | None]]) -> Table:
    table = titled_table("Annotation accuracy by clause", "clause", "initial", "last", "change")
    for clause, values in by_clause.items():
        initial, final = values["seed"], values["final"]
        table.add_row(
            clause.replace("_", " "),
            _percent(initial),
            _percent(final),
            "" if initial is None or final is None else f"{100 * (final - initial):+.1f}",
        )
    return table


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"
