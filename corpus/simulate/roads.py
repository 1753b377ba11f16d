"""Streets, country roads and motorways."""

from __future__ import annotations

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas
from corpus.simulate.fields import along, fractal, heading_vector
from corpus.simulate.plan import Plan

# Streets are this far apart, in pixels, by what stands between them; on a tile of 1 m twice as far.
_BLOCK_PIXELS = {"residential": (26, 31), "commercial_core": (32, 38), "industrial": (38, 44), "mixed_urban": (36, 42)}

_ROAD_M = (8.0, 13.0)  # width of a country road with its verges
_MOTORWAY_M = (32.0, 46.0)
_VERGE_M = 10.0
_BARRIER = -1.1  # logarithm to base 10 of the RCS of crash barriers over the area of a pixel


def street_axes(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """The lattice that streets and buildings follow: heading and spacings (m), into `c.axes`.

    Streets of prototypes lie within 20 degrees of the flight path, where walls answer with their double bounce.
    """
    if plan.in_metres:  # a town lies as it lies, and only walls along the flight path answer
        c.axes["heading"] = float(rng.uniform(0, 180))
        return
    low, high = _BLOCK_PIXELS.get(plan.function, (26, 31))
    scale = c.gsd_m * (1.6 if c.is_fine else 1.0)
    c.axes["heading"] = (plan.acquisition.look_azimuth_deg + float(rng.uniform(-20, 20))) % 90
    c.axes["spacing_m"] = tuple(float(x) * scale for x in rng.uniform(low, high, 2))


def draw_roads(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray) -> np.ndarray:
    """Draws the wished roads on the cover; returns the mask bool [n, n] no building may stand on."""
    taken = np.zeros((c.n, c.n), bool)
    land = ~c.water() & (c.zone != cv.Z_AIRPORT)
    if plan.road == "grid" and not plan.in_metres:  # else the town draws its streets
        width = 8.0 if c.is_fine else 3.0 * c.gsd_m
        for k in (0, 1):
            line = along(c.n, heading_vector(c.axes["heading"] + 90 * k))
            spacing = c.axes["spacing_m"][k] / c.gsd_m
            position = np.abs((line / spacing + 0.5) % 1.0 - 0.5) * spacing
            street = (position * c.gsd_m < width / 2) & built & land
            if street.any():
                c.roads.append(
                    {
                        "kind": "street",
                        "direction": k,
                        "width_m": round(width, 1),
                        "spacing_m": round(c.axes["spacing_m"][k], 1),
                    }
                )
            taken |= street
        c.cover[taken] = cv.ROAD
        c.texture_db[taken] = -2.0
    if plan.road == "sparse":
        _tracks(c, rng, taken, land, int(rng.integers(1, 3)), plan.in_metres)
    if plan.road == "highway":
        _highway(c, rng, taken, plan.in_metres)
    return taken


def _course(c: Canvas, rng: np.random.Generator, heading: float, bend: float) -> np.ndarray:
    """Distance in pixels of every pixel from a curved line through the tile."""
    across = along(c.n, heading_vector(heading + 90))
    profile = fractal(rng, c.n, 2.6)[c.n // 2] * bend * c.size
    at = np.clip(along(c.n, heading_vector(heading)) + c.n / 2, 0, c.n - 1)
    return across - np.interp(at, np.arange(c.n), profile) - rng.uniform(-0.16, 0.16) * c.size


def _tracks(c: Canvas, rng, taken, land, count: int, in_metres: bool) -> None:
    first = rng.uniform(0, 180)
    for k in range(count):
        width = 9.0 if c.is_fine else max(float(rng.uniform(*_ROAD_M)), c.gsd_m) if in_metres else 4.0 * c.gsd_m
        course = np.abs(_course(c, rng, first + k * rng.uniform(60, 120), 0.02)) * c.gsd_m
        mask = (course < width / 2) & land
        taken |= (course < width / 2 + (_VERGE_M if in_metres else 3.0 * c.gsd_m)) & land
        c.cover[mask], c.texture_db[mask] = cv.ROAD, 0.0 if in_metres else -4.0
        c.roads.append({"kind": "road", "direction": k, "width_m": round(width, 1)})


def _highway(c: Canvas, rng, taken, in_metres: bool) -> None:
    """A wide dark corridor of two carriageways between bright crash barriers; it crosses rivers on a bridge."""
    width = 26.0 if c.is_fine else float(rng.uniform(*_MOTORWAY_M) if in_metres else rng.uniform(7.0, 8.5) * c.gsd_m)
    course = _course(c, rng, float(rng.uniform(0, 180)), 0.01)
    mask = np.abs(course) * c.gsd_m < width / 2
    taken |= np.abs(course) * c.gsd_m < width / 2 + (_VERGE_M if in_metres else 2.5 * c.gsd_m)
    c.texture_db[mask] = -1.5 if in_metres else -3.5
    c.cover[mask], c.zone[mask & (c.zone == cv.Z_WATER)] = cv.ROAD, cv.Z_NATURAL
    c.roads.append({"kind": "highway", "direction": 0, "width_m": round(width, 1)})
    for offset in (-width / 2, width / 2):
        barrier = np.abs(course - offset / c.gsd_m) < 0.6
        rows, cols = np.nonzero(barrier)
        rcs = 10 ** rng.normal(_BARRIER if in_metres else 0.0, 0.25, rows.size) * c.gsd_m**2
        c.diffuse.append(np.column_stack([rows, cols, np.full(rows.size, 1.0), rcs, np.full(rows.size, -10.0)]))
