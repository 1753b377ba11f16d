"""Ships and aircraft: where they lie and what they return."""

from __future__ import annotations

import numpy as np

from corpus.simulate import facts
from corpus.simulate.canvas import Canvas
from corpus.simulate.clear import clear_arrangement, clear_location
from corpus.simulate.fields import distance_inside, heading_vector
from corpus.simulate.plan import Plan
from corpus.simulate.truth import SceneObject

_GAP_PIXELS = 10.0  # between two targets
_SHORE_PIXELS = 5.0  # between a ship and the shore


def draw_ships(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Places plan.targets ships on water in the wished arrangement and draws them; none where they do not fit."""
    sizes = plan.ranges.ship_m[plan.acquisition.sensor.shows_aircraft]
    length = rng.uniform(*sizes[plan.size], plan.targets)
    width = length / rng.uniform(5.0, 6.5, plan.targets)
    course = c.axes.get("channel", c.axes.get("quay", float(rng.uniform(0, 360))))
    heading = course + rng.normal(0, 4, plan.targets) + rng.choice([0.0, 180.0], plan.targets)
    room = distance_inside(np.pad(c.water(), 1)[1:-1, 1:-1]).astype(np.float32)
    spots = arrange(c, plan, rng, room, length / c.gsd_m, width / c.gsd_m, course, _SHORE_PIXELS)
    region = "harbour" if plan.function == "port" else plan.water
    for k, (row, col) in enumerate(spots):
        ship = SceneObject(
            "ship",
            float(row),
            float(col),
            float(length[k]),
            float(width[k]),
            float(heading[k] % 360),
            8.0,
            region,
            "rough_water" if plan.rough else "calm_water",
        )
        _draw_ship(c, rng, ship)
        c.objects.append(ship)


def arrange(
    c: Canvas,
    plan: Plan,
    rng: np.random.Generator,
    room: np.ndarray,
    length: np.ndarray,
    width: np.ndarray,
    heading: float,
    margin: float,
    tries: int = 1200,
) -> np.ndarray:
    """Tile positions [k, 2] of targets that lie apart, inside and unmistakably in the wished arrangement.

    room [n, n]: distance in pixels of the free area's pixels to its border; length, width [k] in pixels. The
    cells of the 3x3 grid that the mean position can have are about equally likely. Empty [0, 2] if nothing fits.
    """
    k, size = plan.targets, c.size
    free = np.argwhere(c.crop(room) > margin + width.max() / 2)
    if len(free) == 0:
        return np.zeros((0, 2))
    first = free[rng.integers(len(free), size=tries)].astype(float)
    (hr, hc), pitch = heading_vector(heading), float(width.max()) + _GAP_PIXELS
    if plan.arrangement in ("single", "scattered"):
        at = np.concatenate([first[:, None], free[rng.integers(len(free), size=(tries, k - 1))]], 1)
    elif plan.arrangement == "cluster":
        radius = pitch * np.sqrt(k) * rng.uniform(0.6, 1.1, (tries, 1, 1)) + 0.15 * length.max()
        at = first[:, None] + rng.uniform(-1, 1, (tries, k, 2)) * radius
    else:  # a line: in file, abreast or oblique
        turn = np.deg2rad(
            heading
            + (
                rng.choice([0.0, 0.0, 90.0, 60.0], tries)
                if plan.water not in ("channel",) and not plan.on_runway
                else np.zeros(tries)
            )
        )
        step = rng.uniform(0.2, 1.0, tries) * 0.12 * size + pitch + 0.5 * length.max()
        line = np.stack([-np.cos(turn), np.sin(turn)], 1) * step[:, None]
        at = (
            first[:, None]
            + (np.arange(k) - (k - 1) / 2)[None, :, None] * line[:, None]
            + rng.normal(0, 0.5, (tries, k, 2))
        )
    at = np.concatenate([first[:, None], at[:, 1:]], 1) if plan.arrangement == "cluster" else at
    good = np.ones(tries, bool)
    for t in np.linspace(-0.5, 0.5, 7):  # the whole hull on free ground and inside the tile
        p = at + t * length[None, :, None] * np.array([hr, hc])
        good &= ((p >= 3) & (p <= size - 4)).all((1, 2))
        i = np.clip(np.rint(p + c.pad).astype(int), 0, c.n - 1)
        good &= (room[i[..., 0], i[..., 1]] > margin + width / 2).all(1)
    for a in range(k):
        for b in range(a):
            d = at[:, a] - at[:, b]
            ahead, abeam = np.abs(d @ np.array([hr, hc])), np.abs(d @ np.array([-hc, hr]))
            good &= (ahead > (length[a] + length[b]) / 2 + _GAP_PIXELS - 2) | (
                abeam > (width[a] + width[b]) / 2 + _GAP_PIXELS
            )
    at = at[good]
    at = at[[_is_arranged(plan, p, size) for p in at[:160]] + [False] * max(len(at) - 160, 0)] if len(at) else at
    if len(at) == 0:
        return np.zeros((0, 2))
    cells = ((at.mean(1) + 0.5) * 3 // size).astype(int) @ np.array([3, 1])
    options = np.unique(cells)
    weights = np.where(options == 4, 0.4, 1.0)  # many arrangements fit into the centre only
    chosen = rng.choice(options, p=weights / weights.sum())
    return at[cells == chosen][0]


def _is_arranged(plan: Plan, at: np.ndarray, size: int) -> bool:
    """Whether positions [k, 2] show the wished arrangement: unmistakably, unless ambiguous scenes stay in."""
    if plan.ambiguous:
        return facts.arrangement(at, size) == plan.arrangement
    return clear_arrangement(at, size) == plan.arrangement and clear_location(at.mean(0), size)


def _draw_ship(c: Canvas, rng, ship: SceneObject) -> None:
    """A hull with a pointed bow, superstructure aft and deck gear."""
    g = c.gsd_m
    hr, hc = heading_vector(ship.heading_deg)
    row, col = ship.row + c.pad, ship.col + c.pad
    k = int(np.clip(ship.length_m * ship.width_m / g**2 * 4, 40, 6000))
    u = rng.uniform(-0.5, 0.5, k)
    v = rng.uniform(-0.5, 0.5, k) * np.clip((0.5 - u) / 0.22, 0.05, 1.0)
    deck = np.column_stack(
        [
            row + (u * ship.length_m * hr - v * ship.width_m * hc) / g,
            col + (u * ship.length_m * hc + v * ship.width_m * hr) / g,
            np.full(k, 4.0),
            0.7 * ship.length_m * ship.width_m / k * rng.gamma(0.5, 2.0, k),
            np.full(k, -7.0),
        ]
    )
    c.diffuse.append(deck)
    m = 5 if ship.length_m / g < 12 else 12
    u = np.where(rng.random(m) < 0.45, rng.uniform(-0.46, -0.28, m), rng.uniform(-0.4, 0.42, m))
    v = rng.uniform(-0.35, 0.35, m)
    rcs = 10 ** rng.uniform(0.3, 0.9, m) * g**2
    peaks = np.column_stack(
        [
            row + (u * ship.length_m * hr - v * ship.width_m * hc) / g,
            col + (u * ship.length_m * hc + v * ship.width_m * hr) / g,
            rng.uniform(0.0, 0.3 * g, m),
            rcs,
            np.full(m, -9.0),
        ]
    )
    peaks[0, :2] = row, col
    c.points.append(peaks)
    c.peaks.append((ship, peaks))


def draw_aircraft(c: Canvas, plan: Plan, rng: np.random.Generator, airport: dict) -> None:
    """Parks plan.targets aircraft on the apron or the runway in the wished arrangement and draws them."""
    length = rng.uniform(*plan.ranges.aircraft_m[c.is_fine][plan.size], plan.targets)
    span = length * rng.uniform(0.88, 1.0, plan.targets)
    heading = c.axes["heading"] + (0.0 if plan.on_runway else 90.0)
    headings = heading + rng.normal(0, 4, plan.targets) + rng.choice([0.0, 180.0], plan.targets)
    room = distance_inside(airport["runway" if plan.on_runway else "apron"]).astype(np.float32)
    # On the runway the wings reach over the grass.
    margin = 2.0 - (span.max() / c.gsd_m / 2 if plan.on_runway else 0.0)
    spots = arrange(c, plan, rng, room, length / c.gsd_m, span / c.gsd_m, heading, margin)
    for k, (row, col) in enumerate(spots):
        plane = SceneObject(
            "aircraft",
            float(row),
            float(col),
            float(length[k]),
            float(span[k]),
            float(headings[k] % 360),
            5.0,
            "runway" if plan.on_runway else "apron",
            "pavement",
        )
        _draw_plane(c, rng, plane)
        c.objects.append(plane)


def _draw_plane(c: Canvas, rng, plane: SceneObject) -> None:
    """Nose, fuselage, wing roots, engines, wing tips and tail as a cross of points over weak skin returns."""
    g = c.gsd_m
    hr, hc = heading_vector(plane.heading_deg)
    body = np.column_stack([np.linspace(-0.5, 0.5, 15), np.zeros(15)])
    wing = np.column_stack([0.08 - 0.22 * np.abs(np.linspace(-1, 1, 15)), 0.5 * np.linspace(-1, 1, 15)])
    tail = np.column_stack([np.full(5, -0.45), np.linspace(-0.17, 0.17, 5)])
    strong = np.array([[0.45, 0], [0.1, 0.0], [0.05, 0.17], [0.05, -0.17], [-0.46, 0], [-0.12, 0.46], [-0.12, -0.46]])
    shape = np.concatenate([body, wing, tail])
    shape = np.repeat(shape, 4, axis=0) + rng.normal(0, 0.02, (len(shape) * 4, 2))

    def at(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u, v = xy[:, 0] * plane.length_m / g, xy[:, 1] * plane.width_m / g
        return plane.row + c.pad + u * hr - v * hc, plane.col + c.pad + u * hc + v * hr

    area = plane.length_m * plane.width_m
    rows, cols = at(shape)
    c.diffuse.append(
        np.column_stack(
            [rows, cols, np.full(rows.size, 3.0), np.full(rows.size, 0.22 * area / rows.size), np.full(rows.size, -8.0)]
        )
    )
    rows, cols = at(strong)
    rcs = area / len(strong) * 10 ** rng.uniform(-0.6, 0.3, len(strong))
    peaks = np.column_stack(
        [rows, cols, rng.uniform(0, 0.3 * g, len(strong)), np.maximum(rcs, 0.6 * g * g), np.full(len(strong), -9.0)]
    )
    c.points.append(peaks)
    c.peaks.append((plane, peaks))
