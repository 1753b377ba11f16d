"""The table of an ablation: mean and standard deviation over seeds, as Markdown, CSV and plain numbers."""

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

GROUPS = ("landform", "function", "target", "relation")
ACCURACY = "annotation_accuracy"


@dataclass(frozen=True)
class Column:
    """One metric of the record, its heading and its decimals."""

    metric: str
    heading: str
    decimals: int = 3


COLUMNS = (
    Column(ACCURACY, "accuracy"),
    Column(f"{ACCURACY}_rare", "on rare landforms"),
    Column(f"{ACCURACY}_common", "on common landforms"),
    Column("true_repairs", "true repairs", 0),
    Column("false_repairs", "false repairs", 0),
    Column("true_repair_rate", "of the wrong, repaired"),
    Column("false_repair_rate", "of the right, broken"),
    Column("expected_calibration_error", "ECE"),
    Column("held_out_mean_recall", "held-out mean recall"),
    Column("held_out_slot_accuracy", "held-out slot accuracy"),
    Column("held_out_weighed_accuracy", "held-out, all sources weighed"),
    Column("held_out_count_mae", "counting MAE"),
    Column("training_target_share", "share of training targets"),
    Column(f"{ACCURACY}_training_targets", "accuracy of the training targets"),
    Column("seconds", "seconds", 0),
)
GROUP_COLUMNS = tuple(
    column
    for group in GROUPS
    for column in (
        Column(f"{ACCURACY}_{group}", group),
        Column(f"{ACCURACY}_rare_{group}", f"{group}, rare"),
        Column(f"{ACCURACY}_common_{group}", f"{group}, common"),
    )
)


@dataclass(frozen=True)
class Spread:
    """Mean of n numbers and their sample standard deviation, None for one number."""

    mean: float
    deviation: float | None
    n: int

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Mean and deviation of one number or more."""
        return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))

    def text(self, decimals: int) -> str:
        """0.930 ± 0.004, or the mean alone."""
        text = f"{self.mean:,.{decimals}f}"
        return text if self.deviation is None else f"{text} ± {self.deviation:,.{decimals}f}"


@dataclass(frozen=True)
class AblationTable:
    """The table of an ablation.

    Attributes:
        rows: Name of each row -> its description.
        results: (row, seed) -> metric -> value; None where the value is not known.
    """

    rows: Mapping[str, str]
    results: Mapping[tuple[str, int], Mapping[str, float | None]]

    def seeds(self, row: str) -> list[int]:
        """Seeds with a result."""
        return sorted(seed for name, seed in self.results if name == row)

    def spread(self, row: str, metric: str) -> Spread | None:
        """Mean and standard deviation of a metric over the seeds that have it; None where no seed has it."""
        values = [value for seed in self.seeds(row) if (value := self.results[row, seed].get(metric)) is not None]
        return Spread.of(values) if values else None

    def markdown(self, title: str, note: str) -> str:
        """Two tables, everything and by clause group, and what the rows are."""
        legend = [f"- **{_name(name)}**: {description}" for name, description in self.rows.items()]
        return "\n".join(
            [
                f"# {title}",
                "",
                note,
                "",
                *self._markdown(COLUMNS),
                "",
                "## Annotation accuracy by clause group",
                "",
                *self._markdown(GROUP_COLUMNS),
                "",
                "## Rows",
                "",
                *legend,
                "",
            ]
        )

    def csv(self) -> str:
        """One line per row and seed, then two per row: seed `mean` and seed `standard_deviation`."""
        metrics = [column.metric for column in (*COLUMNS, *GROUP_COLUMNS)]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["row", "seed", "runs", *metrics])
        for name in self.rows:
            for seed in self.seeds(name):
                writer.writerow([name, seed, 1, *(self.results[name, seed].get(metric) for metric in metrics)])
            spreads = [self.spread(name, metric) for metric in metrics]
            if any(spreads):
                runs = len(self.seeds(name))
                writer.writerow([name, "mean", runs, *(spread and spread.mean for spread in spreads)])
                writer.writerow(
                    [name, "standard_deviation", runs, *(spread and spread.deviation for spread in spreads)]
                )
        return stream.getvalue()

    def metrics(self) -> dict[str, float]:
        """row/metric -> mean, and row/metric_standard_deviation where there are several seeds."""
        found = {}
        for name in self.rows:
            for column in (*COLUMNS, *GROUP_COLUMNS):
                spread = self.spread(name, column.metric)
                if spread is not None:
                    found[f"{name}/{column.metric}"] = spread.mean
                    if spread.deviation is not None:
                        found[f"{name}/{column.metric}_standard_deviation"] = spread.deviation
        return found

    def _markdown(self, columns: Sequence[Column]) -> list[str]:
        lines = [
            f"| row | seeds | {' | '.join(column.heading for column in columns)} |",
            f"|---|---{'|---:' * len(columns)}|",
        ]
        for name in self.rows:
            spreads = [self.spread(name, column.metric) for column in columns]
            cells = [
                spread.text(column.decimals) if spread else "" for spread, column in zip(spreads, columns, strict=True)
            ]
            lines.append(f"| {_name(name)} | {len(self.seeds(name))} | {' | '.join(cells)} |")
        return lines


def _name(row: str) -> str:
    return row.replace("-", " ")
