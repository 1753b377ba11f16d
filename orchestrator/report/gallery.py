"""The gallery: SAR tiles with their annotation before and after, what changed in bold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from corpus.geotiff.picture import stretch
from orchestrator.report.plots import BLUE, GREY, INK, PALE, RED, STYLE


@dataclass(frozen=True)
class GalleryTile:
    """One tile of the gallery.

    Attributes:
        image: float [height, width], amplitude of one polarisation; not-a-number where there is no data.
        platform: Name of the satellite or simulated sensor.
        polarisation: Polarisation of the image.
        city: Name of the nearest city.
        gsd_m: Ground sample distance in metres per pixel.
        before: Clause -> initial value.
        after: Clause -> current value.
        truth: Clause -> true value; None where the truth is not known.
        simulated: Whether the tile is simulated.
    """

    image: np.ndarray
    platform: str
    polarisation: str
    city: str
    gsd_m: float
    before: Mapping[str, str]
    after: Mapping[str, str]
    truth: Mapping[str, str] | None = None
    simulated: bool = False


def stretch_db(image: np.ndarray, low: float = 1.0, high: float = 99.5) -> np.ndarray:
    """Amplitude as grey values: decibels between two percentiles.

    Args:
        image: amplitude, real [height, width], zero or not-a-number where there is no data.
        low: percentile that becomes black.
        high: percentile that becomes white.

    Returns:
        float32 [height, width] in [0, 1]; no data is 0.
    """
    image = np.asarray(image, dtype=np.float64)
    if image.ndim != 2:
        raise ValueError(f"one polarisation [height, width] is drawn, got shape {image.shape}")
    valid = np.isfinite(image) & (image > 0)
    return stretch(np.where(valid, 20 * np.log10(np.where(valid, image, 1.0)), np.nan), low, high)


def gallery(tiles: Sequence[GalleryTile], columns: int = 3, title: str = "") -> Figure:
    """Draw tiles with their initial and current annotations; where truth is known, changes are marked right or wrong.

    Args:
        tiles: The tiles.
        columns: Number of tiles in a row, at most.
        title: Title of the picture.

    Raises:
        ValueError: There is no tile.
    """
    if not tiles:
        raise ValueError("the gallery needs at least one tile")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    clauses = max(len(tile.before) for tile in tiles)
    text_height = 0.162 * (clauses + 1.6)
    cell_width, image_height = 3.75, 3.5
    with matplotlib.rc_context(STYLE):
        top = 0.75 if title else 0.45
        height = top + rows * (image_height + text_height + 0.7)
        figure = Figure(figsize=(columns * cell_width + 0.2, height))
        margin = 0.15 / (columns * cell_width + 0.2)
        for index, tile in enumerate(tiles):
            row, column = divmod(index, columns)
            left = (0.15 + column * cell_width) / (columns * cell_width + 0.2)
            upper = height - top - row * (image_height + text_height + 0.7) - 0.42
            width = (cell_width - 0.25) / (columns * cell_width + 0.2)
            picture = figure.add_axes((left, (upper - image_height) / height, width, image_height / height))
            _draw_image(picture, tile)
            table = figure.add_axes(
                (left, (upper - image_height - text_height - 0.06) / height, width, text_height / height)
            )
            _draw_clauses(table, tile, clauses)
        if title:
            figure.text(margin, 1 - 0.18 / height, title, weight="bold", fontsize=13, va="top")
        figure.text(margin, 1 - (0.45 if title else 0.12) / height, _legend(tiles), fontsize=9, color=GREY, va="top")
        return figure


def _legend(tiles: Sequence[GalleryTile]) -> str:
    text = "Bold: changed since the initial annotation."
    if any(tile.truth is not None for tile in tiles):
        text += "  ✓ right, ✗ wrong, against the truth that the loop does not see."
    else:
        text += "  The truth of these tiles is not known."
    return text


def _draw_image(axes, tile: GalleryTile) -> None:
    axes.imshow(stretch_db(tile.image), cmap="gray", vmin=0, vmax=1, interpolation="nearest", aspect="equal")
    axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(False)
    name = f"{tile.city} (simulated)" if tile.simulated else tile.city
    axes.text(0, 1.095, name, transform=axes.transAxes, weight="bold", fontsize=10.5, va="bottom")
    axes.text(
        0,
        1.025,
        f"{tile.platform} {tile.polarisation}, {tile.gsd_m:g} m a pixel",
        transform=axes.transAxes,
        fontsize=9,
        color=GREY,
        va="bottom",
    )
    _scale_bar(axes, tile)


def _scale_bar(axes, tile: GalleryTile) -> None:
    """A bar of a round number of metres, about a quarter of the tile."""
    width = tile.image.shape[1]
    wanted = width * tile.gsd_m / 4
    unit = 10 ** np.floor(np.log10(wanted))
    metres = unit * max(step for step in (1, 2, 5) if step * unit <= wanted)
    height = tile.image.shape[0]
    x, y = 0.05 * width, 0.94 * height
    axes.plot([x, x + metres / tile.gsd_m], [y, y], color="white", linewidth=3, solid_capstyle="butt")
    text = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    axes.text(
        x,
        y - 0.025 * height,
        text,
        color="white",
        fontsize=8.5,
        va="bottom",
        weight="bold",
        bbox={"facecolor": "black", "alpha": 0.45, "pad": 1.2, "linewidth": 0},
    )


def _draw_clauses(axes, tile: GalleryTile, clauses: int) -> None:
    """Draw three columns: clause, initial value, current value. Positions in rows from the top."""
    axes.set_xlim(0, 1)
    axes.set_ylim(clauses + 1.4, 0)
    axes.axis("off")
    for x, heading in ((0, "clause"), (0.355, "initial"), (0.675, "now")):
        axes.text(x, 0.6, heading, fontsize=8.5, color=GREY, va="center")
    axes.plot([0, 1], [1.15, 1.15], color=PALE, linewidth=1)
    for row, (clause, old) in enumerate(tile.before.items()):
        new, y = tile.after[clause], row + 1.8
        changed = new != old
        axes.text(0, y, clause.replace("_", " "), fontsize=8.5, va="center", color=INK)
        axes.text(0.355, y, _shown(old, clause, tile.truth), fontsize=8.5, va="center", color=GREY if changed else INK)
        if changed:
            right = None if tile.truth is None else tile.truth[clause] == new
            axes.text(
                0.675,
                y,
                _shown(new, clause, tile.truth),
                fontsize=8.5,
                va="center",
                weight="bold",
                color=RED if right is False else BLUE,
            )
        elif tile.truth is not None and tile.truth[clause] != new:
            axes.text(0.675, y, "same", fontsize=8.5, va="center", color=GREY)


def _shown(value: str, clause: str, truth: Mapping[str, str] | None) -> str:
    text = value.replace("_", " ")
    if truth is None:
        return text
    return f"{text} ✓" if truth[clause] == value else f"{text} ✗"
