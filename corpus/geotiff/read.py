"""Opening and reading one GeoTIFF safely: local files only, every refusal with a reason and a remedy."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.io import DatasetReader

from corpus.geotiff.backscatter import Backscatter, check_pixels, stated_units, to_decibels
from corpus.geotiff.bands import decide_bands, read_bands
from corpus.geotiff.compact import refuse_compact
from corpus.geotiff.files import open_geotiff
from corpus.geotiff.metadata import crs_text, ground_sample_distance, lonlat, polarisations_of
from corpus.geotiff.model_input import Level, is_plausible
from corpus.geotiff.reasons import Reason, TileError
from corpus.geotiff.sampling import MOST_CROPS, Sampling, Window, windows_of

MAX_TILE_PIXELS = 4096 * 4096
"""`read_backscatter` reads a file whole; anything larger than this is a scene and has to be cut first."""


def read_backscatter(path: str | Path, *, max_missing_share: float = 0.05) -> Backscatter:
    """Read a whole tile as calibrated (or relative) backscatter in dB.

    A tile of a corpus says in its tags how it is read. Of any other file the bands are decided as an ingest does, see
    `corpus.geotiff.bands.decide_bands`.

    Returns:
        The backscatter. It counts as calibrated where the file says so, or has decimal numbers, and its median can be
        that of sigma nought.

    Raises:
        TileError: as `open_geotiff` and `decide_bands`, and not_finite (more than `max_missing_share` of a band is
            missing), constant, too_large.
    """
    with open_geotiff(path) as src:
        if src.width * src.height > MAX_TILE_PIXELS:
            raise TileError(path, Reason.TOO_LARGE, "Cut it into tiles first: `knowlip run CONFIG --tiles FOLDER`.")
        if _is_tile(src):
            polarisations, decibels = _tile_polarisations(src, path), _tile_decibels(src, path)
            calibrated = src.dtypes[0].startswith("float") or (
                src.dtypes[0] != "uint8" and "CALIBRATION_DB" in src.tags()
            )
        else:
            polarisations, decibels, calibrated = _scene(src, path, max_missing_share)
    refuse_bad_pixels(decibels, path, max_missing_share)
    calibrated = calibrated and is_plausible([float(np.nanmedian(band)) for band in decibels])
    return Backscatter(decibels, polarisations, calibrated)


def _is_tile(src: DatasetReader) -> bool:
    """Whether a file is a tile of a corpus, cut or simulated: its meaning was decided when it was made."""
    tags = src.tags()
    whole_numbers = not src.dtypes[0].startswith("float")
    return ("SOURCE_WINDOW" in tags or "SIMULATED" in tags) and (whole_numbers or "UNITS" in tags)


def _tile_polarisations(src: DatasetReader, path: str | Path) -> tuple[str, ...]:
    found = polarisations_of(src.descriptions, src.tags(), Path(str(path)).name)
    if found is not None:
        return found
    return tuple(text if text == "unknown" else "unknown" for text in src.descriptions)


def _tile_decibels(src: DatasetReader, path: str | Path) -> np.ndarray:
    valid = src.read_masks() > 0
    try:
        return to_decibels(src.read(), valid, src.tags(), stated_units(src.tags(), src.descriptions))
    except ValueError as error:
        raise TileError(
            path, Reason.UNREADABLE, "Its tag CALIBRATION_DB is not a number. Make the corpus again."
        ) from error


def _scene(src: DatasetReader, path: str | Path, max_missing_share: float) -> tuple[tuple[str, ...], np.ndarray, bool]:
    """(polarisations, decibels, whether they may be calibrated) of a file that is no tile of a corpus."""
    name = Path(str(path)).name
    try:
        refuse_compact(src, name)
        bands = decide_bands(src, name)
    except TileError as error:
        if error.reason is Reason.UNCLEAR_UNITS:  # a picture without pixels has no unit either: say the former
            with np.errstate(invalid="ignore"):
                stored = np.where(src.read_masks() > 0, src.read().astype(np.float32), np.nan)
            refuse_bad_pixels(np.where(np.isfinite(stored), stored, np.nan), path, max_missing_share)
        raise TileError(path, error.reason, error.hint) from error
    calibrated = all(band.may_be_calibrated(src.dtypes[band.index - 1]) for band in bands.used)
    return bands.polarisations, read_bands(src, bands.used), calibrated


def refuse_bad_pixels(decibels: np.ndarray, path: str | Path, max_missing_share: float = 0.05) -> None:
    """Raise TileError(not_finite) or TileError(constant) for [bands, H, W] pixels that hold no picture."""
    if problem := pixel_problem(decibels, max_missing_share):
        raise TileError(path, *problem)


def pixel_problem(decibels: np.ndarray, max_missing_share: float) -> tuple[Reason, str] | None:
    """(reason, hint) where [bands, H, W] pixels hold no picture, else None.

    It is a value and no exception, since an exception that is kept keeps the pixels that its traceback leads to.
    """
    problem = check_pixels(decibels, max_missing_share)
    if problem is None:
        return None
    band, missing = problem
    if missing is None:
        return Reason.CONSTANT, f"Band {band + 1} holds no information; remove the file or the band."
    return (
        Reason.NOT_FINITE,
        f"{missing:.1%} of band {band + 1} is NaN or no-data (at most "
        f"{max_missing_share:.1%} is accepted); cut the scene inside its valid area.",
    )


@dataclass(frozen=True)
class ModelImages:
    """A raster as the models see it.

    Attributes:
        images: float16 [K, 2, S, S], as the input convention of `corpus.geotiff.model_input` says.
        windows: the K windows of the raster that they show.
        gsd_m: metres on the ground per pixel of an image.
        level: where the level of the decibels comes from.
        reference_db: of each band, the decibels that are 0 in an image.
    """

    images: np.ndarray
    windows: list[Window]
    gsd_m: float
    level: Level
    reference_db: list[float]


def model_images(
    path: str | Path,
    *,
    gsd_m: float,
    size: int | None = None,
    sampling: Sampling | None = None,
    level_db: Sequence[float] | None = None,
    most: int | None = MOST_CROPS,
) -> ModelImages:
    """Read a tile as the models see it, whole or as crops.

    Args:
        path: the GeoTIFF.
        gsd_m: of it, metres on the ground per pixel.
        size: S, side of an image; None: the tile's own.
        sampling: what the model was trained at; None: images show the tile whole.
        level_db: of each band, the median over the scenes of the tile's acquisition; None: see
            `corpus.geotiff.model_input.references`.
        most: crops along a side at most; None: as many as cover the raster.

    Raises:
        TileError: as `read_backscatter`.
    """
    tile = read_backscatter(path)
    height, width = tile.array.shape[1:]
    windows = windows_of(height, width, gsd_m, sampling, most)
    reference_db, level = tile.references(level_db)
    side = windows[0].side
    size = size or side
    return ModelImages(
        tile.model_images(windows, size, reference_db), windows, gsd_m * side / size, level, reference_db
    )


def model_image(path: str | Path, *, size: int | None = None, level_db: Sequence[float] | None = None) -> np.ndarray:
    """Read a whole tile as one image: float16 [2, S, S]. Arguments and errors as of `model_images`."""
    return model_images(path, gsd_m=1.0, size=size, level_db=level_db).images[0]


def pixels_sha256(path: str | Path) -> str:
    """Hex SHA-256 of the pixels of a virtual or remote scene, whose bytes are not at hand. Raises TileError."""
    digest = hashlib.sha256()
    with open_geotiff(path, allow_virtual=True) as src:
        digest.update(f"{src.count} {src.width} {src.height} {src.dtypes} {tuple(src.transform)} {src.crs}".encode())
        for _, window in src.block_windows(1):
            digest.update(src.read(window=window).tobytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class TilePosition:
    """Centre of a tile (degrees), metres on the ground per pixel, and its CRS ('EPSG:32633', or WKT)."""

    lon: float
    lat: float
    gsd_m: float
    crs: str


def tile_position(path: str | Path) -> TilePosition:
    """Where a GeoTIFF lies. Raises TileError as `open_geotiff`."""
    return window_positions(path, None)[0]


def window_positions(path: str | Path, windows: Sequence[Window] | None) -> list[TilePosition]:
    """Where windows of a GeoTIFF lie; None: the whole of it. Raises TileError as `open_geotiff`."""
    with open_geotiff(path) as src:
        centres = (
            [(src.width / 2, src.height / 2)]
            if windows is None
            else [(window.column + window.side / 2, window.row + window.side / 2) for window in windows]
        )
        points = [src.transform @ centre for centre in centres]
        lons, lats = lonlat(src.crs, [x for x, _ in points], [y for _, y in points])
        gsd_m, crs = ground_sample_distance(src.crs, src.transform, src.width, src.height), crs_text(src.crs)
        return [TilePosition(lon, lat, gsd_m, crs) for lon, lat in zip(lons, lats, strict=True)]
