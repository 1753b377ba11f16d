"""The picture of `knowlip benchmark`: a radar plot with an axis for each data set and a line for each method."""

from collections.abc import Mapping, Sequence
from math import pi
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmark.datasets.base import DATA_SETS
from benchmark.suite.base import METHODS, SUITE
from benchmark.suite.cells import CellResult
from orchestrator.report.plots import BLUE, GREEN, GREY, INK, ORANGE, PALE, PINK, RED, SKY, STYLE

LEAST_AXES = 3
"""Fewer do not span an area."""
MOST_METHODS = 8
_OURS = "ours"
_PLACE = (0.19, 0.09, 0.55, 0.76)
"""Left, bottom, width and height of the circle; around it there is room for the names of the axes."""
_COLOURS = (ORANGE, GREEN, RED, PINK, SKY, INK, GREY)
_DASHES = ("-", "--", "-.", ":")

_FORMAT_ONLY = "format only"

Axis = tuple[str, str]
"""Task and data set."""


def headlines(cells: Sequence[CellResult]) -> dict[str, dict[Axis, float]]:
    """Method -> task and data set -> the best headline over the settings in which the method was judged.

    Samples that only show that a format is read are left out.
    """
    found: dict[str, dict[Axis, float]] = {}
    for cell in cells:
        if cell.scores and _FORMAT_ONLY not in DATA_SETS[cell.data_set].real:
            value = next(iter(cell.scores.values())).value
            own = found.setdefault(cell.method, {})
            axis = (cell.task, cell.data_set)
            own[axis] = max(value, own.get(axis, value))
    return found


def radar(cells: Sequence[CellResult]) -> Figure | None:
    """Draw the methods that were judged on the most data sets, our own encoder before all others.

    A method has a point on an axis where it was judged; an axis where it was not interrupts its line.

    Returns:
        None where there are too few axes.
    """
    values = headlines(cells)
    axes = _axes(values)
    if len(axes) < LEAST_AXES:
        return None
    chosen = _chosen(values)
    angles = [2 * pi * number / len(axes) for number in range(len(axes))]
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(11.0, 7.6))
        plot: Any = figure.add_axes(_PLACE, projection="polar")
        for number, method in enumerate(chosen):
            own = [values[method].get(axis, float("nan")) for axis in axes]
            ours = method == _OURS
            plot.plot(
                [*angles, angles[0]],
                [*own, own[0]],
                color=BLUE if ours else _COLOURS[number % len(_COLOURS)],
                linestyle="-" if ours else _DASHES[number // 2 % len(_DASHES)],
                linewidth=2.6 if ours else 1.4,
                marker="o",
                markersize=5 if ours else 3.5,
                zorder=3 if ours else 2,
                label=method,
            )
        _dress(plot, angles, axes)
        others = len(values) - len(chosen)
        title = f"{others} more in the table" if others else None
        figure.legend(
            loc="upper right", bbox_to_anchor=(0.99, 0.93), fontsize=9, title=title, title_fontsize=9, alignment="left"
        )
        figure.suptitle("Headline score of each data set, the best setting of each method", x=0.02, y=0.97, ha="left")
    return figure


def _dress(plot: Any, angles: Sequence[float], axes: Sequence[Axis]) -> None:
    """Rings, and the names of the axes outside of them."""
    plot.set_theta_offset(pi / 2)
    plot.set_theta_direction(-1)
    plot.set_ylim(0, 1)
    plot.set_yticks([0.25, 0.5, 0.75, 1.0], ["", ".5", "", "1"], fontsize=8, color=GREY)
    plot.set_xticks(angles, [f"{task.replace('_', ' ')}\n{data_set}" for task, data_set in axes], fontsize=8)
    for label, angle in zip(plot.get_xticklabels(), angles, strict=True):
        label.set_horizontalalignment("center" if abs(angle % pi) < 0.1 else "left" if angle < pi else "right")
    plot.grid(color=PALE, linewidth=0.8)
    plot.spines["polar"].set_color(PALE)


def _axes(values: Mapping[str, Mapping[Axis, float]]) -> list[Axis]:
    tasks = list(SUITE)
    return sorted({axis for own in values.values() for axis in own}, key=lambda axis: (tasks.index(axis[0]), axis[1]))


def _chosen(values: Mapping[str, Mapping[Axis, float]]) -> list[str]:
    """The methods to draw, in the order of the table."""

    def rank(method: str) -> tuple[bool, int, float]:
        own = values[method]
        return method == _OURS, len(own), sum(own.values()) / len(own)

    order = list(METHODS)
    return sorted(sorted(values, key=rank, reverse=True)[:MOST_METHODS], key=order.index)
