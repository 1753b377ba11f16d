"""Ports and airports: paved ground, quays, runways and what stands on them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.buildings import add_buildings
from corpus.simulate.canvas import Canvas, fill_rectangle
from corpus.simulate.fields import along, heading_vector
from corpus.simulate.plan import Plan


def draw_port(c: Canvas, plan: Plan, rng: np.random.Generator, axes: dict) -> dict:
    """Piers into the water, a paved belt behind the quay, cranes; returns where containers may stand."""
    water = c.water()
    g = c.gsd_m
    gradient = np.gradient(ndimage.gaussian_filter(water.astype(np.float32), 0.1 * c.size))
    pull = [float((c.crop(a)).sum()) for a in gradient]
    seaward = float(np.rad2deg(np.arctan2(pull[1],
                                          -pull[0]))) if np.hypot(*pull) > 1 else float(rng.uniform(0, 360))
    axes["heading"] = seaward % 90
    line = along(c.n, heading_vector(seaward + 90))
    # Piers: parts of the water, near the quay, that become land.
    depth = ndimage.distance_transform_edt(water)
    if plan.water != "channel" or plan.water_share > 0.3:
        spacing = c.size * rng.uniform(0.36, 0.55)
        width = spacing * rng.uniform(0.24, 0.36)
        pier = min(c.size * rng.uniform(0.12, 0.26), 0.6 * float(depth.max()))
        on_pier = ((line + rng.uniform(0, spacing)) % spacing < width) & water & (depth < pier)
        water = water & ~on_pier
    belt = (ndimage.distance_transform_edt(~water) < c.size * rng.uniform(0.30, 0.5)) & ~water
    c.cover[belt] = cv.PAVED
    c.zone[belt], c.zone[water] = cv.Z_PORT, cv.Z_WATER
    c.texture_db[belt] = 0
    inner = ndimage.distance_transform_edt(~water)
    blocked = water | ~belt | (inner < max(22 / g, 1.5) * (0.3 if g < 2 else 1))
    _cranes(c, rng, water, inner)
    return {"seaward": seaward, "blocked": blocked}


def stack_containers(c: Canvas, plan: Plan, rng: np.random.Generator, quay: dict, taken: np.ndarray) -> None:
    """Container blocks near the water and long sheds behind, in rows along the quay."""
    g = c.gsd_m
    seaward, blocked = quay["seaward"], quay["blocked"] | taken
    scale = 0.4 if g < 2 else 1.0
    fill = {"sparse": 0.3, "medium": 0.65, "dense": 1.0}[plan.density]
    length, width = 65.0 * scale, 30.0 * scale
    u = np.arange(-0.75 * c.n, 0.75 * c.n, length * 1.25 / g)
    v = np.arange(-0.75 * c.n, 0.75 * c.n, width * 1.55 / g)
    uu, vv = (a.ravel() for a in np.meshgrid(u, v))
    keep = rng.random(uu.size) < fill
    uu, vv = uu[keep], vv[keep]
    hr, hc = heading_vector(seaward + 90)
    mid = (c.n - 1) / 2
    m = uu.size
    add_buildings(c, plan.acquisition, rng, mid + uu * hr - vv * hc, mid + uu * hc + vv * hr,
                  rng.uniform(0.75, 1.05, m) * length, rng.uniform(0.7, 1.0, m) * width,
                  np.full(m, seaward + 90.0), rng.uniform(6, 14, m) * (0.6 if g < 2 else 1), blocked)


def _cranes(c: Canvas, rng, water: np.ndarray, inner: np.ndarray) -> None:
    """Gantry cranes: small groups of very strong scatterers at the quay's edge."""
    edge = np.argwhere((inner >= 1) & (inner < 2.2) & (c.cover == cv.PAVED))
    if edge.size == 0:
        return
    for row, col in edge[rng.integers(0, len(edge), int(rng.integers(1, 3)))]:
        k = 5
        spread = 12.0 / c.gsd_m * (0.5 if c.gsd_m < 2 else 1)
        points = np.column_stack([row + rng.normal(0, spread / 2, k), col + rng.normal(0, spread / 2, k),
                                  rng.uniform(0, 25, k) * (0.4 if c.gsd_m < 2 else 1),
                                  10 ** rng.uniform(1.2, 2.2, k),
                                  np.full(k, -8.0)])
        points[:, 3] *= 0.3 if c.gsd_m < 2 else 1.0
        c.points.append(points)


def draw_airport(c: Canvas, plan: Plan, rng: np.random.Generator, axes: dict) -> dict[str, np.ndarray]:
    """Runway, taxiway, apron, terminal; returns masks bool [n, n] 'apron', 'runway' and the parking axes."""
    g, mid = c.gsd_m, (c.n - 1) / 2
    heading = float(rng.uniform(0, 180))
    axes["heading"] = heading % 90
    hr, hc = heading_vector(heading)
    side = float(rng.choice([-1, 1]))
    vr, vc = side * -hc, side * hr  # from the runway towards the apron
    e = c.extent_m
    small = g < 2
    free = ~c.water()
    wide = 1.6 * max(e, 800)
    runway_width = 30.0 if small else float(rng.uniform(45, 60)) if g > 8 else float(rng.uniform(40, 50))
    runway_at = (-0.42 if small else -0.24) * e
    apron_at, apron_deep = ((0.12, 0.58) if small else (0.20, 0.26))
    apron_long = e * (1.3 if small else float(rng.uniform(0.45, 0.7)))

    def strip(offset_m: float, length_m: float, width_m: float) -> np.ndarray:
        return fill_rectangle(c, mid + vr * offset_m / g, mid + vc * offset_m / g, length_m, width_m,
                              heading) & free

    field = strip((runway_at + apron_at * e) / 2, wide,
                  1.15 * (apron_at * e - runway_at) + apron_deep * e) | strip(
        apron_at * e, apron_long * 1.15, apron_deep * e * 1.5)
    c.cover[field], c.zone[field], c.texture_db[field] = cv.GRASS, cv.Z_AIRPORT, 0.0
    runway = strip(runway_at, wide, runway_width)
    taxi_at = 0.5 * (runway_at + apron_at * e - apron_deep * e / 2)
    taxi = np.zeros_like(runway) if small else strip(taxi_at, wide, max(25.0, 1.8 * g))
    apron = strip(apron_at * e, apron_long, apron_deep * e)
    links = np.zeros_like(runway)
    for t in rng.uniform(-0.4, 0.4, 2):
        links |= fill_rectangle(c, mid + hr * t * e / g + vr * (runway_at + apron_at * e) / 2 / g,
                                mid + hc * t * e / g + vc * (runway_at + apron_at * e) / 2 / g,
                                max(25.0, 1.8 * g) if not small else 16.0, apron_at * e - runway_at,
                                heading) & free
    c.cover[taxi | links | runway] = cv.RUNWAY
    c.cover[apron] = cv.PAVED
    c.texture_db[apron] = -3.0
    # Terminal and hangars at the far edge of the apron.
    m = 2 if small else int(rng.integers(2, 6))
    at = (np.arange(m) - (m - 1) / 2) * (apron_long / m * (0.5 if small else 1.0))
    deep = 14.0 if small else 40.0
    offset = apron_at * e + apron_deep * e / 2 + deep / 2 + (2 if small else 12)
    lengths = np.full(m, apron_long / m * (0.4 if small else 0.7))
    add_buildings(c, plan.acquisition, rng, mid + (hr * at + vr * offset) / g,
                  mid + (hc * at + vc * offset) / g,
                  lengths, np.full(m, deep), np.full(m, heading),
                  rng.uniform(10, 18, m) * (0.6 if small else 1), c.water())
    return {"apron": apron, "runway": runway, "heading": heading, "across": (vr, vc)}
