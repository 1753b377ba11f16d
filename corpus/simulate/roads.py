"""Streets, country roads and motorways."""

from __future__ import annotations

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas
from corpus.simulate.fields import along, fractal, heading_vector
from corpus.simulate.plan import Plan


def grid_axes(c: Canvas, plan: Plan, rng: np.random.Generator) -> dict:
    """The street lattice buildings follow: heading, warp fields (pixels) and spacings (m)."""
    warp = 0.0 if plan.regular else 0.05 * c.size
    longest = min(240.0, c.extent_m / 2.6)
    return {
        "heading": float(rng.uniform(0, 90)),
        "warp": (warp * fractal(rng, c.n, 2.2, 0.6), warp * fractal(rng, c.n, 2.2, 0.6)),
        "spacing_m": (float(rng.uniform(0.6, 1.0) * longest), float(rng.uniform(0.45, 0.8) * longest)),
    }


def draw_roads(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray, axes: dict) -> np.ndarray:
    """Draws the wished roads on the cover; returns the mask bool [n, n] no building may stand on."""
    taken = np.zeros((c.n, c.n), bool)
    land = ~c.water() & (c.zone != cv.Z_AIRPORT)
    if plan.road == "grid" and built.any():
        width = max(rng.uniform(9, 13) if c.gsd_m < 2 else rng.uniform(13, 18), 2.0 * c.gsd_m)
        for k in (0, 1):
            line = along(c.n, heading_vector(axes["heading"] + 90 * k)) + axes["warp"][k]
            spacing = axes["spacing_m"][k] / c.gsd_m
            position = np.abs((line / spacing + 0.5) % 1.0 - 0.5) * spacing
            street = (position * c.gsd_m < width / 2) & built & land
            if street.any():
                c.roads.append({"kind": "street", "direction": k, "width_m": round(width, 1),
                                "spacing_m": round(axes["spacing_m"][k], 1)})
            taken |= street
        c.cover[taken] = cv.ROAD
    if plan.road == "grid" and not built.any():
        _track(c, rng, taken, land, 2, axes["heading"])
    if plan.road == "sparse":
        _track(c, rng, taken, land, int(rng.integers(1, 3)), None)
    if plan.road == "highway":
        _highway(c, rng, taken, axes, c.zone != cv.Z_AIRPORT)
    return taken


def _course(c: Canvas, rng: np.random.Generator, heading: float, bend: float) -> np.ndarray:
    """Distance in pixels of every pixel from a curved line through the tile."""
    across = along(c.n, heading_vector(heading + 90))
    profile = fractal(rng, c.n, 2.6)[c.n // 2] * bend * c.size
    at = np.clip(along(c.n, heading_vector(heading)) + c.n / 2, 0, c.n - 1)
    return across - np.interp(at, np.arange(c.n), profile) - rng.uniform(-0.28, 0.28) * c.size


def _track(c: Canvas, rng, taken, land, count: int, heading: float | None) -> None:
    first = rng.uniform(0, 180)
    for k in range(count):
        width = max(rng.uniform(9, 13), 2.4 * c.gsd_m)
        course = _course(c, rng, first + k * rng.uniform(50, 130) if heading is None else heading + 90 * k,
                         0.06)
        mask = (np.abs(course) * c.gsd_m < width / 2) & land
        taken |= mask
        c.cover[mask] = cv.ROAD
        c.roads.append({"kind": "road", "direction": k, "width_m": round(width, 1)})


def _highway(c: Canvas, rng, taken, axes, free: np.ndarray) -> None:
    """Two wide dark carriageways with bright crash barriers; it crosses water on a bridge."""
    width = float(rng.uniform(24, 30) if c.gsd_m < 2 else rng.uniform(34, 46) if c.gsd_m < 8
                  else rng.uniform(46, 60))
    course = _course(c, rng, axes["heading"] + rng.choice([0, 90]), 0.04)
    mask = (np.abs(course) * c.gsd_m < width / 2) & free
    taken |= np.abs(course) * c.gsd_m < width / 2 + 6
    c.cover[mask] = cv.ROAD
    c.texture_db[mask] = -3.5
    c.roads.append({"kind": "highway", "direction": 0, "width_m": round(width, 1)})
    step = max(1.0, 0.8 / c.gsd_m)
    for offset in (-width / 2, 0.0, width / 2):
        barrier = (np.abs(course - offset / c.gsd_m) < step / 2) & free
        rows, cols = np.nonzero(barrier)
        rcs = 10 ** (rng.normal(-0.55, 0.25, rows.size)) * c.gsd_m**2 * (0.6 if c.gsd_m < 2 else 0.4
                                                                         if c.gsd_m < 8 else 0.1)
        c.diffuse.append(np.column_stack([rows, cols, np.full(rows.size, 1.0), rcs,
                                          np.full(rows.size, -10.0)]))
