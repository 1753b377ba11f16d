"""Buildings: where they stand and what their walls return."""

from __future__ import annotations

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas, pixels, rectangle_samples
from corpus.simulate.fields import heading_vector
from corpus.simulate.plan import Plan
from corpus.simulate.sensor import Acquisition
from corpus.simulate.truth import SceneObject

# Ranges per zone: length, width, height in m. Below: the roofed share of a block, by density.
_HOUSES = {
    cv.Z_RESIDENTIAL: ((11, 16), (8, 11), (5, 9)),
    cv.Z_COMMERCIAL: ((24, 48), (18, 30), (14, 45)),
    cv.Z_INDUSTRIAL: ((40, 90), (25, 50), (8, 14)),
}
_COVERAGE = {"sparse": 0.075, "medium": 0.22, "dense": 0.46}
# A tile of 128 m shows the smaller ones of the large buildings, or it would show a single roof.
_SHRINK = {cv.Z_COMMERCIAL: 0.5, cv.Z_INDUSTRIAL: 0.42}


def draw_buildings(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray, taken: np.ndarray,
                   axes: dict) -> None:
    """Fills the built-up zones with rows of buildings along the street lattice."""
    for zone, sizes in _HOUSES.items():
        where = built & (c.zone == zone) & ~taken & ~c.water()
        if not where.any():
            continue
        shrink = _SHRINK.get(zone, 1.0) if c.gsd_m < 2 else 1.0
        (l0, l1), (w0, w1), (h0, h1) = sizes
        length, width = (l0 + l1) / 2 * shrink, (w0 + w1) / 2 * shrink
        pitch = np.sqrt(length * width / _COVERAGE[plan.density])
        ratio = np.sqrt(length / width)
        rows, cols = _lattice(c, rng, pitch * ratio, max(pitch / ratio, width * 1.12), plan, axes)
        r, k, ok = pixels(c.n, rows, cols)
        ok[ok] &= where[r[ok], k[ok]]
        rows, cols = rows[ok], cols[ok]
        m = rows.size
        if m == 0:
            continue
        heading = axes["heading"] + 0.0 * rows
        if not plan.regular:
            heading = heading + rng.uniform(-90, 90, m) * 0.75
        heights = rng.uniform(h0, h1, m) if zone != cv.Z_COMMERCIAL else h0 + (h1 - h0) * rng.beta(1.2, 2.5,
                                                                                                   m)
        if c.gsd_m < 2:
            heights = np.minimum(heights, 18.0)
        add_buildings(c, plan.acquisition, rng, rows, cols, rng.uniform(l0, l1, m) * shrink,
                      rng.uniform(w0, w1, m) * shrink, heading, heights, taken)


def _lattice(c: Canvas, rng, along_m: float, across_m: float, plan: Plan, axes: dict):
    """Positions in canvas pixels on a rotated, possibly warped lattice that covers the canvas."""
    reach = 0.75 * c.n * c.gsd_m
    u = np.arange(-reach, reach, along_m)
    v = np.arange(-reach, reach, across_m)
    uu, vv = (a.ravel() for a in np.meshgrid(u, v))
    jitter = 0.03 if plan.regular else 0.38
    uu = uu + rng.uniform(-jitter, jitter, uu.size) * along_m
    vv = vv + rng.uniform(-jitter, jitter, vv.size) * across_m
    keep = rng.random(uu.size) < (0.97 if plan.regular else 0.9)
    uu, vv = uu[keep] / c.gsd_m, vv[keep] / c.gsd_m
    (hr, hc), mid = heading_vector(axes["heading"]), (c.n - 1) / 2
    return mid + uu * hr - vv * hc, mid + uu * hc + vv * hr


def add_buildings(c: Canvas, acquisition: Acquisition, rng: np.random.Generator, rows, cols, lengths, widths,
                  headings, heights, taken: np.ndarray | None = None) -> None:
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
    share = np.bincount(which, weights=blocked,
                        minlength=rows.size) / np.maximum(np.bincount(which, minlength=rows.size), 1)
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
    _walls(c, acquisition, rng, rows, cols, lengths, widths, headings, heights)
    for values in zip(rows - c.pad, cols - c.pad, lengths, widths, headings % 180, heights, strict=True):
        row, col, length, width, heading, height = (float(v) for v in values)
        if -0.5 <= row < c.size - 0.5 and -0.5 <= col < c.size - 0.5:
            c.objects.append(SceneObject("building", row, col, length, width, heading, height))


def _walls(c: Canvas, acq: Acquisition, rng, rows, cols, lengths, widths, headings, heights) -> None:
    """Double bounce along the foot of the walls that face the radar, and single bounce on their faces.

    A wall that looks straight at the radar returns a dihedral's strong line; turned by more than about 12
    degrees it returns little more than its windows and edges.
    """
    g, (lr, lc) = c.gsd_m, acq.look
    for turn, half, side in ((0, lengths, widths), (90, widths, lengths), (180, lengths, widths),
                             (270, widths, lengths)):
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
        per_metre = height * (0.35 * facing + 0.9 *
                              np.exp(-((off / 13.0) ** 2))) * 10 ** rng.normal(0, 0.2, height.size)
        count = np.maximum(1, np.ceil(wall / (0.7 * g))).astype(np.int64)
        which = np.repeat(np.arange(count.size), count)
        t = (np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + 0.5) / count[which] - 0.5
        at_r = base_r[which] - nc[which] * t * wall[which] / g
        at_c = base_c[which] + nr[which] * t * wall[which] / g
        rcs = per_metre[which] * wall[which] / count[which] * 10 ** rng.normal(0, 0.25, which.size)
        cross = np.where(off[which] < 15, -11.0, -6.5)
        foot = np.column_stack([at_r, at_c, np.zeros(which.size), rcs, cross])
        face = foot.copy()
        face[:, 2] = rng.random(which.size) * height[which]
        face[:, 3] = 0.2 * height[which] * wall[which] / count[which] * facing[which]
        # balconies, corners: one dominant scatterer, it keeps its phase
        strong = rng.random(which.size) < 0.03
        face[strong, 3] *= 6.0
        c.diffuse += [foot, face[~strong]]
        c.points.append(face[strong])
