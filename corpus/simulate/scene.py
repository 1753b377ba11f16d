"""One simulated scene from a configuration and an index."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from rasterio import warp
from scipy import fft

from corpus.cities import City, cities, utm_crs
from corpus.seeds import derive_seed
from corpus.simulate import canvas as cv
from corpus.simulate import facts, landscape
from corpus.simulate.buildings import draw_buildings
from corpus.simulate.canvas import Canvas
from corpus.simulate.config import SceneConfig
from corpus.simulate.facilities import draw_airport, draw_port, stack_containers
from corpus.simulate.fields import fractal
from corpus.simulate.imaging import focus, point_amplitudes, reflectivity, transfer
from corpus.simulate.plan import Plan, draw_plan
from corpus.simulate.roads import draw_roads, grid_axes
from corpus.simulate.targets import draw_aircraft, draw_ships
from corpus.simulate.truth import SceneTruth

_MARGIN_PIXELS = 16


@dataclass
class Scene:
    """A tile as a processor would deliver it, and the truth beside it."""

    bands: np.ndarray  # float32 [bands, H, W], sigma zero, linear power
    metadata: dict[str, Any]  # the columns of tiles.parquet that do not depend on the file
    truth: SceneTruth


def generator(config: SceneConfig, index: int, purpose: str) -> np.random.Generator:
    """Independent random numbers for one purpose of one scene."""
    return np.random.default_rng(derive_seed("scene", config.seed, index, purpose))


def held_out_cities(config: SceneConfig) -> frozenset[int]:
    """GeoNames ids of the cities kept out of training: whole cities, `held_out_share` of them."""
    ids = [city.geoname_id for city in cities(config.cities)]
    order = np.random.default_rng(derive_seed("split", config.seed)).permutation(len(ids))
    return frozenset(ids[k] for k in order[: round(config.held_out_share * len(ids))])


def simulate_scene(config: SceneConfig, index: int) -> Scene:
    """Draws scene `index` of the corpus. Pure: the same arguments give the same bytes in any process."""
    if not 0 <= index < config.tiles:
        raise ValueError(f"scene {index} is outside the corpus of {config.tiles} tiles")
    where = generator(config, index, "place")
    options = cities(config.cities)
    city = options[int(where.integers(len(options)))]
    plan = draw_plan(config, generator(config, index, "plan"), city.coastal)
    c = _draw(config, index, plan)
    bands = _image(config, index, plan, c)
    return Scene(bands, _metadata(config, index, plan, city, where), _truth(plan, c))


def _draw(config: SceneConfig, index: int, plan: Plan) -> Canvas:
    c = Canvas(config.tile_size_pixels, _MARGIN_PIXELS, plan.acquisition.sensor.gsd_m)
    rng = generator(config, index, "ground")
    landscape.draw_water(c, plan, rng)
    landscape.draw_terrain(c, plan, rng)
    axes = grid_axes(c, plan, rng)
    built = landscape.built_up(c, plan, rng) if plan.function not in ("port",
                                                                      "airport") else np.zeros((c.n, c.n),
                                                                                               bool)
    landscape.draw_cover(c, plan, rng, built)
    rural = c.cover.copy()
    houses = generator(config, index, "buildings")
    airport = None
    if plan.function == "port":
        quay = draw_port(c, plan, rng, axes)
        stack_containers(c, plan, houses, quay, draw_roads(c, plan, rng, built, axes))
    elif plan.function == "airport":
        airport = draw_airport(c, plan, rng, axes)
        draw_roads(c, plan, rng, built, axes)
    elif plan.function != "open_water":
        draw_buildings(c, plan, houses, built, draw_roads(c, plan, rng, built, axes), axes)
    aims = generator(config, index, "targets")
    if plan.targets and airport is not None:
        draw_aircraft(c, plan, aims, airport)
    elif plan.targets and c.crop(c.water()).any():
        draw_ships(c, plan, aims)
    c.rural = rural
    return c


def _image(config: SceneConfig, index: int, plan: Plan, c: Canvas) -> np.ndarray:
    acquisition = plan.acquisition
    waves = generator(config, index, "waves")
    strength = 0.3 if plan.wind_m_s < 5 else 1.2
    swell = strength * (fractal(waves, c.n, 1.0, coarsest=0.3) + 0.5 * fractal(waves, c.n, 2.0))
    means = reflectivity(c, acquisition, plan.wind_m_s, swell)
    h = transfer(c, acquisition)
    bands = []
    for polarisation, mean, nesz_db in zip(acquisition.sensor.polarisations, means,
                                           acquisition.sensor.nesz_db, strict=True):
        points = point_amplitudes(c, acquisition, polarisation, generator(config, index, "phase"))
        if polarisation == acquisition.sensor.polarisations[0]:
            _judge_sidelobes(c, acquisition, mean, points, h, 10 ** (nesz_db / 10))
        speckle = generator(config, index, f"speckle {polarisation}")
        bands.append(c.crop(focus(mean, points, h, 10 ** (nesz_db / 10), acquisition.looks, speckle)))
    return np.ascontiguousarray(np.stack(bands), np.float32)


def _judge_sidelobes(c: Canvas, acquisition, mean: np.ndarray, points: np.ndarray, h: np.ndarray,
                     nesz: float) -> None:
    """Sets every target's visibility of sidelobes: its peak's, at 3.5 to 4.5 cells, over clutter."""
    targets = [o for o in c.objects if o.category != "building"]
    if not targets:
        return
    power = np.abs(fft.ifft2(fft.fft2(points) * h)) ** 2
    response = np.abs(fft.ifft2(h)) ** 2
    (lr, lc), cell = acquisition.look, acquisition.sensor.resolution_m / c.gsd_m
    d = np.linspace(3.5, 4.5, 9) * cell
    arm = float(response[np.rint(d * lr).astype(int), np.rint(d * lc).astype(int)].mean() / response[0, 0])
    for o in targets:
        reach = o.length_m / c.gsd_m / 2 + 1
        r0, c0 = int(round(o.row)) + c.pad, int(round(o.col)) + c.pad
        k = int(np.ceil(reach))
        window = power[max(r0 - k, 0):r0 + k + 1, max(c0 - k, 0):c0 + k + 1]
        far = k + int(5 * cell)
        clutter = float(np.median(mean[max(r0 - far, 0):r0 + far + 1, max(c0 - far, 0):c0 + far + 1])) + nesz
        o.sidelobe_visibility_db = float(10 * np.log10(max(window.max() * arm / clutter, 1e-9)))


def _truth(plan: Plan, c: Canvas) -> SceneTruth:
    cover = c.crop(c.cover).copy()
    footprint = c.crop(c.roof).copy()
    cover[footprint >= 0.5] = cv.BUILDING
    ground = c.crop(c.ground_m).copy()
    inside = [o for o in c.objects if -0.5 <= o.row < c.size - 0.5 and -0.5 <= o.col < c.size - 0.5]
    measured = facts.measure(cover=cover, zone=c.crop(c.zone), rural=c.crop(c.rural), footprint=footprint,
                             ground_m=ground, gsd_m=c.gsd_m,
                             roads=c.roads, objects=inside)
    return SceneTruth(cover, footprint, ground, ground + c.crop(c.height_m), inside, measured, c.roads,
                      plan.wind_m_s)


def _metadata(config: SceneConfig, index: int, plan: Plan, city: City, rng: np.random.Generator) -> dict[str,
                                                                                                         Any]:
    """Position, grid and acquisition of the tile: near its city, on a grid of whole pixels."""
    sensor, size = plan.acquisition.sensor, config.tile_size_pixels
    away, bearing = config.city_radius_km * 0.95 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    lat = city.lat + away * np.cos(bearing) / 111.2
    lon = city.lon + away * np.sin(bearing) / (111.2 * np.cos(np.deg2rad(city.lat)))
    lon = (lon + 180.0) % 360.0 - 180.0
    crs = utm_crs(lon, lat)
    (east,), (north,) = warp.transform("EPSG:4326", crs, [lon], [lat])
    g = sensor.gsd_m
    left, top = (round(x / g) * g for x in (east - size * g / 2, north + size * g / 2))
    (lon,), (lat,) = warp.transform(crs, "EPSG:4326", [left + size * g / 2], [top - size * g / 2])
    second = int(rng.integers(0, 3 * 365 * 86400))
    acquired = np.datetime64("2022-01-01T00:00:00") + np.timedelta64(second, "s")
    slug = re.sub(r"[^a-z0-9]+", "-",
                  unicodedata.normalize("NFKD", city.name).encode("ascii", "ignore").decode().lower())
    return {
        "tile_id": f"{slug.strip('-')}_{index:05d}", "crs": crs,
        "transform": [g, 0.0, float(left), 0.0, -g, float(top)],
        "width": size, "height": size, "gsd_m": g, "platform": sensor.platform, "band": sensor.band,
        "polarisations": list(sensor.polarisations), "acquired": f"{acquired}Z", "lon": float(lon),
        "lat": float(lat),
        "city": city.name, "country": city.country,
        "split": "held_out" if city.geoname_id in held_out_cities(config) else "train",
        "incidence_deg": plan.acquisition.incidence_deg,
        "look_azimuth_deg": plan.acquisition.look_azimuth_deg,
        "looks": plan.acquisition.looks,
    }
