"""Pictures of a run, from plain data: accuracy by clause, losses, time per phase. Each function returns a Figure."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.typing import RcKeyType

from corpus.storage.disk import writing

# Okabe and Ito's colours, told apart with any colour vision.
BLUE, ORANGE, GREEN, RED = "#0072B2", "#E69F00", "#009E73", "#D55E00"
SKY, PINK, YELLOW = "#56B4E9", "#CC79A7", "#F0E442"
INK, GREY, PALE = "#222222", "#8A8A8A", "#E4E4E4"
PHASE_COLOURS = {
    "startup": "#BBBBBB",
    "train": BLUE,
    "publish": PINK,
    "score": SKY,
    "label": ORANGE,
    "refresh": GREEN,
    "evaluate": YELLOW,
    "unaccounted": INK,
}
_DARK = {BLUE, GREEN, INK}
STYLE: dict[RcKeyType, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": False,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
}


def save(figure: Figure, path: Path) -> Path:
    """Write a PNG at 150 dots an inch and return its path."""
    path = Path(path)
    FigureCanvasAgg(figure)
    with writing("a picture", path), matplotlib.rc_context(STYLE):
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, dpi=150)
    return path


def accuracy_by_clause(
    initial: Mapping[str, float], rounds: Sequence[Mapping[str, float]], group_of: Mapping[str, str] | None = None
) -> Figure:
    """Dot plot: the annotation accuracy of every clause initially (ring), after each round (small) and at last (full).

    Args:
        initial: accuracy in [0, 1] by clause; the order of its keys is kept inside a group.
        rounds: the same for each round, at least one.
        group_of: group of each clause; groups are set apart and named.

    Raises:
        ValueError: no round is given, or a round lacks a clause.
    """
    if not rounds:
        raise ValueError("accuracy by clause needs at least one round")
    for number, values in enumerate(rounds, start=1):
        if missing := sorted(set(initial) - set(values)):
            raise ValueError(f"round {number} has no accuracy for {', '.join(missing)}")
    groups: dict[str, list[str]] = {}
    for clause in initial:
        groups.setdefault((group_of or {}).get(clause, ""), []).append(clause)
    with matplotlib.rc_context(STYLE):
        rows = len(initial) + 1.3 * len(groups)
        figure = Figure(figsize=(8.2, 1.5 + 0.29 * rows), layout="constrained")
        axes = figure.subplots()
        last = rounds[-1]
        lowest = min([*initial.values(), *(value for values in rounds for value in (values[c] for c in initial))])
        left = max(0.0, lowest - 0.06)
        y, ticks, names = 0.0, [], []
        for group, clauses in groups.items():
            if group:
                axes.text(
                    -0.02,
                    y,
                    group,
                    ha="right",
                    va="center",
                    weight="bold",
                    color=GREY,
                    transform=axes.get_yaxis_transform(),
                )
            for clause in clauses:
                y += 1
                _one_clause(axes, y, initial[clause], [values[clause] for values in rounds])
                ticks.append(y)
                names.append(clause.removeprefix(f"{group}_"))
            y += 1.3
        mean_initial, mean_last = (sum(values[c] for c in initial) / len(initial) for values in (initial, last))
        axes.set_yticks(ticks, [name.replace("_", " ") for name in names])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(y - 0.3, -0.9)
        axes.set_xlim(left, 1.01)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
        axes.set_axisbelow(True)
        axes.grid(axis="x", color=PALE, linewidth=0.8)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("clauses that agree with the truth")
        figure.suptitle(
            f"Annotation accuracy: {mean_initial:.1%} initially, {mean_last:.1%} after round {len(rounds)}",
            x=0.01,
            ha="left",
            weight="bold",
        )
        axes.text(
            1.02, -0.2, "initial → last", transform=axes.get_yaxis_transform(), va="center", fontsize=9, color=GREY
        )
        handles = [axes.plot([], [], "o", mfc="white", mec=GREY, mew=1.6, ms=7, label="initial")[0]]
        if len(rounds) > 1:
            handles.append(axes.plot([], [], "|", color=BLUE, ms=8, mew=1.4, label="rounds between")[0])
        handles.append(axes.plot([], [], "o", color=BLUE, ms=7, label=f"round {len(rounds)}")[0])
        handles.append(axes.plot([], [], "o", color=RED, ms=7, label="worse than initially")[0])
        axes.legend(
            handles=handles,
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.995),
            ncols=4,
            borderpad=0,
            handletextpad=0.2,
            columnspacing=1.4,
            fontsize=9,
        )
        return figure


def _one_clause(axes, y: float, initial: float, values: list[float]) -> None:
    colour = BLUE if values[-1] >= initial - 1e-9 else RED
    axes.plot([initial, values[-1]], [y, y], color=colour, alpha=0.35, linewidth=3, solid_capstyle="butt", zorder=1)
    axes.plot(values[:-1], [y] * (len(values) - 1), "|", color=colour, ms=8, mew=1.4, zorder=2)
    axes.plot(initial, y, "o", mfc="white", mec=GREY, mew=1.6, ms=7, zorder=3)
    axes.plot(values[-1], y, "o", color=colour, ms=7, zorder=4)
    axes.text(
        1.02,
        y,
        f"{100 * initial:.0f} → {100 * values[-1]:.0f}",
        transform=axes.get_yaxis_transform(),
        va="center",
        fontsize=9.5,
        color=colour,
        weight="bold",
    )


def losses_by_step(losses: Mapping[int, Sequence[Mapping[str, float]]]) -> Figure:
    """Small multiples, one a loss: its value over optimiser steps, rounds marked by bands.

    Args:
        losses: Round -> one mapping per step, with `step` and the value of each loss.

    Raises:
        ValueError: There is no step.
    """
    names = list(dict.fromkeys(name for rows in losses.values() for row in rows for name in row if name != "step"))
    if not names:
        raise ValueError("no losses to draw")
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(3.4 * columns + 0.4, 2.5 * lines + 0.5), layout="constrained")
        grid = figure.subplots(lines, columns, squeeze=False, sharex=True)
        for axes, name in zip(grid.flat, names, strict=False):
            for number, (round_, rows) in enumerate(sorted(losses.items())):
                points = [(row["step"], row[name]) for row in rows if name in row]
                if not points:
                    continue
                steps, values = zip(*points, strict=True)
                if number % 2:
                    axes.axvspan(steps[0], steps[-1] + 1, color="#F3F3F3", zorder=0, linewidth=0)
                axes.plot(steps, values, color=SKY, linewidth=0.7, alpha=0.55, zorder=1)
                axes.plot(steps, _smooth(values), color=BLUE, linewidth=1.8, zorder=2)
                axes.text(
                    (steps[0] + steps[-1]) / 2,
                    1.0,
                    f"round {round_}" if len(losses) < 4 else str(round_),
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="bottom",
                    fontsize=8,
                    color=GREY,
                )
            # Names are those of the rows, so that one round at least has points.
            last = _smooth(values)[-1]  # pyright: ignore[reportPossiblyUnboundVariable]  # see above
            axes.annotate(
                f"{last:.2f}",
                (steps[-1], last),  # pyright: ignore[reportPossiblyUnboundVariable]  # see above
                (4, 0),
                color=BLUE,
                fontsize=9,
                textcoords="offset points",
                va="center",
                weight="bold",
                annotation_clip=False,
            )
            axes.set_title(name.replace("_", " ").upper() if len(name) <= 3 else name.replace("_", " "), pad=14)
            axes.margins(x=0.02)
        for axes in grid.flat[len(names) :]:
            axes.set_visible(False)
        for axes in list(grid.flat)[max(0, len(names) - columns) : len(names)]:  # the lowest panel of each column
            axes.set_xlabel("optimiser step")
            axes.tick_params(labelbottom=True)
        return figure


def _smooth(values: Sequence[float], window: int = 9) -> list[float]:
    """Running mean over up to `window` values, shorter at the ends."""
    half = min(window, max(1, len(values) // 4)) // 2
    return [sum(part) / len(part) for part in (values[max(0, i - half) : i + half + 1] for i in range(len(values)))]


def time_per_phase(timings: Sequence[Mapping[str, float]]) -> Figure:
    """Stacked bars, one a round: seconds of each phase by wall clock.

    Args:
        timings: Per round the seconds of each phase, `train_s` and so on as in the round record; `total_s` is written
            at the end of the bar.

    Raises:
        ValueError: There is no round.
    """
    if not timings:
        raise ValueError("time per phase needs at least one round")
    longest = max(values["total_s"] for values in timings)
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(8.2, 1.7 + 0.55 * len(timings)), layout="constrained")
        axes = figure.subplots()
        for y, values in enumerate(timings):
            begin = 0.0
            for phase, colour in PHASE_COLOURS.items():
                width = max(values[f"{phase}_s"], 0.0)
                axes.barh(
                    y,
                    width,
                    left=begin,
                    height=0.62,
                    color=colour,
                    edgecolor="white",
                    linewidth=0.8,
                    label=phase.replace("startup", "start-up") if y == 0 else None,
                )
                if width > 0.045 * longest:
                    axes.text(
                        begin + width / 2,
                        y,
                        f"{width:.0f}",
                        ha="center",
                        va="center",
                        fontsize=9,
                        color="white" if colour in _DARK else INK,
                    )
                begin += width
            axes.text(begin + 0.01 * longest, y, f"{values['total_s']:.0f} s", va="center", weight="bold")
        axes.set_yticks(range(len(timings)), [f"round {number}" for number in range(1, len(timings) + 1)])
        axes.set_ylim(len(timings) - 0.5, -0.5)
        axes.set_xlim(0, 1.1 * longest)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("seconds by wall clock")
        total = sum(values["total_s"] for values in timings)
        axes.set_title(
            f"Time per phase: {total / 60:.1f} minutes in {len(timings)} rounds"
            if len(timings) > 1
            else f"Time per phase: {total / 60:.1f} minutes in one round",
            pad=26,
        )
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 0.99),
            ncols=8,
            fontsize=9,
            handlelength=0.9,
            handletextpad=0.4,
            columnspacing=1.1,
            borderpad=0,
        )
        return figure
