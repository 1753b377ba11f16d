"""Terrain, water and land cover: everything that is there before anybody builds."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas
from corpus.simulate.fields import along, blobs, fractal, heading_vector
from corpus.simulate.plan import Plan

# Mean slope in degrees that each relief is scaled to; `facts` puts its thresholds between them.
_SLOPE_DEG = {"plain": (0.2, 0.7), "hills": (8.5, 12.0), "mountain": (20.0, 27.0)}


def mean_slope_deg(ground_m: np.ndarray, gsd_m: float) -> float:
    """Mean slope of a height field in degrees, after smoothing over 3 pixels."""
    rows, cols = np.gradient(ndimage.gaussian_filter(ground_m, 1.5), gsd_m)
    return float(np.rad2deg(np.arctan(np.hypot(rows, cols))).mean())


def draw_terrain(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Fractal heights scaled to the relief's slope; level at the water."""
    field = fractal(rng, c.n, beta=2.1, coarsest=0.55)
    field = ndimage.gaussian_filter(field, 1.5)
    if c.water().any():
        distance = ndimage.distance_transform_edt(~c.water()).astype(np.float32)
        field = (field - field.min()) * np.clip(distance / (0.12 * c.size), 0, 1)
    land = ~c.crop(c.water())
    if land.mean() < 0.02:
        return
    wanted = rng.uniform(*_SLOPE_DEG[plan.relief])
    for _ in range(2):  # the mean of arctangents is not linear in the scale: a second step gets it right
        field *= np.tan(np.deg2rad(wanted)) / max(np.tan(np.deg2rad(mean_slope_deg(c.crop(field), c.gsd_m))),
                                                  1e-9)
    c.ground_m = (field - field.min()).astype(np.float32)


def draw_water(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Sea with a fractal coast, a lake, or a river; straight quays where a port will stand."""
    if plan.water == "none":
        return
    n, share = c.n, plan.water_share
    rough = 0.02 if plan.function == "port" else rng.uniform(0.08, 0.2)
    if plan.water == "channel":
        heading = rng.uniform(0, 180)
        across = along(n, heading_vector(heading + 90))
        bend = fractal(rng, n, 2.4)[n // 2]  # one profile bends the whole river
        position = along(n, heading_vector(heading))
        phase = np.clip(position + n / 2, 0, n - 1)
        wave = np.interp(phase, np.arange(n), bend) * c.size * (0.01 if plan.function == "port" else 0.09)
        off = rng.uniform(-0.22, 0.22) * c.size
        field = np.abs(across - wave - off)
        c.cover[_below_share(c, field, share)] = cv.RIVER
    else:
        if plan.water == "sea" or plan.function == "open_water" or plan.function == "port":
            field = along(n, heading_vector(rng.uniform(0, 360)))
            if rng.random() < 0.3 and plan.function not in ("port", "open_water"):  # a bay or a cape
                side = along(n, heading_vector(rng.uniform(0, 360)))
                field = field + rng.choice([-1, 1]) * side**2 / c.size
        else:
            centre = rng.uniform(-0.2, 0.2, 2) * c.size + (n - 1) / 2
            x = np.arange(n)
            field = np.hypot(x[:, None] - centre[0],
                             (x[None, :] - centre[1]) * rng.uniform(0.6, 1.6)).astype(np.float32)
        field = field + fractal(rng, n, 2.1, coarsest=0.6) * rough * c.size * (0.6 if plan.water == "lake"
                                                                               else 1)
        if plan.gradual and plan.function != "port" and share < 1:  # mud flats and marsh instead of a line
            field = field + blobs(rng, n, 1.2) * 0.045 * c.size
        mask = _below_share(c, field, share)
        c.cover[mask] = cv.SEA if plan.water == "sea" else cv.LAKE
        beach_px = rng.uniform(15, 40) / c.gsd_m
        if plan.water == "sea" and plan.function != "port" and rng.random() < 0.6 and share < 1:
            near = ndimage.distance_transform_edt(~mask) < max(1.5, min(beach_px, 10))
            c.cover[near & ~mask] = cv.BEACH
    c.zone[c.water()] = cv.Z_WATER


def _below_share(c: Canvas, field: np.ndarray, share: float) -> np.ndarray:
    """Where the field is among the lowest `share` of the tile; everything for a share of one."""
    return field <= np.quantile(c.crop(field), share) if share < 1 else np.ones_like(field, bool)


def built_up(c: Canvas, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Mask bool [n, n] of the built-up zone in the wished pattern (land only)."""
    n, size = c.n, c.size
    land = ~c.water()
    x = (np.arange(n, dtype=np.float32) - (n - 1) / 2) / size
    radius = np.maximum(np.abs(x[:, None]), np.abs(x[None, :]))
    wobble = fractal(rng, n, 2.5, coarsest=0.5) * (0.015 if plan.regular else 0.035)
    if plan.pattern == "none":
        return np.zeros((n, n), bool)
    if plan.pattern == "uniform":
        mask = np.ones((n, n), bool)
    elif plan.pattern == "central":
        mask = np.hypot(x[:, None], x[None, :]) + wobble < rng.uniform(0.22, 0.32)
    elif plan.pattern == "peripheral":
        mask = (radius + wobble > rng.uniform(0.30, 0.36)) if rng.random() < 0.5 else (
            along(n, heading_vector(rng.uniform(0, 360))) / size + wobble > rng.uniform(0.18, 0.26))
    elif plan.pattern == "linear":
        across = along(n, heading_vector(rng.uniform(0, 180))) / size - rng.uniform(-0.15, 0.15)
        mask = np.abs(across + wobble) < rng.uniform(0.07, 0.11) * (1.5 if c.gsd_m < 2 else 1.0)
    else:  # scattered hamlets
        mask = np.zeros((n, n), bool)
        for row, col in _apart(rng, int(rng.integers(4, 8)), 0.26):
            mask |= np.hypot(x[:, None] - row, x[None, :] -
                             col) + wobble < rng.uniform(0.055, 0.09) * (1.5 if c.gsd_m < 2 else 1.0)
    return mask & land & (c.cover != cv.BEACH)


def _apart(rng: np.random.Generator, count: int, distance: float) -> list[tuple[float, float]]:
    chosen: list[tuple[float, float]] = []
    for row, col in rng.uniform(-0.43, 0.43, (60, 2)):
        if len(chosen) < count and all(np.hypot(row - r, col - k) >= distance for r, k in chosen):
            chosen.append((float(row), float(col)))
    return chosen


def draw_cover(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray) -> None:
    """Rural cover (parcels, woods, rock) and the ground of the built-up zone, with sharp or gradual edges."""
    n = c.n
    land = ~c.water() & (c.cover != cv.BEACH)
    mix = blobs(rng, n, 1.1)
    if plan.gradual:  # the zone's edge dissolves into patches over a wide belt
        edge = ndimage.gaussian_filter(built.astype(np.float32), 0.06 * c.size) + 0.22 * mix
        built[:] = (edge > 0.5) & land if 0.02 < built.mean() < 0.98 else built
    field = fractal(rng, n, 2.7, coarsest=0.8)
    if plan.gradual:
        field = field + 0.8 * mix
    crops = np.zeros((n, n), bool)
    if plan.rural != "natural":
        crops = np.ones((n, n), bool) if plan.rural == "cropland" else field < np.quantile(field,
                                                                                           rng.uniform(0.35,
                                                                                                       0.65))
    natural = land & ~crops
    c.zone[natural], c.zone[land & crops] = cv.Z_NATURAL, cv.Z_CROPLAND
    _wild(c, plan, rng, natural, mix)
    _parcels(c, rng, land & crops)
    kind = {"residential": cv.Z_RESIDENTIAL, "commercial_core": cv.Z_COMMERCIAL,
            "industrial": cv.Z_INDUSTRIAL}
    zone = np.full((n, n), kind.get(plan.function, cv.Z_RESIDENTIAL), np.uint8)
    if plan.function == "mixed_urban":
        first, second = rng.permutation([cv.Z_RESIDENTIAL, cv.Z_COMMERCIAL, cv.Z_INDUSTRIAL])[:2]
        cut = fractal(rng, n, 2.2, coarsest=0.9)
        middle = np.median(c.crop(cut)[c.crop(built)]) if c.crop(built).any() else 0.0
        zone = np.where(cut < middle, first, second).astype(np.uint8)
    c.zone[built] = zone[built]
    c.cover[built] = np.where(zone == cv.Z_INDUSTRIAL, cv.PAVED, cv.URBAN)[built]
    c.texture_db[built] = 0.0
    garden = built & (zone == cv.Z_RESIDENTIAL)
    c.cover[garden & (blobs(rng, n, max(0.8, 5 / c.gsd_m)) > 1.0)] = cv.FOREST


def _wild(c: Canvas, plan: Plan, rng: np.random.Generator, where: np.ndarray, mix: np.ndarray) -> None:
    """Woods, meadows and rock in patches; one of them rules in a homogeneous tile."""
    main, other = ((cv.FOREST, cv.GRASS), (cv.GRASS, cv.FOREST), (cv.BARE, cv.GRASS))[
        0 if plan.rural == "both" else rng.choice(3, p=(0.5, 0.3, 0.2) if plan.relief != "mountain"
                                                  else (0.45, 0.15, 0.4))]
    c.cover[where] = main
    if rng.random() < 0.5:
        field = fractal(rng, c.n, 2.7, coarsest=0.7) + (0.8 * mix if plan.gradual else 0)
        c.cover[where & (field > rng.uniform(0.2, 0.9))] = other
    c.texture_db[where] += (1.0 * blobs(rng, c.n, max(1.0, 6 / c.gsd_m)))[where]


def _parcels(c: Canvas, rng: np.random.Generator, where: np.ndarray) -> None:
    """Fields: strips of a rotated lattice, each with its own crop, soil moisture and row direction."""
    c.cover[where] = cv.CROPLAND
    heading = rng.uniform(0, 180)
    long_px = c.size * rng.uniform(0.16, 0.4)
    wide_px = long_px * rng.uniform(0.3, 0.8)
    u, v = along(c.n, heading_vector(heading)), along(c.n, heading_vector(heading + 90))
    strip = np.floor(v / wide_px).astype(np.int64) + 64
    shift = rng.uniform(0, 1, 256)
    cell = np.floor(u / long_px + shift[strip % 256]).astype(np.int64) + 64
    crop_db = rng.normal(0, 3.2, (256, 256)).clip(-6, 5)
    value = crop_db[strip % 256, cell % 256]
    if c.gsd_m <= 2:
        value = value + 1.2 * np.sin(2 * np.pi * v * c.gsd_m / rng.uniform(2.5, 5.0))  # furrows
    c.texture_db[where] = value[where]
