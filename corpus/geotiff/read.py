"""Opening and reading one GeoTIFF safely: local files only, every refusal with a reason and a remedy."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile
from rasterio.windows import Window

from corpus.geotiff import layout as tiff_layout
from corpus.geotiff.backscatter import Backscatter, check_pixels, resample_power, stated_units, to_decibels
from corpus.geotiff.metadata import NoPosition, crs_text, ground_sample_distance, lonlat, polarisations_of
from corpus.storage.disk import writing
from corpus.storage.errors import UserError

MAX_TILE_PIXELS = 4096 * 4096
"""`read_backscatter` reads a file whole; anything larger than this is a scene and has to be cut first."""

# Sidecar files (.aux.xml, .ovr, .msk) could change what a tile says without changing the tile's own hash, so
# they are not looked at: what is read is exactly what `sha256` in tiles.parquet covers.
_GDAL_OPTIONS = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
ALLOWED_BY = "; an ingest reads such scenes with corpus.ingest.allow_virtual=true"
# A URL, a GDAL virtual file system path, or a GDAL sub-dataset name such as GTIFF_DIR:1:scene.tif.
_NOT_A_LOCAL_PATH = re.compile(r"^(/vsi|[A-Za-z][A-Za-z0-9+.-]*://?|[A-Za-z_0-9]{2,}:)")


class Reason(StrEnum):
    """Why a file or a window of it cannot be used."""

    NOT_A_GEOTIFF = "not_a_geotiff"
    TRUNCATED = "truncated"
    NO_CRS = "no_crs"
    NO_TRANSFORM = "no_transform"
    NO_BANDS = "no_bands"
    UNKNOWN_BANDS = "unknown_bands"
    UNSUPPORTED_DTYPE = "unsupported_dtype"
    NOT_FINITE = "not_finite"
    CONSTANT = "constant"
    VIRTUAL_OR_REMOTE = "virtual_or_remote"
    OUTSIDE_FOLDER = "outside_folder"
    NAME_NOT_UTF8 = "name_not_utf8"
    TOO_SMALL = "too_small"
    TOO_LARGE = "too_large"
    DUPLICATE = "duplicate"
    UNREADABLE = "unreadable"


_WHAT = {
    Reason.NOT_A_GEOTIFF: "is not a GeoTIFF",
    Reason.TRUNCATED: "is truncated: the file ends before its pixels do",
    Reason.NO_CRS: "has no coordinate reference system",
    Reason.NO_TRANSFORM: "has no invertible georeferencing transform",
    Reason.NO_BANDS: "has no bands or no pixels",
    Reason.UNKNOWN_BANDS: "does not say which polarisation its bands are",
    Reason.UNSUPPORTED_DTYPE: "has a pixel type that is not backscatter",
    Reason.NOT_FINITE: "has too many pixels without a value",
    Reason.CONSTANT: "has the same value in every pixel of a band",
    Reason.VIRTUAL_OR_REMOTE: "is a virtual or remote dataset, not a local GeoTIFF",
    Reason.OUTSIDE_FOLDER: "leads out of the folder that is being read",
    Reason.NAME_NOT_UTF8: "has a name that is not UTF-8, so that no report could name it",
    Reason.TOO_SMALL: "is smaller than one tile",
    Reason.TOO_LARGE: "is too large to be read as one tile",
    Reason.DUPLICATE: "has the same content as a file already read",
    Reason.UNREADABLE: "cannot be read",
}


class TileError(UserError):
    """One file cannot be used. `reason` is a short code, `hint` says what the user can do, `path` is where."""

    def __init__(self, path: str | Path, reason: Reason, hint: str):
        self.path, self.reason, self.hint = str(path), Reason(reason), hint
        super().__init__(f"{self.path} {_WHAT[self.reason]} ({self.reason}). {hint}")

    def __reduce__(self):  # raised inside workers: has to survive pickling
        return type(self), (self.path, self.reason, self.hint)


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
        raise TileError(path, Reason.UNREADABLE, f"{error.strerror or error}. Check the path and its rights.")
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
        what: it is, for errors: "a tile". profile: as `rasterio.open` takes it.

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
    if src.crs is None:
        hint = (
            "It has ground control points only; warp it with `gdalwarp -t_srs EPSG:4326 IN OUT.tif`."
            if src.gcps[0]
            else "Set it with `gdal_edit.py -a_srs EPSG:CODE FILE`, or remove the file."
        )
        raise TileError(path, Reason.NO_CRS, hint)
    transform = src.transform
    if transform.is_identity or not np.all(np.isfinite(transform[:6])) or transform.determinant == 0:
        raise TileError(path, Reason.NO_TRANSFORM, "Set it with `gdal_edit.py -a_ullr ULX ULY LRX LRY FILE`.")


def read_backscatter(path: str | Path, *, max_missing_share: float = 0.05) -> Backscatter:
    """Read a whole tile as calibrated (or relative) backscatter in dB.

    Returns Backscatter(array float32 [bands, H, W] in dB with NaN where the tile has no value, polarisations).
    Units are found as `scene_units` and `corpus.geotiff.backscatter.to_decibels` say.
    Raises TileError as open_geotiff does, and not_finite (more than `max_missing_share` of a band missing),
    constant, unknown_bands, unsupported_dtype, too_large.
    """
    with open_geotiff(path) as src:
        if src.width * src.height > MAX_TILE_PIXELS:
            raise TileError(path, Reason.TOO_LARGE, "Cut it into tiles first: `knowlip run CONFIG --tiles FOLDER`.")
        polarisations = scene_polarisations(src, path)
        decibels = read_decibels(src, path, scene_units(src, path))
    refuse_bad_pixels(decibels, path, max_missing_share)
    return Backscatter(decibels, polarisations)


def scene_polarisations(src: DatasetReader, path: str | Path, stated: tuple[str, ...] | None = None) -> tuple[str, ...]:
    """Polarisation of each band; `stated` fills in where the file is silent. Raises TileError(unknown_bands)."""
    found = polarisations_of(src.descriptions, src.tags(), Path(str(path)).name)
    if found is None and stated is not None and len(stated) == src.count:
        found = stated
    if found is None:
        raise TileError(
            path,
            Reason.UNKNOWN_BANDS,
            f"It has {src.count} bands; set each band's description, or the tag POLARIZATION, to VV, VH, HH or HV.",
        )
    return found


def scene_units(src: DatasetReader, path: str | Path) -> str | None:
    """Units of a float scene ('db', 'amplitude', 'power'), None for integers. Raises TileError(unsupported_dtype).

    Where no tag or description tells, any negative value anywhere means dB; a bright window alone might have none.
    """
    if src.dtypes[0] not in ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64"):
        raise TileError(
            path,
            Reason.UNSUPPORTED_DTYPE,
            f"Its type is {src.dtypes[0]}; detect the amplitude and write it as uint8, uint16 or float32.",
        )
    if not src.dtypes[0].startswith("float"):
        return None
    stated = stated_units(src.tags(), src.descriptions)
    if stated is not None:
        return stated
    nodata = src.nodata
    for _, window in src.block_windows(1):
        values = src.read(window=window)
        if ((values < 0) & np.isfinite(values) & (values != nodata)).any():
            return "db"
    return "power"


def read_decibels(src: DatasetReader, path: str | Path, units: str | None, window: Window | None = None) -> np.ndarray:
    """Pixels of an open dataset (or of one window of it) in dB: float32 [bands, H, W], NaN where masked."""
    pixels = src.read(window=window)
    valid = src.read_masks(window=window) > 0
    try:
        return to_decibels(pixels, valid, src.tags(), units)
    except ValueError as error:
        raise TileError(
            path,
            Reason.UNREADABLE,
            "Its tag CALIBRATION_DB is not a number; correct it with `rio edit-info --tag CALIBRATION_DB=VALUE FILE`.",
        ) from error


def refuse_bad_pixels(decibels: np.ndarray, path: str | Path, max_missing_share: float = 0.05) -> None:
    """Raise TileError(not_finite) or TileError(constant) for [bands, H, W] pixels that hold no picture."""
    problem = check_pixels(decibels, max_missing_share)
    if problem is None:
        return
    band, missing = problem
    if missing is None:
        raise TileError(path, Reason.CONSTANT, f"Band {band + 1} holds no information; remove the file or the band.")
    raise TileError(
        path,
        Reason.NOT_FINITE,
        f"{missing:.1%} of band {band + 1} is NaN or no-data (at most "
        f"{max_missing_share:.1%} is accepted); cut the scene inside its valid area.",
    )


def model_image(path: str | Path, *, size: int | None = None) -> np.ndarray:
    """Read a tile as the model sees it: float16 [2, H, W], co-polarised and cross-polarised channel.

    Each channel is (dB - median of the tile) / 10 dB, clipped to [-3, 5]: products with different, or no,
    calibration look alike. A missing channel, and a missing pixel, is 0 (the tile's median).
    `size`: resample to [2, size, size] first, averaging in power. Raises TileError as `read_backscatter`.
    """
    tile = read_backscatter(path)
    if size is not None and tile.array.shape[1:] != (size, size):
        tile = Backscatter(resample_power(tile.array, size), tile.polarisations)
    return tile.model_image()


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
    with open_geotiff(path) as src:
        x, y = src.transform @ (src.width / 2, src.height / 2)
        (lon,), (lat,) = lonlat(src.crs, [x], [y])
        return TilePosition(
            lon, lat, ground_sample_distance(src.crs, src.transform, src.width, src.height), crs_text(src.crs)
        )
