"""GeoTIFF files opened and written, and nothing else that GDAL could read."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader, DatasetWriter, MemoryFile

from corpus.geotiff import layout as tiff_layout
from corpus.geotiff.georeference import advice
from corpus.geotiff.metadata import NO_PLACE, NoPosition
from corpus.geotiff.reasons import Reason, TileError
from corpus.storage.disk import writing

# Sidecar files (.aux.xml, .ovr, .msk) could change what a tile says without changing the tile's own hash, so
# they are not looked at: what is read is exactly what `sha256` in tiles.parquet covers. The mask of a scene is opened
# by `open_mask_beside`, and is part of the scene's hash.
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


def mask_beside(path: str | Path) -> Path | None:
    """FILE.tif.msk, the mask that GDAL writes beside a file unless it is told to write it inside; None without one."""
    if not isinstance(path, Path):
        return None
    found = (path.with_name(f"{path.name}{suffix}") for suffix in (".msk", ".MSK"))
    return next((mask for mask in found if mask.is_file()), None)


@contextmanager
def open_mask_beside(path: str | Path, src: DatasetReader) -> Iterator[DatasetReader | None]:
    """Open the mask beside an open file; None where there is none.

    Raises:
        TileError: outside_folder, or unreadable: it is no GeoTIFF, or of another size. Both name the mask.
    """
    mask = mask_beside(path)
    if mask is None:
        yield None
        return
    remedy = (
        "Mend or remove it, or write the mask into the file with `gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES`."
    )
    if mask.resolve().parent not in (mask.parent.resolve(), Path(path).resolve().parent):
        raise TileError(path, Reason.OUTSIDE_FOLDER, f"Its mask {mask.name} is a link that leads elsewhere. {remedy}")
    try:
        driver = _check_file(mask, allow_virtual=False)
        with rasterio.Env(**_GDAL_OPTIONS), warnings.catch_warnings(action="ignore", category=NotGeoreferencedWarning):
            opened = rasterio.open(mask, driver=driver)
    except TileError as error:
        raise TileError(path, Reason.UNREADABLE, f"Its mask {mask.name} {error.what}. {remedy}") from error
    except (RasterioError, ValueError) as error:
        raise TileError(
            path, Reason.UNREADABLE, f"Of its mask {mask.name} GDAL says: {_cause(error)}. {remedy}"
        ) from error
    with opened:
        if opened.shape != src.shape:
            sizes = f"{opened.width} x {opened.height} pixels and not {src.width} x {src.height}"
            raise TileError(path, Reason.UNREADABLE, f"Its mask {mask.name} has {sizes}. {remedy}")
        yield opened


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
        path.parent.mkdir(parents=True, exist_ok=True)
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
