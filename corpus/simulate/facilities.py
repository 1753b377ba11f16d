"""Ports and airports: paved ground, quays, runways and what stands on them."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.buildings import add_buildings
from corpus.simulate.canvas import Canvas, fill_rectangle
from corpus.simulate.fields import distance_inside, heading_vector
from corpus.simulate.plan import Plan

_RUNWAY_M, _TAXIWAY_M = 52.0, 26.0


def draw_port(c: Canvas, plan: Plan, rng: np.random.Generator) -> None:
    """Paved ground behind a straight quay, a row of cranes, container blocks and sheds."""
    water = c.water()
    gradient = np.gradient(ndimage.gaussian_filter(water.astype(np.float32), 0.1 * c.size))
    pull = [float((c.crop(a)).sum()) for a in gradient]
    if plan.water == "channel":
        c.axes["quay"] = c.axes["channel"]
    else:
        c.axes["quay"] = float(np.rad2deg(np.arctan2(pull[1], -pull[0]))) + 90.0
    land = ~water
    c.cover[land], c.zone[land], c.texture_db[land] = cv.PAVED, cv.Z_PORT, 0.0
    inner = distance_inside(land)
    _cranes(c, rng, inner)
    _stack_containers(c, plan, rng, water | (inner < 6.0))


def _stack_containers(c: Canvas, plan: Plan, rng: np.random.Generator, blocked: np.ndarray) -> None:
    """Container blocks in long rows along the quay."""
    g, heading = c.gsd_m, c.axes["quay"]
    length, width = 13.0 * g, 4.0 * g
    # The wished share of the tile within the land that is not blocked, one block per cell of a lattice.
    cell = length * width * float(c.crop(~blocked).mean()) / (plan.roofed_share * 1.1)
    pitch = max(cell / (length * 1.25), width * 1.5)
    u, v = np.arange(-0.75 * c.n, 0.75 * c.n, length * 1.25 / g), np.arange(-0.75 * c.n, 0.75 * c.n, pitch / g)
    uu, vv = (a.ravel() for a in np.meshgrid(u, v))
    hr, hc = heading_vector(heading)
    mid, m = (c.n - 1) / 2, uu.size
    add_buildings(
        c,
        plan.acquisition,
        rng,
        mid + uu * hr - vv * hc,
        mid + uu * hc + vv * hr,
        rng.uniform(0.9, 1.05, m) * length,
        rng.uniform(0.9, 1.0, m) * width,
        np.full(m, heading),
        rng.uniform(0.8, 1.3, m) * g,
        blocked,
    )


def _cranes(c: Canvas, rng, inner: np.ndarray) -> None:
    """Gantry cranes in a row at the quay: small groups of very strong scatterers, on land."""
    hr, hc = heading_vector(c.axes["quay"])
    edge = np.argwhere((inner >= 2.0) & (inner < 3.5))
    if edge.size == 0:
        return
    along_quay = (edge[:, 0] * hr + edge[:, 1] * hc) / (0.16 * c.size)
    for k in np.unique(np.floor(along_quay)):
        row, col = edge[int(np.argmin(np.abs(along_quay - k - 0.5)))]
        m, spread = 5, 0.6
        c.points.append(
            np.column_stack(
                [
                    row + rng.normal(0, spread, m),
                    col + rng.normal(0, spread, m),
                    rng.uniform(0, 0.5 * c.gsd_m, m),
                    10 ** rng.uniform(-0.2, 0.4, m) * c.gsd_m**2,
                    np.full(m, -8.0),
                ]
            )
        )


def draw_airport(c: Canvas, plan: Plan, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Runway, taxiway, apron and a row of hangars; returns masks bool [n, n] 'apron' and 'runway'."""
    g, mid, e = c.gsd_m, (c.n - 1) / 2, c.extent_m
    heading = (plan.acquisition.look_azimuth_deg + float(rng.uniform(-40, 40)) + 90.0 * rng.integers(2)) % 180
    c.axes["heading"] = heading
    hr, hc = heading_vector(heading)
    side = float(rng.choice([-1, 1]))
    vr, vc = side * -hc, side * hr  # from the runway towards the apron
    fine = c.is_fine
    runway_at, apron_at, deep = (-0.36, 0.03, 0.54) if fine else (float(rng.uniform(-0.34, -0.24)), 0.13, 0.36)
    long = 1.3 * e if fine else float(rng.uniform(0.75, 0.9)) * e

    def strip(offset: float, length_m: float, width_m: float, along: float = 0.0) -> np.ndarray:
        return fill_rectangle(
            c,
            mid + (vr * offset * e + hr * along) / g,
            mid + (vc * offset * e + hc * along) / g,
            length_m,
            width_m,
            heading,
        )

    near, far = runway_at - (0.12 if fine else 0.09), apron_at + deep / 2 + (0.12 if fine else 0.09)
    field = strip((near + far) / 2, 3 * e, (far - near) * e)  # the airfield; woods beyond its fence
    c.cover[field], c.zone[field], c.texture_db[field] = cv.GRASS, cv.Z_AIRPORT, 0.0
    runway_m, taxiway_m = (_RUNWAY_M, _TAXIWAY_M) if plan.in_metres else (10.0 * g, 4.0 * g)
    runway = strip(runway_at, 3 * e, 0.2 * e if fine else runway_m)
    paved = runway.copy()
    if not fine:
        for t in (-0.3, 0.3):
            paved |= strip((runway_at + apron_at) / 2, taxiway_m, (apron_at - runway_at) * e, t * e)
    c.cover[paved], c.texture_db[paved] = cv.RUNWAY, -1.0
    apron = strip(apron_at, long, deep * e)
    c.cover[apron], c.texture_db[apron] = cv.PAVED, -4.0
    m = 4 if fine else 6
    at = (np.arange(m) - (m - 1) / 2) * (0.28 if fine else 0.17) * e
    offset = (apron_at + deep / 2) * e + (3.0 if fine else 4.5) * g
    add_buildings(
        c,
        plan.acquisition,
        rng,
        mid + (hr * at + vr * offset) / g,
        mid + (hc * at + vc * offset) / g,
        np.full(m, (0.22 if fine else 0.13) * e),
        np.full(m, 0.035 * e),
        np.full(m, heading),
        rng.uniform(1.2, 1.6, m) * (6 if fine else g),
        c.water(),
    )
    return {"apron": apron & ~runway, "runway": runway}
