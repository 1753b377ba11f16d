"""Farmland in metres: parcels of unequal length and width, each with its crop, and trees along some borders."""

from __future__ import annotations

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas
from corpus.simulate.fields import along, heading_vector
from corpus.simulate.recipe import Recipe

_HEDGES = 0.3  # of the farmlands have trees along borders
_HEDGED_PARCELS = 0.4  # of the parcels of such a farmland
_HEDGE_M = 12.0


def edges(rng: np.random.Generator, reach_m: float, low: float, high: float) -> np.ndarray:
    """Borders in m, rising, of strips of unequal width that cover -reach_m to reach_m."""
    widths = rng.uniform(low, high, int(2 * reach_m / low) + 3)
    at = np.cumsum(widths) - reach_m - rng.uniform(0, high)
    return at[: int(np.searchsorted(at, reach_m)) + 2]


def draw_parcels(c: Canvas, recipe: Recipe, rng: np.random.Generator, where: np.ndarray) -> None:
    """Fills an area, bool [n, n], with fields: strips cut into parcels; crops differ more in VV or in VH."""
    c.cover[where], c.zone[where] = cv.CROPLAND, cv.Z_CROPLAND
    heading, reach = rng.uniform(0, 180), 0.75 * c.n * c.gsd_m
    (long0, long1), (wide0, wide1) = recipe.field_m
    u, v = (along(c.n, heading_vector(heading + turn)) * c.gsd_m for turn in (0, 90))
    strips = edges(rng, reach, wide0, wide1)
    strip = np.searchsorted(strips, v)
    # Strips are cut at borders of their own. One search finds all: each strip's borders lie behind the last one's.
    behind = 4 * reach
    cuts = np.concatenate([edges(rng, reach, long0, long1) + k * behind for k in range(len(strips) + 1)])
    parcel = np.searchsorted(cuts, u + strip * behind)
    both_db, cross_db = (rng.normal(0, spread, len(cuts) + 1) for spread in recipe.crop_db)
    c.texture_db[where] += both_db[parcel][where]
    c.cross_db[where] += (cross_db + (recipe.cross_share - 1) * both_db)[parcel][where]
    if rng.random() < _HEDGES:
        hedged = rng.random(len(cuts) + 1) < _HEDGED_PARCELS
        near = np.minimum(_to_nearest(strips, v), _to_nearest(cuts, u + strip * behind)) < _HEDGE_M / 2
        c.cover[where & near & hedged[parcel]] = cv.FOREST


def _to_nearest(borders: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Distance of positions to the nearest of rising borders."""
    k = np.clip(np.searchsorted(borders, at), 1, len(borders) - 1)
    return np.minimum(np.abs(at - borders[k - 1]), np.abs(borders[k] - at))
