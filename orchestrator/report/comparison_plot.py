"""The picture of `knowlip compare`: accuracy against seconds, a line for each run, a colour for each schedule."""

from collections.abc import Sequence

import matplotlib
from matplotlib.figure import Figure

from corpus.storage.errors import InputError
from orchestrator.policies.retention import CHAMPION_METRIC
from orchestrator.report.comparison import MEASURES, ComparedRun
from orchestrator.report.plots import BLUE, GREEN, INK, ORANGE, PALE, PINK, RED, SKY, STYLE

_COLOURS = (BLUE, ORANGE, GREEN, RED, PINK, SKY, INK)
_MARKERS = "osD^vPX"


def accuracy_against_seconds(runs: Sequence[ComparedRun]) -> Figure:
    """Draw the annotation accuracy after each round against the seconds since the start of the run.

    The initial annotations stand at 0 seconds. Without truth the held-out likelihood is drawn, which has no initial
    value.

    Raises:
        InputError: No run has either number.
    """
    metric = next((each for each in (MEASURES["accuracy"], CHAMPION_METRIC) if _has(runs, each)), None)
    if metric is None:
        raise InputError(
            f"No round of these runs has {MEASURES['accuracy']} or {CHAMPION_METRIC}: there is nothing to draw. Leave "
            "--plot out."
        )
    schedules = list(dict.fromkeys(run.schedule for run in runs))
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.2, 4.8), layout="constrained")
        axes = figure.subplots()
        for number, run in enumerate(runs):
            points = [
                (seconds, value)
                for seconds, record in zip(run.seconds, run.records, strict=True)
                if (value := record.metrics.get(metric)) is not None
            ]
            if metric == MEASURES["accuracy"] and run.initial_accuracy is not None:
                points.insert(0, (0.0, run.initial_accuracy))
            axes.plot(
                *zip(*points, strict=True),
                marker=_MARKERS[number % len(_MARKERS)],
                color=_COLOURS[schedules.index(run.schedule) % len(_COLOURS)],
                linewidth=1.8,
                markersize=6,
                label=f"{run.label} ({run.schedule})",
            )
        axes.set_xlim(left=0)
        axes.set_axisbelow(True)
        axes.grid(color=PALE, linewidth=0.8)
        axes.set_xlabel("seconds since the start of the run")
        axes.set_ylabel(metric.replace("_", " "))
        axes.set_title(f"{metric.replace('_', ' ').capitalize()} against time")
        axes.legend(loc="lower right", fontsize=9)
    return figure


def _has(runs: Sequence[ComparedRun], metric: str) -> bool:
    return any(record.metrics.get(metric) is not None for run in runs for record in run.records)
