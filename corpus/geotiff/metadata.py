"""What a SAR GeoTIFF says about itself: polarisation, platform, radar band, acquisition time, ground sampling."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from affine import Affine
from rasterio._err import CPLE_BaseError  # rasterio lets some of GDAL's errors through, with no public name
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as warp_points

_POLARISATION = re.compile(r"(?<![A-Za-z])(VV|VH|HH|HV)(?![A-Za-z])", re.IGNORECASE)
_TIME_IN_NAME = re.compile(r"(?<!\d)(\d{8}T\d{6})(?!\d)")
_SENTINEL1 = re.compile(r"(?<![A-Za-z])S1([ABCD])(?![A-Za-z])")
_RADAR_BANDS = {
    "sentinel-1": "C",
    "gaofen-3": "C",
    "radarsat": "C",
    "envisat": "C",
    "umbra": "X",
    "capella": "X",
    "iceye": "X",
    "terrasar": "X",
    "cosmo": "X",
    "alos": "L",
    "saocom": "L",
    "nisar": "L",
}
_TIME_FORMATS = (
    "%Y%m%dT%H%M%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d",
    "%Y%m%d",
    "%d.%m.%Y",
    "%Y:%m:%d %H:%M:%S",
)
_EQUATOR_M, _ECCENTRICITY2 = 6378137.0, 6.69437999014e-3  # WGS 84


class NoPosition(Exception):
    """A georeference that leads to no place on Earth, such as a local engineering grid."""


def polarisations_of(descriptions: Sequence[str | None], tags: Mapping[str, str], name: str) -> tuple[str, ...] | None:
    """One of VV, VH, HH, HV per band, from the descriptions, else the tag POLARIZATION, else the file's name.

    A single band that says nothing is 'unknown' (the model takes it as co-polarised); several that say nothing
    are None: guessing would swap channels.
    """
    described = [_POLARISATION.search(text or "") for text in descriptions]
    if descriptions and all(described):
        return tuple(match[1].upper() for match in described)
    for text in (tags.get("POLARIZATION", ""), tags.get("POLARISATION", ""), name):
        found = [match.upper() for match in _POLARISATION.findall(text)]
        if len(found) == len(descriptions):
            return tuple(found)
    return ("unknown",) if len(descriptions) == 1 else None


def platform_of(tags: Mapping[str, str], name: str) -> str:
    """Platform from the tag PLATFORM, else from a well-known file name, else 'unknown'."""
    if tags.get("PLATFORM"):
        return tags["PLATFORM"]
    match = _SENTINEL1.search(name)
    if match:
        return f"Sentinel-1{match[1]}"
    lowered = name.lower()
    return next((known.title() for known in ("umbra", "capella", "iceye") if known in lowered), "unknown")


def radar_band_of(tags: Mapping[str, str], platform: str) -> str:
    """'C', 'X' or 'L' from the tag BAND or the platform; '' where neither tells."""
    if tags.get("BAND"):
        return tags["BAND"]
    return next((band for key, band in _RADAR_BANDS.items() if key in platform.lower()), "")


def acquired_of(tags: Mapping[str, str], name: str) -> str:
    """Acquisition time in ISO 8601, from the tags or from the file's (or source scene's) name; '' if unknown."""
    in_scene, in_name = _TIME_IN_NAME.search(tags.get("SOURCE_SCENE", "")), _TIME_IN_NAME.search(name)
    texts = [
        tags.get("ACQUIRED"),
        in_scene and in_scene[1],
        tags.get("DATE"),
        tags.get("ACQ_DATE"),
        tags.get("TIFFTAG_DATETIME"),
        in_name and in_name[1],
    ]
    for text in filter(None, texts):
        parsed = _parse_time(text.strip())
        if parsed:
            return parsed
    return ""


def _parse_time(text: str) -> str | None:
    try:
        return datetime.fromisoformat(text).isoformat()
    except ValueError:
        pass
    for pattern in _TIME_FORMATS:
        try:
            return datetime.strptime(text, pattern).isoformat()
        except ValueError:
            continue
    return None


def lonlat(crs: CRS, xs: Sequence[float], ys: Sequence[float]) -> tuple[list[float], list[float]]:
    """Map coordinates to WGS 84 longitude and latitude in degrees. Raises NoPosition where there are none."""
    try:
        longitudes, latitudes = warp_points(crs, CRS.from_epsg(4326), list(xs), list(ys))
    except (RasterioError, CPLE_BaseError) as error:
        raise NoPosition(f"no transformation leads from {crs.to_wkt()[:60]}... to WGS 84") from error
    for longitude, latitude in zip(longitudes, latitudes, strict=True):
        if not (abs(longitude) <= 180 and abs(latitude) <= 90):  # also infinity and NaN
            raise NoPosition(f"a point of it comes out at longitude {longitude}, latitude {latitude}")
    return longitudes, latitudes


def crs_text(crs: CRS) -> str:
    """'EPSG:32633', or WKT where the CRS has no code."""
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else crs.to_wkt()


def map_sample_distance(transform: Affine) -> float:
    """Map units per pixel: the side of a square with the area of one pixel, so rotation does not matter."""
    return math.sqrt(abs(transform.determinant))


def ground_sample_distance(crs: CRS, transform: Affine, width: int, height: int) -> float:
    """Metres on the ground per pixel at the raster's centre (geometric mean of both directions).

    Map metres are not ground metres: a Mercator map at 34 degrees stretches by 1.21, so 10 map metres are 8.3.
    """
    row, column = height / 2, width / 2
    points = [transform @ (column, row), transform @ (column + 1, row), transform @ (column, row + 1)]
    longitudes, latitudes = lonlat(crs, [x for x, _ in points], [y for _, y in points])
    sine = math.sin(math.radians(latitudes[0]))
    curvature = 1 - _ECCENTRICITY2 * sine * sine
    east = _EQUATOR_M / math.sqrt(curvature) * math.cos(math.radians(latitudes[0]))
    north = _EQUATOR_M * (1 - _ECCENTRICITY2) / curvature**1.5
    steps = [
        (
            math.radians((longitudes[i] - longitudes[0] + 180) % 360 - 180) * east,
            math.radians(latitudes[i] - latitudes[0]) * north,
        )
        for i in (1, 2)
    ]
    return math.sqrt(abs(steps[0][0] * steps[1][1] - steps[0][1] * steps[1][0]))
