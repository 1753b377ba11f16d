"""Towns in metres: quarters of their own heading, blocks between streets, houses along them, yards and parks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.simulate import canvas as cv
from corpus.simulate.buildings import add_buildings
from corpus.simulate.canvas import Canvas, pixels
from corpus.simulate.farmland import edges
from corpus.simulate.fields import along, blobs, heading_vector
from corpus.simulate.plan import Plan
from corpus.simulate.recipe import Houses

_QUARTER_M = 380.0  # side of a quarter of an irregular town
_MOST_QUARTERS = 60
_SETBACK_M = 4.0  # from the kerb to the house
_STREET_M = (10.0, 16.0)
_VACANT = 0.12  # of the lots
_PARKS = 0.06  # of the ground of a town


@dataclass(frozen=True)
class _Quarter:
    """A part of a town with one heading, and the borders of its blocks in m along and across the houses' fronts."""

    heading_deg: float
    where: np.ndarray  # bool [n, n]
    houses: Houses
    zone: int
    along_m: np.ndarray
    across_m: np.ndarray


def draw_town(c: Canvas, plan: Plan, rng: np.random.Generator, built: np.ndarray, taken: np.ndarray) -> np.ndarray:
    """Draws streets (where the plan has a grid of them), parks and buildings into the built-up zone.

    Args:
        c: the canvas; it gets cover, roofs, heights, scatterers and objects.
        plan: the scene's plan.
        rng: random numbers.
        built: bool [n, n], the built-up zone.
        taken: bool [n, n], where no building may stand, such as motorways.

    Returns:
        bool [n, n]: `taken` with the streets.
    """
    land = built & ~c.water()
    area = float(c.crop(land).sum())
    if area == 0:
        return taken
    quarters = _quarters(c, plan, rng, land)
    width = float(rng.uniform(*_STREET_M))
    taken = taken.copy()
    if plan.road == "grid":
        for quarter in quarters:
            street = _streets(c, quarter, width) & quarter.where & land & ~taken
            taken |= street
            c.cover[street] = cv.ROAD
        spacing = float(np.mean([np.diff(q.across_m).mean() for q in quarters]))
        c.roads += [
            {"kind": "street", "direction": k, "width_m": round(width, 1), "spacing_m": round(spacing, 1)}
            for k in (0, 1)
        ]
    ground = land & ~taken & (c.cover == cv.URBAN)
    parks = blobs(rng, c.n, 60.0 / c.gsd_m)
    c.cover[ground & (parks > np.quantile(parks, 1 - _PARKS))] = cv.FOREST
    blocked = taken | (land & (c.cover == cv.FOREST))
    free = max(float(c.crop(land & ~blocked).sum()), 1.0)
    share = min(plan.roofed_share * c.size**2 / free, 0.6)  # of the ground that may be built on
    for quarter in quarters:
        _build(c, plan, rng, quarter, land, blocked, share, width if plan.road == "grid" else 0.0)
    return taken


def _quarters(c: Canvas, plan: Plan, rng: np.random.Generator, land: np.ndarray) -> list[_Quarter]:
    """One quarter for a regular town, many for an irregular one; of each zone apart."""
    count = 1 if plan.regular else int(np.clip((c.n * c.gsd_m / _QUARTER_M) ** 2, 3, _MOST_QUARTERS))
    label = np.zeros((c.n, c.n), np.int64)
    headings = np.array([c.axes["heading"]])
    if count > 1:
        rows, cols = rng.uniform(0, c.n, (2, count))
        x = np.arange(c.n)
        label = np.argmin((x[:, None, None] - rows) ** 2 + (x[None, :, None] - cols) ** 2, axis=2)
        headings = rng.uniform(0, 180, count)
    reach, found = 0.75 * c.n * c.gsd_m, []
    for zone, houses in plan.recipe.houses.items():
        of_zone = land & (c.zone == zone)
        for k, heading in enumerate(headings):
            where = of_zone & (label == k)
            if where.any():
                borders = [edges(rng, reach, *span) for span in houses.block_m]
                found.append(_Quarter(float(heading), where, houses, zone, *borders))
    return found


def _streets(c: Canvas, quarter: _Quarter, width_m: float) -> np.ndarray:
    """Mask bool [n, n] of the streets on the borders of a quarter's blocks."""
    mask = np.zeros((c.n, c.n), bool)
    for turn, borders in ((0, quarter.along_m), (90, quarter.across_m)):
        at = along(c.n, heading_vector(quarter.heading_deg + turn)) * c.gsd_m
        k = np.clip(np.searchsorted(borders, at), 1, len(borders) - 1)
        mask |= np.minimum(np.abs(at - borders[k - 1]), np.abs(borders[k] - at)) < max(width_m, c.gsd_m) / 2
    return mask


def _build(
    c: Canvas,
    plan: Plan,
    rng: np.random.Generator,
    quarter: _Quarter,
    land: np.ndarray,
    blocked: np.ndarray,
    share: float,
    street_m: float,
) -> None:
    """Puts houses on the lots of a quarter: rows along the long sides of blocks, more rows where it is dense."""
    houses = quarter.houses
    u, v = _lots(rng, quarter, share / (1 - _VACANT), street_m, plan.regular)
    if len(u) == 0:
        return
    kept = rng.random(len(u)) >= _VACANT
    u, v = u[kept] / c.gsd_m, v[kept] / c.gsd_m
    (hr, hc), mid = heading_vector(quarter.heading_deg), (c.n - 1) / 2
    rows, cols = mid + u * hr - v * hc, mid + u * hc + v * hr
    r, k, inside = pixels(c.n, rows, cols)
    inside[inside] &= quarter.where[r[inside], k[inside]]
    rows, cols = rows[inside], cols[inside]
    m = len(rows)
    if m == 0:
        return
    c.roof_db[quarter.where] = houses.roof_db
    turn = rng.normal(0, 2 if plan.regular else 6, m)
    add_buildings(
        c,
        plan.acquisition,
        rng,
        rows,
        cols,
        rng.uniform(*houses.length_m, m),
        rng.uniform(*houses.width_m, m),
        quarter.heading_deg + turn,
        houses.height_m * np.exp(rng.normal(0, houses.height_spread, m)),
        blocked,
        cross_spread_db=houses.cross_spread_db,
    )


def _lots(
    rng: np.random.Generator, quarter: _Quarter, share: float, street_m: float, regular: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Centres of lots in m along and across the fronts, so that houses on all of them roof `share` of the ground."""
    houses = quarter.houses
    length, width = (float(np.mean(span)) for span in (houses.length_m, houses.width_m))
    us, vs = [], []
    for low, high in zip(quarter.across_m[:-1], quarter.across_m[1:], strict=True):
        depth = high - low
        room = depth - street_m - 2 * _SETBACK_M
        most = max(int(room / (width * 1.15)), 1)
        rows = int(np.clip(np.ceil(share * depth * 1.08 / width), min(2, most), most))
        pitch = max(rows * length * width / (share * depth), length * 1.06)
        at = np.arange(quarter.along_m[0], quarter.along_m[-1], pitch) + rng.uniform(0, pitch)
        k = np.clip(np.searchsorted(quarter.along_m, at), 1, len(quarter.along_m) - 1)
        to_street = np.minimum(np.abs(at - quarter.along_m[k - 1]), np.abs(quarter.along_m[k] - at))
        at = at[to_street > street_m / 2 + length / 2] if street_m else at
        first, last = low + street_m / 2 + _SETBACK_M + width / 2, high - street_m / 2 - _SETBACK_M - width / 2
        for front in np.linspace(first, last, rows) if rows > 1 else [(first + last) / 2]:
            us.append(at)
            vs.append(np.full(len(at), front))
    u, v = np.concatenate(us), np.concatenate(vs)
    shake = 0.1 if regular else 0.2
    return u + rng.uniform(-shake, shake, len(u)) * length, v + rng.uniform(-shake, shake, len(v)) * width
