"""`knowlip compare`: several runs side by side, from their records alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from corpus.storage.errors import InputError
from orchestrator.config.load import flatten
from orchestrator.config.schema import RunConfig
from orchestrator.policies.schedule import schedule_label
from orchestrator.report.cost import Cost, cost_of
from orchestrator.report.tables import share_text, titled_table
from orchestrator.state.records import RoundRecord, read_initial_summary, read_records
from orchestrator.state.run_directory import RunDirectory

MEASURES = {
    "accuracy": "annotation_accuracy",
    "kappa": "annotation_kappa",
    "false_repair_share": "false_repair_rate",
    "ece": "expected_calibration_error",
}
"""Column of the comparison -> metric of a round's record."""
_HEADING = {"false_repair_share": "false repairs", "ece": "calib. error"}
_NO_DIFFERENCE = {"name"}  # keys that name a run and change nothing in it


@dataclass(frozen=True)
class ComparedRun:
    """One run of a comparison.

    Attributes:
        label: Name of its directory; with the folder above it where two runs are called the same.
        path: Its directory.
        config: Its configuration.
        records: Its round records, at least one.
        initial_accuracy: Accuracy of the initial annotations in [0, 1]; None without truth.
    """

    label: str
    path: Path
    config: RunConfig
    records: tuple[RoundRecord, ...]
    initial_accuracy: float | None

    @property
    def schedule(self) -> str:
        """What its schedule has in other ways than the default one."""
        return schedule_label(self.config.schedule)

    @property
    def seconds(self) -> list[float]:
        """Seconds from the start to the end of each round, start-up included, breaks between two starts left out."""
        return list(accumulate(record.timings.total_s for record in self.records))

    @property
    def cost(self) -> Cost:
        """What all recorded rounds cost."""
        return cost_of(self.config, self.records)

    def measures(self, record: RoundRecord) -> dict[str, float | None]:
        """The values of `MEASURES` after a round; None without truth, or where an earlier version did not measure."""
        return {column: record.metrics.get(metric) for column, metric in MEASURES.items()}


def read_runs(paths: Sequence[Path]) -> list[ComparedRun]:
    """Read the runs to compare.

    Raises:
        InputError: There is no run in a directory, a run has no recorded round, or one is given twice.
        RecordError: A record is damaged.
    """
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) < len(resolved):
        raise InputError(f"One run is given twice: {', '.join(map(str, paths))}. Name each run once.")
    names = [path.name for path in resolved]
    found = []
    for path in resolved:
        directory, config = RunDirectory.open(path)
        if not (records := read_records(directory.path)):
            raise InputError(f"{path} has no recorded round yet, so there is nothing to compare. Leave it out.")
        initial = read_initial_summary(directory.path)
        label = path.name if names.count(path.name) == 1 else f"{path.parent.name}/{path.name}"
        accuracy = None if initial is None else initial.annotation_accuracy
        found.append(ComparedRun(label, path, config, tuple(records), accuracy))
    return found


def differences(runs: Sequence[ComparedRun]) -> dict[str, list[Any]]:
    """The configuration keys in which the runs differ, with the value that each run has; None where it lacks the key.

    Of annotation schemas the name and the digest are compared. The name of the configuration counts for nothing.
    """
    flat = [flatten(run.config) for run in runs]
    keys = dict.fromkeys(key for each in flat for key in each if key not in _NO_DIFFERENCE)
    values = {key: [each.get(key) for each in flat] for key in keys}
    return {key: found for key, found in values.items() if any(value != found[0] for value in found)}


def comparison_as_json(runs: Sequence[ComparedRun]) -> dict[str, Any]:
    """The comparison as plain values.

    Returns:
        A dictionary with these keys:
            runs: For each run: run_dir, label, schedule, rounds (number), initial_accuracy, seconds (of all rounds),
                the fields of `Cost`, and by_round: for each round its number, the seconds from the start of the run to
                its end, and the values of `MEASURES`.
            differences: Configuration key -> the value of each run, for the keys in which they differ.
    """
    return {
        "runs": [
            {
                "run_dir": str(run.path),
                "label": run.label,
                "schedule": run.schedule,
                "rounds": len(run.records),
                "initial_accuracy": run.initial_accuracy,
                "seconds": run.seconds[-1],
                **run.cost.as_json(),
                "by_round": [
                    {"round": record.round, "seconds": seconds, **run.measures(record)}
                    for record, seconds in zip(run.records, run.seconds, strict=True)
                ],
            }
            for run in runs
        ],
        "differences": differences(runs),
    }


def print_comparison(runs: Sequence[ComparedRun], console: Console) -> None:
    """Print three tables: the runs, their rounds, and the configuration keys in which they differ."""
    console.print(_runs_table(runs))
    console.print(_rounds_table(runs))
    if found := differences(runs):
        console.print(_differences_table(runs, found))
    else:
        console.print("The runs have the same configuration.")


def _runs_table(runs: Sequence[ComparedRun]) -> Table:
    headings = ("rounds", "seconds", "CPU h used", "CPU h held", "GPU h held", "initial", "last")
    table = titled_table("Runs: what they cost, annotation accuracy", "run", *headings)
    table.add_column("schedule")
    for run in runs:
        cost = run.cost
        table.add_row(
            run.label,
            str(len(run.records)),
            f"{run.seconds[-1]:.0f}",
            "unknown" if cost.cpu_hours_used is None else f"{cost.cpu_hours_used:.2f}",
            f"{cost.cpu_hours_held:.2f}",
            f"{cost.gpu_hours_held:.2f}",
            share_text(run.initial_accuracy),
            share_text(run.measures(run.records[-1])["accuracy"]),
            run.schedule,
        )
    return table


def _rounds_table(runs: Sequence[ComparedRun]) -> Table:
    headings = (_HEADING.get(column, column) for column in MEASURES)
    table = titled_table("By round", "run", "round", "seconds since start", *headings)
    for run in runs:
        for record, seconds in zip(run.records, run.seconds, strict=True):
            values = (share_text(value) for value in run.measures(record).values())
            table.add_row(run.label, str(record.round), f"{seconds:.0f}", *values)
    return table


def _differences_table(runs: Sequence[ComparedRun], found: dict[str, list[Any]]) -> Table:
    table = titled_table("Configuration keys in which they differ", "key", *(run.label for run in runs))
    for key, values in found.items():
        table.add_row(key, *("-" if value is None else str(value) for value in values))
    return table
