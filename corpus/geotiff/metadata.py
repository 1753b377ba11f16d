"""What a SAR GeoTIFF says about itself: polarisation, platform, radar band, acquisition time, ground sampling."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from affine import Affine
from rasterio._err import CPLE_BaseError  # rasterio lets some of GDAL's errors through, with no public name
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.warp import transform as warp_points

from corpus.geotiff.items import ItemFacts
from corpus.geotiff.products import platform_in_name, time_in_name

NO_PLACE = {"GEOREFERENCE": "none"}
"""Tags of a tile that has no place on Earth, and says so: a chip of a target, a patch of a published set."""
_POLARISATION = re.compile(r"(?<![A-Za-z])(VV|VH|HH|HV)(?![A-Za-z])", re.IGNORECASE)
_TIME_IN_NAME = re.compile(r"(?<!\d)(\d{8}T\d{6})(?!\d)")
_PLATFORM_TAGS = ("SATELLITE_NAME", "SATELLITE", "MISSION", "SPACECRAFT")
_TIME_TAGS = (
    "ACQUISITION_START_UTC",
    "ACQUISITION_TIME",
    "ACQUISITION_DATE",
    "SENSING_START",
    "START_TIME",
    "DATETIME",
)
_RADAR_BANDS = {
    "sentinel-1": "C",
    "gaofen-3": "C",
    "radarsat": "C",
    "envisat": "C",
    "umbra": "X",
    "capella": "X",
    "iceye": "X",
    "terrasar": "X",
    "tandem": "X",
    "paz": "X",
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
    described = [match[1].upper() for text in descriptions if (match := _POLARISATION.search(text or ""))]
    if descriptions and len(described) == len(descriptions):
        return tuple(described)
    for text in (tags.get("POLARIZATION", ""), tags.get("POLARISATION", ""), name):
        found = [match.upper() for match in _POLARISATION.findall(text)]
        if len(found) == len(descriptions):
            return tuple(found)
    return ("unknown",) if len(descriptions) == 1 else None


def platform_of(tags: Mapping[str, str], name: str, item: ItemFacts | None = None) -> str:
    """Platform from the tag PLATFORM, else from the STAC item beside the file, else from its name, else 'unknown'."""
    for text in (tags.get("PLATFORM"), item and item.platform, *(tags.get(key) for key in _PLATFORM_TAGS)):
        if text and text.strip():
            return text if text == tags.get("PLATFORM") else _known_platform(text.strip())
    return platform_in_name(name) or "unknown"


def _known_platform(text: str) -> str:
    """A platform as other sources write it, in the one way of this project: 'sentinel-1a' is 'Sentinel-1A'."""
    match = re.fullmatch(r"sentinel[-_ ]?1[-_ ]?([abcd])", text, re.IGNORECASE)
    return f"Sentinel-1{match[1].upper()}" if match else text


def radar_band_of(tags: Mapping[str, str], platform: str) -> str:
    """'C', 'X' or 'L' from the tag BAND or the platform; '' where neither tells."""
    if tags.get("BAND"):
        return tags["BAND"]
    return next((band for key, band in _RADAR_BANDS.items() if key in platform.lower()), "")


def acquired_of(tags: Mapping[str, str], name: str, item: ItemFacts | None = None) -> str:
    """Acquisition time in ISO 8601; '' if unknown.

    What the tags say of the acquisition comes first, then a STAC item beside the file, then the file's name. The tag
    TIFFTAG_DATETIME comes last: programs write into it when they processed a file.
    """
    in_scene = _TIME_IN_NAME.search(tags.get("SOURCE_SCENE", ""))
    upper = {key.upper(): text for key, text in tags.items()}
    texts = [
        tags.get("ACQUIRED"),
        in_scene and in_scene[1],
        tags.get("DATE"),
        tags.get("ACQ_DATE"),
        *(upper.get(key) for key in _TIME_TAGS),
        item and _in_utc(item.acquired),
        time_in_name(name),
        tags.get("TIFFTAG_DATETIME"),
    ]
    for text in filter(None, texts):
        parsed = _parse_time(text.strip())
        if parsed:
            return parsed
    return ""


def _in_utc(text: str) -> str:
    """A time with an offset, as STAC writes it, in UTC and without one, as names and tags have it."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return time.astimezone(UTC).replace(tzinfo=None).isoformat() if time.tzinfo else text


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
        longitudes, latitudes = warp_points(crs, CRS.from_epsg(4326), list(xs), list(ys))[:2]
    except (RasterioError, CPLE_BaseError) as error:
        raise NoPosition(f"no transformation leads from {crs.to_wkt()[:60]}... to WGS 84") from error
    # A map of the whole Earth may count its longitudes from 0 to 360, or go on behind 180.
    longitudes = [(each + 180) % 360 - 180 if 180 < abs(each) <= 540 else each for each in longitudes]
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
    (east_x, north_x), (east_y, north_y) = _pixel_steps(crs, transform, width, height)
    return math.sqrt(abs(east_x * north_y - north_x * east_y))


def ground_sample_distances(crs: CRS, transform: Affine, width: int, height: int) -> tuple[float, float]:
    """Metres on the ground from one column to the next, and from one row to the next, at the raster's centre."""
    (east_x, north_x), (east_y, north_y) = _pixel_steps(crs, transform, width, height)
    return math.hypot(east_x, north_x), math.hypot(east_y, north_y)


def _pixel_steps(crs: CRS, transform: Affine, width: int, height: int) -> list[tuple[float, float]]:
    """(east, north) in metres of one column's step and of one row's, at the raster's centre."""
    row, column = height / 2, width / 2
    points = [transform @ (column, row), transform @ (column + 1, row), transform @ (column, row + 1)]
    longitudes, latitudes = lonlat(crs, [x for x, _ in points], [y for _, y in points])
    sine = math.sin(math.radians(latitudes[0]))
    curvature = 1 - _ECCENTRICITY2 * sine * sine
    east = _EQUATOR_M / math.sqrt(curvature) * math.cos(math.radians(latitudes[0]))
    north = _EQUATOR_M * (1 - _ECCENTRICITY2) / curvature**1.5
    return [
        (
            math.radians((longitudes[i] - longitudes[0] + 180) % 360 - 180) * east,
            math.radians(latitudes[i] - latitudes[0]) * north,
        )
        for i in (1, 2)
    ]
