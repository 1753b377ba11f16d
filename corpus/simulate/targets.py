"""Ships and aircraft: where they lie and what they return."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.canvas import Canvas
from corpus.simulate.fields import heading_vector
from corpus.simulate.plan import Plan
from corpus.simulate.truth import SceneObject


def draw_ships(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Places up to plan.targets ships on water, apart from one another, and draws them."""
    water = c.water()
    room = ndimage.distance_transform_edt(np.pad(water, 1)[1:-1, 1:-1]) * c.gsd_m
    size = str(rng.choice(["small", "medium", "large"],
                          p=(0.35, 0.4, 0.25) if c.gsd_m > 2 else (0.62, 0.38, 0)))
    low, high = {"small": (25, 70), "medium": (95, 180), "large": (220, 340)}[size]
    if c.gsd_m < 2:
        low, high = {"small": (14, 60), "medium": (84, 105)}[size]
    elif c.gsd_m > 8:
        low = max(low, 40)
    heading = float(rng.uniform(0, 360))
    at_quay = plan.function == "port"
    arrangement = str(rng.choice(["line", "cluster", "scattered"]))
    placed: list[SceneObject] = []
    anchor, course = None, heading_vector(float(rng.uniform(0, 360)))
    for _ in range(60 * max(plan.targets, 1)):
        if len(placed) >= plan.targets:
            break
        length = float(rng.uniform(low, high))
        width = length / float(rng.uniform(5.2, 7.0))
        if at_quay:
            near = np.argwhere(c.crop((room > width * 0.6) &
                                      (room < width * 0.6 + max(2.5 * c.gsd_m, 0.06 * c.extent_m))))
        else:
            near = np.argwhere(c.crop(room > width * 0.8 + c.gsd_m))
        if len(near) == 0:
            low, high = low * 0.8, high * 0.8
            if high < 10:
                return
            continue
        row, col = near[rng.integers(len(near))]
        if anchor is not None and arrangement != "scattered":
            gap = 0.13 * c.size if arrangement == "cluster" else 0.17 * c.size
            step = rng.normal(0, 1, 2) * gap if arrangement == "cluster" else (
                np.array(course) * gap * (len(placed) + rng.uniform(-0.1, 0.1)))
            row, col = anchor[0] + step[0], anchor[1] + step[1]
        if at_quay:
            angle = _quay_heading(room, row + c.pad, col + c.pad)
        else:
            angle = heading + float(rng.normal(0, 8 if arrangement == "line" else 50))
        if not _fits(c, placed, water, row, col, length, width, angle, 4):
            if anchor is not None and rng.random() < 0.03:
                anchor, course = (row, col), heading_vector(float(rng.uniform(0, 360)))
                if not 0 <= row < c.size or not 0 <= col < c.size:
                    anchor = None
            continue
        anchor = anchor or (row, col)
        ship = SceneObject("ship", float(row), float(col), length, width, angle % 360, 8.0)
        kind = int(c.cover[int(round(row)) + c.pad, int(round(col)) + c.pad])
        ship.region = ("harbour" if plan.function == "port" else
                       {cv.SEA: "sea", cv.LAKE: "lake", cv.RIVER: "channel"}[kind])
        ship.environment = "calm_water" if plan.wind_m_s < 5 else "rough_water"
        placed.append(ship)
    for ship in placed:
        _draw_ship(c, plan, rng, ship)
    c.objects += placed


def _quay_heading(room: np.ndarray, row: float, col: float) -> float:
    """Parallel to the nearest shore."""
    r, k = int(np.clip(row, 2, room.shape[0] - 3)), int(np.clip(col, 2, room.shape[1] - 3))
    dr, dc = room[r + 2, k] - room[r - 2, k], room[r, k + 2] - room[r, k - 2]
    return float(np.rad2deg(np.arctan2(dc, -dr)) + 90.0)


def _fits(c: Canvas, placed, mask, row, col, length, width, heading, gap_px: float) -> bool:
    """Inside the tile, all samples of its axis on the mask, and clear of the others by gap_px pixels."""
    edge = 2
    if not (edge <= row < c.size - edge and edge <= col < c.size - edge):
        return False
    hr, hc = heading_vector(heading)
    t = np.linspace(-0.5, 0.5, 9) * length / c.gsd_m
    for s in (-0.5, 0.0, 0.5):
        r = np.rint(row + c.pad + t * hr - s * width / c.gsd_m * hc).astype(int).clip(0, c.n - 1)
        k = np.rint(col + c.pad + t * hc + s * width / c.gsd_m * hr).astype(int).clip(0, c.n - 1)
        if not mask[r, k].all():
            return False
    mine = np.column_stack([row + t * hr, col + t * hc])
    for other in placed:
        orr, occ = heading_vector(other.heading_deg)
        s = np.linspace(-0.5, 0.5, 9) * other.length_m / c.gsd_m
        theirs = np.column_stack([other.row + s * orr, other.col + s * occ])
        gap = np.hypot(*(mine[:, None] - theirs[None]).transpose(2, 0, 1)).min()
        if gap < gap_px + (width + other.width_m) / 2 / c.gsd_m:
            return False
    return True


def _draw_ship(c: Canvas, plan: Plan, rng, ship: SceneObject) -> None:
    """A hull with a pointed bow, superstructure aft and deck gear; perhaps a wake."""
    g = c.gsd_m
    hr, hc = heading_vector(ship.heading_deg)
    row, col = ship.row + c.pad, ship.col + c.pad
    k = int(np.clip(ship.length_m * ship.width_m / g**2 * 4, 40, 6000))
    u = rng.uniform(-0.5, 0.5, k)
    v = rng.uniform(-0.5, 0.5, k) * np.clip((0.5 - u) / 0.22, 0.05, 1.0)
    deck = np.column_stack([row + (u * ship.length_m * hr - v * ship.width_m * hc) / g,
                            col + (u * ship.length_m * hc + v * ship.width_m * hr) / g, np.full(k, 4.0),
                            0.7 * ship.length_m * ship.width_m / k * rng.gamma(0.5, 2.0, k),
                            np.full(k, -7.0)])
    c.diffuse.append(deck)
    strength = float(rng.uniform(-0.4, 1.9))  # decades of RCS between a bare barge and a tanker broadside
    m = int(rng.integers(4, 9)) if ship.length_m < 80 else int(rng.integers(9, 18))
    u = np.where(rng.random(m) < 0.45, rng.uniform(-0.46, -0.28, m), rng.uniform(-0.4, 0.42, m))
    v = rng.uniform(-0.35, 0.35, m)
    rcs = 10 ** (strength + rng.uniform(0.2, 1.0, m)) * (ship.length_m / 60) ** 1.5 * (1.0 if g > 2 else 0.35)
    rcs[0] *= 3.0
    peaks = np.column_stack([row + (u * ship.length_m * hr - v * ship.width_m * hc) / g,
                             col + (u * ship.length_m * hc + v * ship.width_m * hr) / g,
                             rng.uniform(2, 9, m), np.maximum(rcs, 2.2 * g * g), np.full(m, -9.0)])
    c.points.append(peaks)
    if plan.wind_m_s < 5 and plan.function != "port" and rng.random() < 0.5:
        _wake(c, rng, ship, hr, hc)


def _wake(c: Canvas, rng, ship: SceneObject, hr: float, hc: float) -> None:
    """A dark turbulent trail behind the ship."""
    t = rng.uniform(0.5, 2.5, 1500) * ship.length_m / c.gsd_m
    s = rng.normal(0, 0.35, 1500) * ship.width_m / c.gsd_m
    r = np.rint(ship.row + c.pad - t * hr - s * hc).astype(int)
    k = np.rint(ship.col + c.pad - t * hc + s * hr).astype(int)
    ok = (r >= 0) & (r < c.n) & (k >= 0) & (k < c.n)
    mask = np.zeros((c.n, c.n), bool)
    mask[r[ok], k[ok]] = True
    c.texture_db[mask & c.water()] -= 3.0


def draw_aircraft(c: Canvas, plan: Plan, rng: np.random.Generator, airport: dict) -> None:
    """Parks aircraft in rows on the apron, or puts one or two on the runway."""
    on_runway = plan.targets <= 2 and rng.random() < 0.3
    mask = airport["runway" if on_runway else "apron"]
    size = str(rng.choice(["small", "medium", "large"], p=(0.3, 0.45, 0.25)))
    low, high = {"small": (17, 27), "medium": (33, 46), "large": (54, 74)}[size]
    hr, hc = heading_vector(airport["heading"])
    placed: list[SceneObject] = []
    inside = np.argwhere(c.crop(ndimage.binary_erosion(mask, iterations=max(1, int(0.3 * low / c.gsd_m)))))
    if len(inside) == 0:
        inside = np.argwhere(c.crop(mask))
    if len(inside) == 0:
        return
    row0, col0 = inside[rng.integers(len(inside))]
    pitch = (high * 1.25 + 3 * c.gsd_m) / c.gsd_m
    in_row = rng.random() < 0.6
    facing = airport["heading"] + (0.0 if on_runway else 90.0)
    for attempt in range(150):
        if len(placed) >= plan.targets:
            break
        if in_row and attempt < 40:
            step = ((attempt + 1) // 2) * (1 if attempt % 2 else -1) * pitch
            row, col = row0 + step * hr, col0 + step * hc
        else:
            row, col = inside[rng.integers(len(inside))] + rng.uniform(-0.4, 0.4, 2)
        length = float(rng.uniform(low, high))
        angle = facing + float(rng.normal(0, 4)) + (180.0 if rng.random() < 0.2 else 0.0)
        r, k = int(round(row)), int(round(col))
        if not (2 <= r < c.size - 2 and 2 <= k < c.size - 2 and mask[r + c.pad, k + c.pad]):
            continue
        if any(np.hypot(row - o.row, col - o.col) < 0.55 * (length + o.length_m) / c.gsd_m + 3.5
               for o in placed):
            continue
        placed.append(SceneObject("aircraft", float(row), float(col), length,
                                  length * float(rng.uniform(0.88, 1.0)),
                                  angle % 360, 5.0, "runway" if on_runway else "apron", "pavement"))
    for plane in placed:
        _draw_plane(c, rng, plane)
    c.objects += placed


def _draw_plane(c: Canvas, rng, plane: SceneObject) -> None:
    """Nose, fuselage, wing roots, engines, wing tips and tail as a cross of points over weak skin returns."""
    g = c.gsd_m
    hr, hc = heading_vector(plane.heading_deg)
    body = np.column_stack([np.linspace(-0.5, 0.5, 15), np.zeros(15)])
    wing = np.column_stack([0.08 - 0.22 * np.abs(np.linspace(-1, 1, 15)), 0.5 * np.linspace(-1, 1, 15)])
    tail = np.column_stack([np.full(5, -0.45), np.linspace(-0.17, 0.17, 5)])
    strong = np.array([[0.45, 0], [0.1, 0.0], [0.05, 0.17], [0.05, -0.17], [-0.46, 0], [-0.12, 0.46],
                       [-0.12, -0.46]])
    shape = np.concatenate([body, wing, tail])
    shape = np.repeat(shape, 4, axis=0) + rng.normal(0, 0.02, (len(shape) * 4, 2))

    def at(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = xy[:, 0] * plane.length_m / g, xy[:, 1] * plane.width_m / g
        return plane.row + c.pad + u * hr - v * hc, plane.col + c.pad + u * hc + v * hr

    area = plane.length_m * plane.width_m
    rows, cols = at(shape)
    c.diffuse.append(np.column_stack([rows, cols, np.full(rows.size, 3.0),
                                      np.full(rows.size, 0.22 * area / rows.size),
                                      np.full(rows.size, -8.0)]))
    rows, cols = at(strong)
    rcs = area * 10 ** rng.uniform(-1.5, -0.4, len(strong))
    c.points.append(np.column_stack([rows, cols, rng.uniform(1, 5, len(strong)),
                                     np.maximum(rcs, 0.9 * g * g / 3), np.full(len(strong), -9.0)]))
