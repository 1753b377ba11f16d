"""The comparison with a reference, printed."""

from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benchmark.metrics.block_bootstrap import MeanScore
from benchmark.reference import (
    FieldScore,
)
from orchestrator.report.tables import titled_table

ANSWERS = ("initial", "final", "weights", "geography", "majority")


@dataclass(frozen=True)
class FieldReport:
    """Scores of one field over one set of windows.

    Attributes:
        clause: Name of the clause.
        scored: Whether the scores mean anything; else they are only shown.
        scores: Answer (initial, final, geography, majority) -> its score.
        second_reading: Score of the second reading against the first; None without one.
    """

    clause: str
    scored: bool
    scores: dict[str, FieldScore]
    second_reading: FieldScore | None


@dataclass(frozen=True)
class ReferenceReport:
    """A run against a reference.

    Attributes:
        by_group: Name of a set of windows -> its fields.
        mean: Name of a set of windows -> answer -> mean over its scored fields, with intervals over blocks of ground.
        windows: Number of windows of the reference that are tiles of the run.
        not_found: Number of windows that are not.
        rounds: Number of recorded rounds.
        initial_log_likelihood: Mean over clauses and tiles, of the initial annotations under weights; None for a run.
        foreign_share: Of all tiles, the share unlike those that the weights were trained on; None where these do not
            say.
    """

    by_group: dict[str, list[FieldReport]]
    mean: dict[str, dict[str, MeanScore]]
    windows: int
    not_found: int
    rounds: int
    initial_log_likelihood: float | None = None
    foreign_share: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


def print_reference_report(report: ReferenceReport, console: Console) -> None:
    """Print the comparison as tables."""
    for name, fields in report.by_group.items():
        console.print(_table(name, fields))
        for answer, found in report.mean[name].items():
            console.print(
                f"{answer}: mean {100 * found.accuracy:.1f} % ({_interval(found.accuracy_interval, 100, 1)}), kappa "
                f"{found.kappa:.2f} ({_interval(found.kappa_interval, 1, 2)})",
                highlight=False,
            )
        console.print()
    if report.initial_log_likelihood is not None:
        console.print(
            f"Mean log-likelihood of the initial annotations under the weights: {report.initial_log_likelihood:.3f}.",
            highlight=False,
        )
    if report.foreign_share is not None:
        console.print(
            f"{report.foreign_share:.0%} of the tiles are unlike the weights' training tiles.", highlight=False
        )
    console.print(
        f"{report.windows} windows of the reference are tiles of this run, {report.not_found} are not; annotations "
        f"after {report.rounds} rounds. Each cell: accuracy in % (kappa: agreement beyond chance). 2nd reader: how far "
        "another reading by the same vision-language model agreed with the first: repeatability. Majority: the "
        "reference's own most frequent value everywhere. Building counts medium and dense as one. Fields in "
        "brackets are shown, not scored: readers disagree too much, or nearly all windows have the same value.",
        highlight=False,
    )


def _table(name: str, fields: list[FieldReport]) -> Table:
    count = fields[0].scores["initial"].windows
    table = titled_table(f"Against the reference: {name}, {count} windows")
    answers = [answer for answer in ANSWERS if answer in fields[0].scores]
    for heading in ("clause", *answers, "2nd reader"):
        table.add_column(heading, justify="left" if heading == "clause" else "right", no_wrap=True)
    for field in fields:
        clause = field.clause.replace("_", " ")
        table.add_row(
            Text(clause if field.scored else f"[{clause}]"),
            *(_cell(field.scores[answer]) for answer in answers[:-1]),
            f"{100 * field.scores['majority'].accuracy:.1f}",
            _cell(field.second_reading),
            style=None if field.scored else "dim",
        )
    scored = [field for field in fields if field.scored]
    means = [sum(field.scores[answer].accuracy for field in scored) / len(scored) for answer in answers]
    # Below the accuracies, not below their kappas.
    table.add_row(
        "mean of scored", *(f"{100 * mean:.1f}      " for mean in means[:-1]), f"{100 * means[-1]:.1f}", style="bold"
    )
    return table


def _interval(interval: tuple[float, float], scale: float, digits: int) -> str:
    """95 % of the draws of blocks of ground."""
    return f"{scale * interval[0]:.{digits}f} to {scale * interval[1]:.{digits}f}"


def _cell(found: FieldScore | None) -> str:
    return "" if found is None else f"{100 * found.accuracy:.1f} {_kappa(found.kappa)}"


def _kappa(value: float) -> str:
    """As statistics writes it, without the zero before the point: 80 columns hold five cells."""
    return f"({value:.2f})".replace("0.", ".", 1)
