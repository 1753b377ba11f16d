"""Buildings: where they stand and what their walls return."""

from __future__ import annotations

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas, pixels, rectangle_samples
from corpus.simulate.fields import heading_vector
from corpus.simulate.plan import Plan
from corpus.simulate.sensor import Acquisition
from corpus.simulate.truth import SceneObject

# Ranges per zone: length and width in pixels, height in m per metre of pixel, offset of roofs in dB. The coarser
# the sensor, the larger the buildings that a town is drawn of: row houses at 10 m, single houses at 1 m.
_HOUSES = {
    cv.Z_RESIDENTIAL: ((3.8, 5.2), (2.6, 3.4), (1.6, 2.2), 2.0),
    cv.Z_COMMERCIAL: ((8.5, 11.0), (7.0, 9.0), (3.2, 4.5), 3.0),
    cv.Z_INDUSTRIAL: ((13.0, 17.0), (7.5, 9.5), (0.9, 1.3), -7.0),  # sheet metal mirrors the beam away
}
_FINE_SCALE = {cv.Z_RESIDENTIAL: 2.2, cv.Z_COMMERCIAL: 1.9, cv.Z_INDUSTRIAL: 1.8}
_FINE_HEIGHT_M = {cv.Z_RESIDENTIAL: (4, 6), cv.Z_COMMERCIAL: (11, 15), cv.Z_INDUSTRIAL: (4, 6)}


def draw_buildings(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray, taken: np.ndarray) -> None:
    """Fills the built-up zones with buildings until the wished share of the tile is roofed."""
    area = float(c.crop(built & ~c.water()).sum())
    for zone, ((l0, l1), (w0, w1), heights, roof_db) in _HOUSES.items():
        where = built & (c.zone == zone) & ~taken & ~c.water()
        if not c.crop(where).any():
            continue
        scale = c.gsd_m * (_FINE_SCALE[zone] if c.is_fine else 1.0)
        h0, h1 = _FINE_HEIGHT_M[zone] if c.is_fine else (h * c.gsd_m for h in heights)
        length, width = (l0 + l1) / 2 * scale, (w0 + w1) / 2 * scale
        wanted = plan.roofed_share * c.size**2 * float(c.crop(built & (c.zone == zone)).sum()) / area
        rows, cols = _places(c, plan, rng, where, length, width, wanted)
        m = rows.size
        if m == 0:
            continue
        heading = np.full(m, c.axes["heading"]) + (0.0 if plan.regular else rng.uniform(-90, 90, m))
        c.roof_db[built & (c.zone == zone)] = roof_db
        add_buildings(
            c,
            plan.acquisition,
            rng,
            rows,
            cols,
            rng.uniform(l0, l1, m) * scale,
            rng.uniform(w0, w1, m) * scale,
            heading,
            rng.uniform(h0, h1, m),
            taken,
        )


def _places(c: Canvas, plan: Plan, rng, where: np.ndarray, length: float, width: float, wanted: float):
    """Rows and columns of buildings (m) that roof about `wanted` pixels of the tile: the best of several pitches."""
    ratio = np.sqrt((length + 1.2 * c.gsd_m) / (width + 1.2 * c.gsd_m))
    share = min(wanted / max(float(c.crop(where).sum()), 1.0), 0.6)
    best, error = (np.zeros(0), np.zeros(0)), np.inf
    for factor in (1.0, 0.9, 0.8, 1.1, 0.7, 0.62):
        pitch = np.sqrt(length * width / share) * factor
        rows, cols = _lattice(c, rng, max(pitch * ratio, length * 1.08), max(pitch / ratio, width * 1.1), plan)
        r, k, ok = pixels(c.n, rows, cols)
        ok[ok] &= where[r[ok], k[ok]]
        rows, cols = rows[ok], cols[ok]
        inside = (np.abs(rows - c.n / 2) < c.size / 2) & (np.abs(cols - c.n / 2) < c.size / 2)
        short = abs(inside.sum() * length * width / c.gsd_m**2 * 0.93 / wanted - 1.0)
        if short < error:
            best, error = (rows, cols), short
        if error < 0.1:
            break
    return best


def _lattice(c: Canvas, rng, along_m: float, across_m: float, plan: Plan):
    """Positions in canvas pixels on a rotated lattice over the canvas; irregular ones are shaken out of it."""
    reach = 0.75 * c.n * c.gsd_m
    axes = []
    for pitch, spacing in zip((along_m, across_m), c.axes["spacing_m"], strict=True):
        if plan.road == "grid":  # whole rows between two streets
            pitch = spacing / max(1, round((spacing - 3.0 * c.gsd_m) / pitch))
            axes.append((np.arange(-reach // pitch, reach // pitch) + 0.5) * pitch)
        else:
            axes.append(np.arange(-reach, reach, pitch) + rng.uniform(0, pitch))
    uu, vv = (a.ravel() for a in np.meshgrid(*axes))
    jitter = 0.02 if plan.regular else 0.36
    uu = uu + rng.uniform(-jitter, jitter, uu.size) * along_m
    vv = vv + rng.uniform(-jitter, jitter, vv.size) * across_m
    uu, vv = uu / c.gsd_m, vv / c.gsd_m
    (hr, hc), mid = heading_vector(c.axes["heading"]), (c.n - 1) / 2
    return mid + uu * hr - vv * hc, mid + uu * hc + vv * hr


def add_buildings(
    c: Canvas,
    acquisition: Acquisition,
    rng: np.random.Generator,
    rows,
    cols,
    lengths,
    widths,
    headings,
    heights,
    taken: np.ndarray | None = None,
    *,
    cross_spread_db: float = 0.0,
) -> None:
    """Adds rectangular buildings: roofs, heights, wall returns and truth objects.

    rows, cols in canvas pixels; sides and heights in m; headings in degrees. A building of which a
    quarter or more would stand on `taken` or on water is left out.
    """
    g = c.gsd_m
    which, r, k, area = rectangle_samples(rows, cols, lengths / g, widths / g, headings, 0.5)
    ir, ik, ok = pixels(c.n, r, k)
    blocked = np.zeros(which.size)
    if taken is not None:
        blocked[ok] = (taken | c.water())[ir[ok], ik[ok]]
    share = np.bincount(which, weights=blocked, minlength=rows.size) / np.maximum(
        np.bincount(which, minlength=rows.size), 1
    )
    fine = share < 0.25
    ok &= fine[which] & (blocked == 0)
    flat = ir[ok] * c.n + ik[ok]
    c.roof += np.bincount(flat, weights=area[ok], minlength=c.n**2).reshape(c.n, c.n).astype(np.float32)
    np.clip(c.roof, 0, 1, out=c.roof)
    top = np.zeros(c.n**2, np.float32)
    np.maximum.at(top, flat, heights[which[ok]].astype(np.float32))
    np.maximum(c.height_m, top.reshape(c.n, c.n), out=c.height_m)
    rows, cols, lengths, widths = rows[fine], cols[fine], lengths[fine], widths[fine]
    headings, heights = headings[fine], heights[fine]
    _walls(c, acquisition, rng, rows, cols, lengths, widths, headings, heights, cross_spread_db)
    for values in zip(rows - c.pad, cols - c.pad, lengths, widths, headings % 180, heights, strict=True):
        row, col, length, width, heading, height = (float(v) for v in values)
        if -0.5 <= row < c.size - 0.5 and -0.5 <= col < c.size - 0.5:
            c.objects.append(SceneObject("building", row, col, length, width, heading, height))


def _walls(
    c: Canvas, acq: Acquisition, rng, rows, cols, lengths, widths, headings, heights, cross_spread_db: float
) -> None:
    """Double bounce along the foot of the walls that face the radar, and single bounce on their faces.

    A wall that looks straight at the radar returns a dihedral's strong line; turned by more than about 12
    degrees it returns little more than its windows and edges.
    """
    g, (lr, lc) = c.gsd_m, acq.look
    for turn, half, side in (
        (0, lengths, widths),
        (90, widths, lengths),
        (180, lengths, widths),
        (270, widths, lengths),
    ):
        a = np.deg2rad(headings + turn)
        nr, nc = -np.cos(a), np.sin(a)  # outward normal
        facing = -(nr * lr + nc * lc)
        sees = facing > 0.08
        if not sees.any():
            continue
        nr, nc, facing = nr[sees], nc[sees], facing[sees]
        off = np.rad2deg(np.arccos(np.clip(facing, -1, 1)))
        height, wall = heights[sees], side[sees]
        base_r = rows[sees] + nr * half[sees] / 2 / g
        base_c = cols[sees] + nc * half[sees] / 2 / g
        per_metre = (
            height * (0.35 * facing + 0.9 * np.exp(-((off / 13.0) ** 2))) * 10 ** rng.normal(0, 0.2, height.size)
        )
        count = np.maximum(1, np.ceil(wall / (0.7 * g))).astype(np.int64)
        which = np.repeat(np.arange(count.size), count)
        t = (np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[which] - 0.5
        at_r = base_r[which] - nc[which] * t * wall[which] / g
        at_c = base_c[which] + nr[which] * t * wall[which] / g
        rcs = per_metre[which] * wall[which] / count[which] * 10 ** rng.normal(0, 0.25, which.size)
        cross = np.where(off[which] < 15, -11.0, -6.5)
        if cross_spread_db:  # balconies, fences and trees in front make of each wall a depolariser of its own
            cross = cross + rng.normal(0, cross_spread_db, off.size)[which]
        foot = np.column_stack([at_r, at_c, np.zeros(which.size), rcs, cross])
        face = foot.copy()
        face[:, 2] = rng.random(which.size) * height[which]
        face[:, 3] = 0.2 * height[which] * wall[which] / count[which] * facing[which]
        # balconies, corners: one dominant scatterer, it keeps its phase
        strong = rng.random(which.size) < 0.03
        face[strong, 3] *= 6.0
        c.diffuse += [foot, face[~strong]]
        c.points.append(face[strong])
