"""The map of what changed: the earth with the run's sites, and the tiles of the sites where most changed."""

import math
from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PolyCollection
from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure

from orchestrator.report.places import Site, land_outlines
from orchestrator.report.plots import BLUE, GREY, INK, PALE, STYLE

_PANELS = 8
_COLUMNS = 4
_COLOURS = LinearSegmentedColormap.from_list("changes", ["#F2F2F2", "#9ECAE1", BLUE, "#08306B"])


def draw_change_map(sites: Sequence[Site], counts: Mapping[str, int], clauses: int, title: str) -> Figure:
    """Draw tiles by how many of their clauses changed.

    Args:
        sites: where the tiles lie.
        counts: tile -> number of clauses that changed.
        clauses: how many a tile has.
        title: of the picture.
    """
    shown = sorted(sites, key=lambda site: -sum(counts.get(tile, 0) for tile in site.outlines))[:_PANELS]
    most = max([1, *counts.values()])
    with matplotlib.rc_context(STYLE):
        rows = math.ceil(len(shown) / _COLUMNS)
        world = len(sites) > 1
        figure = Figure(figsize=(11, 0.9 + 4.3 * world + 2.9 * rows), layout="constrained")
        grid = figure.add_gridspec(rows + world, _COLUMNS, height_ratios=[1.55] * world + [1] * rows)
        scale = Normalize(0, most)
        if world:
            _draw_world(figure.add_subplot(grid[0, :]), sites, counts)
        axes = [figure.add_subplot(grid[world + index // _COLUMNS, index % _COLUMNS]) for index in range(len(shown))]
        for each, site in zip(axes, shown, strict=True):
            _draw_site(each, site, counts, scale)
        if axes:
            bar = figure.colorbar(ScalarMappable(scale, _COLOURS), ax=axes, shrink=0.7, aspect=25, pad=0.02)
            bar.set_label(f"changed clauses of {clauses}")
            bar.outline.set_visible(False)
        figure.suptitle(title, x=0.01, ha="left", weight="bold", fontsize=13)
        return figure


def _draw_world(axes, sites: Sequence[Site], counts: Mapping[str, int]) -> None:
    axes.add_collection(PolyCollection(list(land_outlines()), facecolor=PALE, edgecolor="none"))
    changed = np.asarray([np.mean([counts.get(tile, 0) for tile in site.outlines]) for site in sites])
    sizes = np.asarray([len(site.outlines) for site in sites])
    lons, lats = [site.lon for site in sites], [site.lat for site in sites]
    axes.scatter(
        lons,
        lats,
        s=25 + 120 * np.sqrt(sizes / sizes.max()),
        c=changed,
        cmap=_COLOURS,
        vmin=0,
        edgecolor=INK,
        linewidth=0.7,
        zorder=3,
    )
    for site in sites[:40]:
        axes.annotate(
            site.name, (site.lon, site.lat), xytext=(6, 4), textcoords="offset points", fontsize=7.5, color=INK
        )
    low, high = max(min(lats) - 15, -90), min(max(lats) + 15, 90)
    left, right = max(min(lons) - 20, -180), min(max(lons) + 20, 180)
    axes.set(xlim=(left, right), ylim=(low, high), aspect=1 / max(math.cos(math.radians((low + high) / 2)), 0.3))
    axes.set_xlabel("degrees east", color=GREY, fontsize=8)
    axes.set_ylabel("degrees north", color=GREY, fontsize=8)
    axes.tick_params(labelsize=8, length=2)


def _draw_site(axes, site: Site, counts: Mapping[str, int], scale: Normalize) -> None:
    tiles = list(site.outlines)
    axes.add_collection(
        PolyCollection(
            [site.outlines[tile] for tile in tiles],
            facecolor=[_COLOURS(scale(counts.get(tile, 0))) for tile in tiles],
            edgecolor=GREY,
            linewidth=0.5,
        )
    )
    corners = np.concatenate(list(site.outlines.values()))
    low, high = corners.min(axis=0), corners.max(axis=0)
    half = max((high - low).max() / 2 * 1.08, 0.05)
    middle = (low + high) / 2
    axes.set(
        xlim=(middle[0] - half, middle[0] + half), ylim=(middle[1] - half, middle[1] + half), aspect="equal", xticks=[]
    )
    axes.set_yticks([])
    axes.set_facecolor("#FAFBFC")
    for spine in axes.spines.values():
        spine.set(visible=True, color=PALE)
    axes.set_title(site.name, fontsize=9.5)
    axes.set_xlabel(f"{len(tiles)} tiles, {2 * half:.3g} km across", fontsize=8, color=GREY)
