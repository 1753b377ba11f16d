"""Opening and reading one GeoTIFF safely: local files only, every refusal with a reason and a remedy."""

from __future__ import annotations

import hashlib
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile

from corpus.geotiff import layout as tiff_layout
from corpus.geotiff.backscatter import Backscatter, check_pixels, stated_units, to_decibels
from corpus.geotiff.bands import decide_bands, read_bands
from corpus.geotiff.georeference import advice
from corpus.geotiff.metadata import NO_PLACE, NoPosition, crs_text, ground_sample_distance, lonlat, polarisations_of
from corpus.geotiff.model_input import Level, is_plausible
from corpus.geotiff.reasons import Reason, TileError
from corpus.geotiff.sampling import MOST_CROPS, Sampling, Window, windows_of
from corpus.storage.disk import writing

MAX_TILE_PIXELS = 4096 * 4096
"""`read_backscatter` reads a file whole; anything larger than this is a scene and has to be cut first."""

# Sidecar files (.aux.xml, .ovr, .msk) could change what a tile says without changing the tile's own hash, so
# they are not looked at: what is read is exactly what `sha256` in tiles.parquet covers.
_GDAL_OPTIONS: dict[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
ALLOWED_BY = "; an ingest reads such scenes with corpus.ingest.allow_virtual=true"
# A URL, a GDAL virtual file system path, or a GDAL sub-dataset name such as GTIFF_DIR:1:scene.tif.
_NOT_A_LOCAL_PATH = re.compile(r"^(/vsi|[A-Za-z][A-Za-z0-9+.-]*://?|[A-Za-z_0-9]{2,}:)")


def is_remote(name: str | Path) -> bool:
    """Whether GDAL would take a name for a URL, a virtual path or a part of a file, and not for a local file."""
    return _NOT_A_LOCAL_PATH.match(str(name)) is not None


def _check_file(path: str | Path, allow_virtual: bool) -> str:
    """Refuse by name and by the first bytes, before GDAL sees anything; returns the one driver that may open it."""
    if is_remote(path):
        if allow_virtual:
            return "GTiff"
        raise TileError(
            path, Reason.VIRTUAL_OR_REMOTE, f"Download or convert it to a local GeoTIFF file first{ALLOWED_BY}."
        )
    try:
        with open(path, "rb") as file:
            head = file.read(512)
    except OSError as error:
        raise TileError(
            path, Reason.UNREADABLE, f"{error.strerror or error}. Check the path and its rights."
        ) from error
    if head[:4] in tiff_layout.MAGIC:
        _check_layout(path)
        return "GTiff"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<VRTDataset", b"<?xml", b"<GDAL")):
        if allow_virtual:
            return "VRT"
        raise TileError(
            path,
            Reason.VIRTUAL_OR_REMOTE,
            f"Turn it into a real GeoTIFF with `gdal_translate -of GTiff IN OUT.tif`{ALLOWED_BY}.",
        )
    if not head:
        raise TileError(path, Reason.TRUNCATED, "The file is empty; copy or download it again.")
    raise TileError(path, Reason.NOT_A_GEOTIFF, "Convert it with `gdal_translate -of GTiff IN OUT.tif`, or remove it.")


def _check_layout(path: str | Path) -> None:
    try:
        layout = tiff_layout.read_layout(path)
    except tiff_layout.TruncatedTiff as error:
        raise TileError(path, Reason.TRUNCATED, f"In detail: {error}. Copy or download the file again.") from error
    if 0 in (layout.width, layout.height, layout.bands):
        raise TileError(path, Reason.NO_BANDS, "Write at least one band of backscatter, or remove the file.")


@contextmanager
def open_geotiff(path: str | Path, *, allow_virtual: bool = False) -> Iterator[DatasetReader]:
    """Open a local, georeferenced GeoTIFF for reading; yields the rasterio dataset.

    `allow_virtual` also lets VRT files, URLs and GDAL's virtual paths through; only an ingest whose configuration
    says so uses it.
    Raises TileError: not_a_geotiff, truncated, virtual_or_remote, no_bands, no_crs, no_transform, unreadable;
    a failing pixel read inside the `with` block becomes a TileError too.
    """
    driver = _check_file(path, allow_virtual)
    with rasterio.Env(**_GDAL_OPTIONS):
        try:
            with warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):  # refused by name below
                src = rasterio.open(path, driver=driver)
        except (RasterioError, ValueError) as error:
            raise TileError(
                path, Reason.UNREADABLE, f"GDAL says: {_cause(error)}. Write or download the file again."
            ) from error
        with src:
            _check_georeference(src, path)
            try:
                yield src
            except NoPosition as error:
                raise TileError(
                    path,
                    Reason.NO_TRANSFORM,
                    f"It gives no place on Earth: {error}. Correct its coordinate reference system or its transform.",
                ) from error
            except (RasterioError, CPLE_BaseError) as error:
                raise TileError(
                    path, Reason.UNREADABLE, f"GDAL says: {_cause(error)}. Copy or download the file again."
                ) from error


@contextmanager
def create_geotiff(path: Path, what: str, **profile: Any) -> Iterator[DatasetWriter]:
    """The body fills a new GeoTIFF; at its end the file has its name and is whole, or is not there.

    Args:
        path: of the new file.
        what: it is, for errors: "a tile".
        **profile: as `rasterio.open` takes it.

    Raises:
        DiskFull: the disk is full. OSError: it cannot be made for another reason; never blamed on a file that is being
            read around it, as an error of GDAL's would be by `open_geotiff`.
    """
    with MemoryFile() as memory:
        try:
            with memory.open(driver="GTiff", **profile) as target:
                yield target
        except (RasterioError, CPLE_BaseError) as error:
            raise OSError(f"{what} could not be made for {path}. GDAL says: {_cause(error)}.") from error
        with writing(what, path):
            _put_on_disk(memory.getbuffer(), path, what)


def _put_on_disk(content: memoryview, path: Path, what: str) -> None:
    """By Python: where a file finds no room, GDAL leaves its end out and says nothing."""
    partial = path.with_name(f"{path.name}.partial")
    try:
        partial.write_bytes(content)
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):  # what keeps a file from being written may keep it from being removed
            partial.unlink()
        raise OSError(error.errno, f"{what} could not be written to {path}: {error.strerror}") from error


def _cause(error: BaseException) -> str:
    """The innermost message: rasterio's own often says only that a read failed, its cause says why."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).strip().rstrip(".")


def _check_georeference(src: DatasetReader, path: str | Path) -> None:
    transform = src.transform
    if NO_PLACE.items() <= src.tags().items():
        return
    if src.crs is None:
        raise TileError(path, Reason.NO_CRS, advice(src, path))
    if transform.is_identity or not np.all(np.isfinite(transform[:6])) or transform.determinant == 0:
        raise TileError(path, Reason.NO_TRANSFORM, advice(src, path))


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
