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
from corpus.simulate import canvas as cv
from corpus.simulate import facts, landscape
from corpus.simulate.buildings import draw_buildings
from corpus.simulate.canvas import Canvas
from corpus.simulate.clear import unclear
from corpus.simulate.config import SceneConfig
from corpus.simulate.facilities import draw_airport, draw_port
from corpus.simulate.imaging import focus, point_amplitudes, reflectivity, resample, swell, transfer
from corpus.simulate.margins import unclear_facts
from corpus.simulate.plan import Plan, draw_plan
from corpus.simulate.roads import draw_roads, street_axes
from corpus.simulate.targets import draw_aircraft, draw_ships
from corpus.simulate.texture import draw_texture
from corpus.simulate.town import draw_town
from corpus.simulate.truth import SceneTruth
from corpus.storage.rng import derive_seed

_MARGIN_PIXELS = 16
_OFF_GRID = 0.38  # pixels between the radar's grid and the map's, at most
_SLOPES = (0.3, 1.0)  # exponent of the brightness of slopes that a product's terrain correction leaves
_ATTEMPTS, _ATTEMPTS_PER_PLAN = 60, 4


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


def simulate_scene(config: SceneConfig, index: int, speckle: int = 0) -> Scene:
    """Draws scene `index` of the corpus. Pure: the same arguments give the same bytes in any process.

    Another number of `speckle` gives the same ground under another draw of speckle; a corpus has number 0.

    Scenes near a class limit are drawn again (`clear`), with a new wish list after a few attempts. Raises
    RuntimeError when no attempt gives a clear scene: the configuration leaves no room for one.
    """
    if not 0 <= index < config.tiles:
        raise ValueError(f"scene {index} is outside the corpus of {config.tiles} tiles")
    where = generator(config, index, "place")
    options = cities(config.cities)
    city = options[int(where.integers(len(options)))]
    reason = ""
    for attempt in range(_ATTEMPTS):
        plan = draw_plan(config, generator(config, index, f"plan {attempt // _ATTEMPTS_PER_PLAN}"), city.coastal)
        c = _draw(config, index, plan, attempt)
        reason = _no_room(plan, c) if plan.ambiguous else _unclear(plan, c)
        if not reason:
            bands = _image(config, index, plan, c, speckle)
            truth = _truth(plan, c)
            return Scene(bands, _metadata(config, index, plan, city, where), truth)
    raise RuntimeError(
        f"scene {index} came out near a class limit {_ATTEMPTS} times, at last with {reason}. Choose "
        "larger tiles (tile_size_pixels) or other shares of sensors and targets."
    )


def _draw(config: SceneConfig, index: int, plan: Plan, attempt: int) -> Canvas:
    c = Canvas(config.tile_size_pixels, _MARGIN_PIXELS, plan.acquisition.sensor.gsd_m)
    rng = generator(config, index, f"ground {attempt}")
    street_axes(c, plan, rng)
    landscape.draw_water(c, plan, rng)
    landscape.draw_terrain(c, plan, rng)
    built = landscape.built_up(c, plan, rng)
    landscape.draw_cover(c, plan, rng, built)
    aims = generator(config, index, f"targets {attempt}")
    airport = draw_airport(c, plan, rng) if plan.function == "airport" else None
    if plan.function == "port":
        draw_port(c, plan, rng)
    c.rural = c.cover.copy()
    taken = draw_roads(c, plan, rng, built)
    builders = generator(config, index, f"buildings {attempt}")
    if plan.in_metres:
        draw_town(c, plan, builders, built, taken)
        draw_texture(c, plan.recipe, generator(config, index, f"texture {attempt}"))
    else:
        draw_buildings(c, plan, builders, built, taken)
    if plan.targets and airport is not None:
        draw_aircraft(c, plan, aims, airport)
    elif plan.targets:
        draw_ships(c, plan, aims)
    return c


def _image(config: SceneConfig, index: int, plan: Plan, c: Canvas, draw: int) -> np.ndarray:
    acquisition = plan.acquisition
    waves = generator(config, index, "waves")
    grid = generator(config, index, "grid")
    offset = tuple(grid.uniform(-_OFF_GRID, _OFF_GRID, 2)) if plan.in_metres else None
    slopes = float(grid.uniform(*_SLOPES)) if plan.in_metres else 1.0
    means = reflectivity(
        c, acquisition, plan.wind_m_s, swell(c, plan.rough, waves, plan.in_metres), plan.recipe, slopes
    )
    h = transfer(c, acquisition)
    bands = []
    for polarisation, mean, nesz_db in zip(
        acquisition.sensor.polarisations, means, acquisition.sensor.nesz_db, strict=True
    ):
        if polarisation == acquisition.sensor.polarisations[0]:
            _set_peaks(c, plan, mean, h, 10 ** (nesz_db / 10), waves)
        points = point_amplitudes(c, acquisition, polarisation, generator(config, index, "phase"))
        speckle = generator(config, index, f"speckle {polarisation}{f' {draw}' if draw else ''}")
        image = focus(mean, points, h, 10 ** (nesz_db / 10), acquisition.looks, speckle)
        bands.append(c.crop(image if offset is None else resample(image, offset)))
    return np.ascontiguousarray(np.stack(bands), np.float32)


def _set_peaks(c: Canvas, plan: Plan, mean: np.ndarray, h: np.ndarray, nesz: float, rng: np.random.Generator) -> None:
    """Makes every target's strongest point so strong that its cross of sidelobes stands out, or cannot be seen.

    The visibility, in dB over the clutter around, is that of the cross 3.5 to 4.5 resolution cells away: drawn
    well above the limit of `facts` for a plan with sidelobes, kept well below it for others.
    """
    if not c.peaks:
        return
    response = np.abs(np.asarray(fft.ifft2(h))) ** 2
    (lr, lc), cell = plan.acquisition.look, plan.acquisition.sensor.resolution_m / c.gsd_m
    d = np.linspace(3.5, 4.5, 9) * cell
    arm = float(response[np.rint(d * lr).astype(int), np.rint(d * lc).astype(int)].mean())
    for o, peaks in c.peaks:
        k = int(np.ceil(o.length_m / c.gsd_m / 2 + 1))
        far = k + int(5 * cell)
        r0, c0 = round(o.row) + c.pad, round(o.col) + c.pad
        clutter = float(np.median(mean[max(r0 - far, 0) : r0 + far + 1, max(c0 - far, 0) : c0 + far + 1])) + nesz
        strongest = peaks[:, 3].max() / c.gsd_m**2 * arm / clutter
        if plan.sidelobes:
            wanted = 10 ** (rng.uniform(*plan.ranges.sidelobes_db) / 10)
            peaks[0, 3] = max(wanted * clutter / arm * c.gsd_m**2, 1.1 * peaks[:, 3].max())
        else:
            peaks[:, 3] *= min(1.0, 10 ** (plan.ranges.no_sidelobes_db / 10) / strongest)
        strongest = peaks[:, 3].max() / c.gsd_m**2 * arm / clutter
        o.sidelobe_visibility_db = float(10 * np.log10(max(strongest, 1e-9)))


def _no_room(plan: Plan, c: Canvas) -> str:
    """Why a scene is drawn again even where ambiguous ones stay in: its targets found no room; '' if they did."""
    missing = plan.targets - sum(o.category != "building" for o in c.objects)
    return f"{missing} targets without room" if missing else ""


def _unclear(plan: Plan, c: Canvas) -> str:
    """Why this scene is to be drawn again, '' if it is not."""
    truth = _truth(plan, c)
    return unclear(
        plan, truth.measured, float(truth.footprint.mean()), facts.border_roughness(c.crop(c.zone), c.crop(c.rural))
    )


def _truth(plan: Plan, c: Canvas) -> SceneTruth:
    cover = c.crop(c.cover).copy()
    footprint = c.crop(c.roof).copy()
    cover[footprint >= 0.5] = cv.BUILDING
    ground = c.crop(c.ground_m).copy()
    inside = [o for o in c.objects if -0.5 <= o.row < c.size - 0.5 and -0.5 <= o.col < c.size - 0.5]
    scene = {
        "cover": cover,
        "zone": c.crop(c.zone),
        "rural": c.crop(c.rural),
        "footprint": footprint,
        "ground_m": ground,
        "gsd_m": c.gsd_m,
        "roads": c.roads,
        "objects": inside,
    }
    measured = facts.measure(**scene)
    unclear = unclear_facts(measured, plan.wind_m_s, scene) if plan.ambiguous else None
    heights = ground + c.crop(c.height_m)
    return SceneTruth(cover, footprint, ground, heights, inside, measured, c.roads, plan.wind_m_s, unclear)


def _metadata(config: SceneConfig, index: int, plan: Plan, city: City, rng: np.random.Generator) -> dict[str, Any]:
    """Position, grid and acquisition of the tile: near its city, on a grid of whole pixels."""
    sensor, size = plan.acquisition.sensor, config.tile_size_pixels
    away, bearing = config.city_radius_km * 0.95 * np.sqrt(rng.random()), rng.uniform(0, 2 * np.pi)
    lat = city.lat + away * np.cos(bearing) / 111.2
    lon = city.lon + away * np.sin(bearing) / (111.2 * np.cos(np.deg2rad(city.lat)))
    lon = (lon + 180.0) % 360.0 - 180.0
    crs = utm_crs(lon, lat)
    east, north = (values[0] for values in warp.transform("EPSG:4326", crs, [lon], [lat])[:2])
    g = sensor.gsd_m
    left, top = (round(x / g) * g for x in (east - size * g / 2, north + size * g / 2))
    centre = [left + size * g / 2], [top - size * g / 2]
    lon, lat = (values[0] for values in warp.transform(crs, "EPSG:4326", *centre)[:2])
    second = int(rng.integers(0, 3 * 365 * 86400))
    acquired = np.datetime64("2022-01-01T00:00:00") + np.timedelta64(second, "s")
    slug = re.sub(
        r"[^a-z0-9]+", "-", unicodedata.normalize("NFKD", city.name).encode("ascii", "ignore").decode().lower()
    )
    return {
        "tile_id": f"{slug.strip('-')}_{index:05d}",
        "crs": crs,
        "transform": [g, 0.0, float(left), 0.0, -g, float(top)],
        "width": size,
        "height": size,
        "gsd_m": g,
        "platform": sensor.platform,
        "band": sensor.band.name,
        "polarisations": list(sensor.polarisations),
        "acquired": f"{acquired}Z",
        "lon": float(lon),
        "lat": float(lat),
        "city": city.name,
        "country": city.country,
        "split": "held_out" if city.geoname_id in held_out_cities(config) else "train",
        "incidence_deg": plan.acquisition.incidence_deg,
        "look_azimuth_deg": plan.acquisition.look_azimuth_deg,
        "looks": plan.acquisition.looks,
    }
