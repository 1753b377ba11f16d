"""Where a corpus lies: its sites and the outlines of their tiles in kilometres, for maps that need no server."""

import functools
import math
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from rasterio.crs import CRS
from rasterio.features import shapes
from rasterio.transform import from_origin

from corpus.geotiff.metadata import lonlat
from hcot_llm.knowledge.geodata import EARTH_RADIUS_KM, land_cover_overview

_KM_PER_DEGREE = math.pi * EARTH_RADIUS_KM / 180
_SITE_KM = 60.0
"""Tiles that are nearer to one another than this are of one site."""


@dataclass(frozen=True)
class Site:
    """Tiles that lie near one another.

    name: the nearest city of most of them. lon, lat: of its middle, in degrees. outlines: tile_id -> float [4, 2], the
    corners of the tile in kilometres to the east and to the north of the middle.
    """

    name: str
    lon: float
    lat: float
    outlines: dict[str, np.ndarray]


def sites_of(tiles: pa.Table, wanted: Collection[str]) -> list[Site]:
    """The sites of the wanted tiles, the one with most tiles first. Tiles without a place on Earth are of none.

    Args:
        tiles: of TILE_SCHEMA.
        wanted: ids of the tiles that are shown.
    """
    rows = [row for row in tiles.to_pylist() if row["tile_id"] in wanted and row["lon"] is not None]
    groups: list[list[dict]] = []
    middles: list[tuple[float, float]] = []
    for row in rows:  # each joins the nearest site that is near enough
        distances = [_km(row["lon"], row["lat"], *middle) for middle in middles]
        if distances and min(distances) < _SITE_KM:
            groups[int(np.argmin(distances))].append(row)
        else:
            groups.append([row])
            middles.append((row["lon"], row["lat"]))
    return sorted((_site(group) for group in groups), key=lambda site: -len(site.outlines))


def _site(group: list[dict]) -> Site:
    first = group[0]["lon"]
    lons = [first + (row["lon"] - first + 180) % 360 - 180 for row in group]  # a site may lie across 180 degrees
    lon, lat = float(np.mean(lons)), float(np.mean([row["lat"] for row in group]))
    cities = [row["city"] for row in group if row["city"]]
    name = max(dict.fromkeys(cities), key=cities.count) if cities else f"{lat:.1f}, {lon:.1f}"
    return Site(name, (lon + 180) % 360 - 180, lat, {row["tile_id"]: _outline(row, lon, lat) for row in group})


def _outline(row: dict, lon: float, lat: float) -> np.ndarray:
    a, b, c, d, e, f = row["transform"]
    corners = [(0, 0), (row["width"], 0), (row["width"], row["height"]), (0, row["height"])]
    xs, ys = zip(*((a * x + b * y + c, d * x + e * y + f) for x, y in corners), strict=True)
    lons, lats = lonlat(CRS.from_user_input(row["crs"]), xs, ys)
    east = [((each - lon + 180) % 360 - 180) * _KM_PER_DEGREE * math.cos(math.radians(lat)) for each in lons]
    north = [(each - lat) * _KM_PER_DEGREE for each in lats]
    return np.stack([east, north], axis=1)


def _km(lon: float, lat: float, other_lon: float, other_lat: float) -> float:
    across = ((lon - other_lon + 180) % 360 - 180) * math.cos(math.radians((lat + other_lat) / 2))
    return _KM_PER_DEGREE * math.hypot(across, lat - other_lat)


@functools.cache
def land_outlines(step_deg: float = 1.0, least_cells: int = 6) -> tuple[np.ndarray, ...]:
    """The land of the earth in rough outlines, float [K, 2] each, longitude and latitude in degrees.

    Args:
        step_deg: how coarse.
        least_cells: smaller islands are left out.
    """
    land = land_cover_overview(round(180 / step_deg)) != 0
    grid = from_origin(-180, 90, step_deg, step_deg)
    found = []
    for shape, value in shapes(land.astype(np.uint8), mask=land, transform=grid):
        ring = np.asarray(shape["coordinates"][0])
        x, y = ring.T
        area = abs(np.dot(x[:-1], y[1:]) - np.dot(x[1:], y[:-1])) / 2
        if value and area >= least_cells * step_deg**2:
            found.append(ring)
    return tuple(found)
