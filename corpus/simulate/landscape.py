"""Terrain, water and land cover: everything that is there before anybody builds."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas
from corpus.simulate.farmland import draw_parcels
from corpus.simulate.fields import along, blobs, distance_inside, fractal, heading_vector
from corpus.simulate.plan import Plan

# Distance of the ridges in tiles, by relief.
_RIDGES = {"plain": (0.3, 0.4), "hills": (0.17, 0.23), "mountain": (0.25, 0.34)}


def mean_slope_deg(ground_m: np.ndarray, gsd_m: float) -> float:
    """Mean slope of a height field in degrees, after smoothing over 3 pixels."""
    rows, cols = np.gradient(ndimage.gaussian_filter(ground_m, 1.5), gsd_m)
    return float(np.rad2deg(np.arctan(np.hypot(rows, cols))).mean())


def draw_terrain(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Winding ridges scaled to the relief's slope; level at the water."""
    land = ~c.crop(c.water())
    if land.mean() < 0.02:
        return
    if plan.relief == "plain":
        field = ndimage.gaussian_filter(fractal(rng, c.n, beta=2.1, coarsest=0.55), 1.5)
    elif plan.in_metres:
        coarsest = rng.uniform(*plan.recipe.ridge_m[plan.relief]) / c.gsd_m / c.n
        field = ndimage.gaussian_filter(_ridges(c, rng, coarsest), 0.7)
    else:
        distance = rng.uniform(*_RIDGES[plan.relief]) * c.size
        heading = plan.acquisition.look_azimuth_deg + rng.uniform(-40, 40)
        bend = fractal(rng, c.n, beta=2.4, coarsest=0.8)
        phase = along(c.n, heading_vector(heading)) / distance + (0.35 if plan.relief == "hills" else 0.6) * bend
        ridge = np.abs((phase % 1.0) * 2.0 - 1.0)
        field = ndimage.gaussian_filter(ridge * (1.0 + 0.25 * fractal(rng, c.n, beta=2.0, coarsest=0.5)), 1.5)
    if c.water().any():
        shore = distance_inside(~c.water()).astype(np.float32)
        field = (field - field.min()) * np.clip(shore / (0.08 * c.size), 0, 1)
    wanted = rng.uniform(*plan.ranges.slope_deg[plan.relief])
    for _ in range(2):  # the mean of arctangents is not linear in the scale: a second step gets it right
        field *= np.tan(np.deg2rad(wanted)) / max(np.tan(np.deg2rad(mean_slope_deg(c.crop(field), c.gsd_m))), 1e-9)
    c.ground_m = (field - field.min()).astype(np.float32)


def _ridges(c: Canvas, rng: np.random.Generator, coarsest: float) -> np.ndarray:
    """Heights [n, n] of branching ridges: each octave is high where a fractal field crosses zero.

    coarsest: distance of the main ridges as a share of n.
    """
    field = 0.5 * fractal(rng, c.n, 2.0, min(1.5 * coarsest, 1.2))
    for octave in range(3):
        field -= np.abs(fractal(rng, c.n, 2.2, min(2 * coarsest, 1.5) / 2**octave)) / 2.2**octave
    return field


def draw_water(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Sea along a coast, a compact lake, or a river that crosses the tile; straight quays for a port."""
    if plan.water == "none":
        return
    n, share = c.n, plan.water_share
    straight = plan.function == "port"
    if plan.water == "channel":
        c.axes["channel"] = float(rng.uniform(0, 180))
        across = along(n, heading_vector(c.axes["channel"] + 90))
        bend = fractal(rng, n, 2.4)[n // 2]  # one profile bends the whole river
        phase = np.clip(along(n, heading_vector(c.axes["channel"])) + n / 2, 0, n - 1)
        wave = (
            np.interp(phase, np.arange(n), bend)
            * c.size
            * (0.0 if straight or (plan.targets and not plan.in_metres) else 0.05)
        )
        mask = _below_share(c, np.abs(across - wave - rng.uniform(-0.2, 0.2) * c.size), share)
    elif plan.water == "sea":
        field = along(n, heading_vector(rng.uniform(0, 360)))
        mask = _below_share(c, field + fractal(rng, n, 2.3, 0.5) * (0.0 if straight else 0.03) * c.size, share)
    else:
        row, col = rng.uniform(-0.14, 0.14, 2) * c.size + (n - 1) / 2
        x = np.arange(n)
        field = np.hypot(x[:, None] - row, (x[None, :] - col) * rng.uniform(0.8, 1.25)).astype(np.float32)
        mask = _below_share(
            c, field + fractal(rng, n, 2.3, coarsest=0.5) * (0.07 if plan.in_metres else 0.025) * c.size, share
        )
    if plan.boundary == "gradual":  # marsh and mud flats instead of a line
        mask = dissolve(c, rng, mask)
    c.cover[mask] = {"sea": cv.SEA, "lake": cv.LAKE, "channel": cv.RIVER}[plan.water]
    c.zone[c.water()] = cv.Z_WATER


def _below_share(c: Canvas, field: np.ndarray, share: float) -> np.ndarray:
    """Where the field is among the lowest `share` of the tile; everything for a share of one."""
    return field <= np.quantile(c.crop(field), share) if share < 1 else np.ones_like(field, bool)


def dissolve(c: Canvas, rng: np.random.Generator, mask: np.ndarray, width: float = 0.075) -> np.ndarray:
    """The mask with its border dissolved into patches over a wide belt (width in tiles)."""
    if mask.all() or not mask.any():
        return mask
    inside = distance_inside(mask) - distance_inside(~mask)
    return inside + blobs(rng, c.n, 1.3) * width * c.size > 0


def built_up(c: Canvas, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Mask bool [n, n] of the built-up zone in the wished pattern (land only)."""
    n, size = c.n, c.size
    land = ~c.water()
    x = (np.arange(n, dtype=np.float32) - (n - 1) / 2) / size
    hamlets = not plan.urban
    if plan.pattern == "none" or plan.function in ("port", "airport"):
        return np.zeros((n, n), bool)
    ragged = 0.035 * fractal(rng, n, 2.0, 0.35) if plan.in_metres else np.float32(0.0)  # no town ends in a circle
    if plan.pattern == "uniform" or plan.water == "sea":
        mask = np.ones((n, n), bool)
    elif plan.pattern == "central":
        radius = rng.uniform(0.28, 0.31)
        row, col = rng.uniform(-0.03, 0.03, 2)
        mask = np.hypot(x[:, None] - row, x[None, :] - col) + ragged < radius
    elif plan.pattern == "peripheral":
        mask = along(n, heading_vector(rng.uniform(0, 360))) / size + ragged > rng.uniform(0.06, 0.12)
    elif plan.pattern == "linear":
        across = along(n, heading_vector(rng.uniform(0, 180))) / size - rng.uniform(-0.1, 0.1)
        mask = np.abs(across) + ragged < rng.uniform(0.085, 0.10)
    else:  # scattered quarters or hamlets
        mask = np.zeros((n, n), bool)
        radius = rng.uniform(0.055, 0.065) if hamlets else rng.uniform(0.115, 0.125)
        for row, col in _apart(rng, int(rng.integers(4, 6)), 0.36, 0.34 if hamlets else 0.36):
            mask |= np.hypot(x[:, None] - row, x[None, :] - col) + ragged < radius
    if plan.boundary == "gradual" and plan.pattern in ("central", "peripheral") and plan.water == "none":
        mask = dissolve(c, rng, mask, 0.05)
    return mask & land


def _apart(rng: np.random.Generator, count: int, distance: float, reach: float) -> list[tuple[float, float]]:
    chosen: list[tuple[float, float]] = []
    for row, col in rng.uniform(-reach, reach, (200, 2)):
        if len(chosen) < count and all(np.hypot(row - r, col - k) >= distance for r, k in chosen):
            chosen.append((float(row), float(col)))
    return chosen


def draw_cover(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray) -> None:
    """Rural cover (parcels, woods, rock) and the ground of the built-up zone, with sharp or gradual edges."""
    land = ~c.water()
    main, other = cv.FOREST, cv.GRASS
    if built.any() and plan.water == "none":
        main, other = other, main
    if plan.relief == "mountain" and rng.random() < 0.4:
        main = cv.BARE
    crops = plan.function == "cropland"
    second = np.zeros((c.n, c.n), bool)  # the smaller of two areas of open country
    alone = plan.water == "none" and not built.any() and not crops
    if plan.boundary == "gradual" or (plan.boundary == "sharp" and alone and plan.function == "natural"):
        line = along(c.n, heading_vector(rng.uniform(0, 360)))
        second = line > np.quantile(
            c.crop(line)[c.crop(land)], rng.uniform(0.62, 0.72) if crops else rng.uniform(0.45, 0.6)
        )
        if plan.boundary == "gradual":
            second = dissolve(c, rng, second, 0.11)
    c.zone[land] = cv.Z_NATURAL
    c.cover[land] = main
    if crops:
        if plan.in_metres:
            draw_parcels(c, plan.recipe, rng, land & ~second)
        else:
            _parcels(c, rng, land & ~second)
        c.cover[land & second] = cv.FOREST
    else:
        c.cover[land & second] = other
    wild = land & (c.zone == cv.Z_NATURAL)
    if not plan.in_metres:  # else every cover has its own texture, see `texture`
        c.texture_db[wild] += (1.5 * blobs(rng, c.n, 4.0))[wild]
    _ground_of_towns(c, plan, rng, built)


def _ground_of_towns(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray) -> None:
    kind = {"residential": cv.Z_RESIDENTIAL, "commercial_core": cv.Z_COMMERCIAL, "industrial": cv.Z_INDUSTRIAL}
    zone = np.full((c.n, c.n), kind.get(plan.function, cv.Z_RESIDENTIAL), np.uint8)
    if plan.function == "mixed_urban":  # housing in one half, work in the other
        cut = along(c.n, heading_vector(c.axes["heading"] + 90.0 * rng.integers(4)))
        other = cv.Z_COMMERCIAL if rng.random() < 0.5 else cv.Z_INDUSTRIAL
        zone[cut > np.median(c.crop(cut)[c.crop(built)])] = other
    c.zone[built] = zone[built]
    c.cover[built] = np.where(zone == cv.Z_INDUSTRIAL, cv.PAVED, cv.URBAN)[built]
    c.texture_db[built] = 0.0


def _parcels(c: Canvas, rng: np.random.Generator, where: np.ndarray) -> None:
    """Fields: strips of a rotated lattice, each with its own crop, soil moisture and row direction."""
    c.cover[where], c.zone[where] = cv.CROPLAND, cv.Z_CROPLAND
    heading = rng.uniform(0, 180)
    long_px = c.size * rng.uniform(0.22, 0.34)
    wide_px = long_px * rng.uniform(0.5, 0.8)
    u, v = along(c.n, heading_vector(heading)), along(c.n, heading_vector(heading + 90))
    strip = np.floor(v / wide_px).astype(np.int64) + 64
    shift = rng.uniform(0, 1, 256)
    cell = np.floor(u / long_px + shift[strip % 256]).astype(np.int64) + 64
    crop_db = rng.choice([-4.0, -2.0, 0.5, 3.0, 5.0], (256, 256)) + rng.normal(0, 0.4, (256, 256))
    c.texture_db[where] = crop_db[strip % 256, cell % 256][where]
