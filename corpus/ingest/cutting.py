"""Cutting one scene into tiles that keep its CRS and transform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from corpus.geotiff import metadata
from corpus.geotiff.backscatter import resample_power
from corpus.geotiff.read import (
    Reason,
    TileError,
    create_geotiff,
    open_geotiff,
    read_decibels,
    refuse_bad_pixels,
    scene_polarisations,
    scene_units,
)
from corpus.tiles import TILES_FOLDER, file_sha256


@dataclass(frozen=True)
class CutTile:
    """A written tile, before its place name and split are known."""

    tile_id: str
    path: str
    sha256: str
    crs: str
    transform: tuple[float, float, float, float, float, float]
    size: int
    gsd_m: float
    platform: str
    band: str
    polarisations: tuple[str, ...]
    acquired: str
    lon: float
    lat: float


def cut_scene(
    path: Path | str,
    name: str,
    sha256: str,
    out: Path,
    *,
    window_px: int,
    tile_px: int,
    max_missing_share: float,
    polarisations: tuple[str, ...] | None,
    skipped: list[TileError],
    allow_virtual: bool = False,
) -> tuple[list[CutTile], tuple[float, float, float, float]]:
    """Write every usable window of a scene as a tile; returns them and the scene's box in degrees.

    Windows without a picture are added to `skipped`. Raises TileError where the file itself is unusable, or no
    window of it is; tiles already written are then removed, so a broken scene leaves nothing behind. Raises OSError
    (DiskFull, if that is why) where a tile cannot be written.
    """
    tiles: list[CutTile] = []
    try:
        with open_geotiff(path, allow_virtual=allow_virtual) as src:
            names = scene_polarisations(src, path, polarisations)
            if src.width < window_px or src.height < window_px:
                raise TileError(
                    name,
                    Reason.TOO_SMALL,
                    f"It has {src.width} x {src.height} pixels and one window "
                    f"needs {window_px} x {window_px}; choose a smaller window_px in the configuration.",
                )
            units, box = scene_units(src, path), _box(src)
            refused: list[TileError] = []
            for row, col in _windows(src.height, src.width, window_px):
                window = Window(col, row, window_px, window_px)
                try:
                    decibels = read_decibels(src, path, units, window)
                    refuse_bad_pixels(decibels, f"{name}#{row},{col}", max_missing_share)
                    tiles.append(_write(src, decibels, window, sha256, out, tile_px, names, name))
                except TileError as error:
                    if error.reason not in (Reason.NOT_FINITE, Reason.CONSTANT):
                        raise
                    refused.append(error)
            if not tiles:
                raise TileError(
                    name, refused[0].reason, f"None of its {len(refused)} windows is usable. " + refused[0].hint
                )
            skipped.extend(refused)
    except TileError as error:
        for tile in tiles:
            (out / tile.path).unlink(missing_ok=True)
        raise TileError(name, error.reason, error.hint) from error
    return tiles, box


def tile_id_of(scene_sha256: str, row: int, col: int, window_px: int, tile_px: int) -> str:
    """16 hex digits from the scene's content and the window: the same tile has the same id on every machine."""
    return hashlib.sha256(f"{scene_sha256} {row} {col} {window_px} {tile_px}".encode()).hexdigest()[:16]


def _windows(height: int, width: int, size: int) -> Iterator[tuple[int, int]]:
    """(row, col) of the windows that fit, side by side from the upper left; the rest at the edge is left."""
    for row in range(0, height - size + 1, size):
        for col in range(0, width - size + 1, size):
            yield row, col


def _box(src: rasterio.DatasetReader) -> tuple[float, float, float, float]:
    corners = [src.transform @ corner for corner in ((0, 0), (src.width, 0), (0, src.height), (src.width, src.height))]
    lons, lats = metadata.lonlat(src.crs, [x for x, _ in corners], [y for _, y in corners])
    return min(lons), min(lats), max(lons), max(lats)


def _write(
    src: rasterio.DatasetReader,
    decibels: np.ndarray,
    window: Window,
    sha256: str,
    out: Path,
    tile_px: int,
    polarisations: tuple[str, ...],
    name: str,
) -> CutTile:
    """Integer tiles keep the scene's own pixels; float ones, and resampled ones (an average is no DN), are dB."""
    row, col, size = int(window.row_off), int(window.col_off), int(window.width)
    transform = window_transform(window, src.transform) @ Affine.scale(size / tile_px)
    tags, nodata = src.tags(), src.nodata
    if tile_px == size:
        pixels = src.read(window=window)
        extra = {key: tags[key] for key in ("CALIBRATION_DB", "UNITS") if key in tags}
        if np.issubdtype(pixels.dtype, np.floating):
            # Written as dB: whether a scene is in dB or linear is told by all of its values, not by each tile's.
            pixels, nodata, extra = decibels, np.nan, {"UNITS": "dB"}
    else:
        pixels, nodata, extra = resample_power(decibels, tile_px), np.nan, {"UNITS": "dB"}
    platform = metadata.platform_of(tags, name)
    gsd = metadata.ground_sample_distance(src.crs, transform, tile_px, tile_px)
    acquired, band = metadata.acquired_of(tags, name), metadata.radar_band_of(tags, platform)
    tile_id = tile_id_of(sha256, row, col, size, tile_px)
    path = f"{TILES_FOLDER}/{tile_id}.tif"
    extra |= {
        "PLATFORM": platform,
        "BAND": band,
        "ACQUIRED": acquired,
        "GROUND_SAMPLE_DISTANCE_M": f"{gsd:.6g}",
        "MAP_SAMPLE_DISTANCE": f"{metadata.map_sample_distance(transform):.10g}",
        "MAP_UNIT": _map_unit(src.crs),
        "SOURCE_FILE": name,
        "SOURCE_SHA256": sha256,
        "SOURCE_WINDOW": f"{row},{col},{size}",
    }
    with create_geotiff(
        out / path,
        "a tile",
        width=tile_px,
        height=tile_px,
        count=src.count,
        dtype=pixels.dtype,
        crs=src.crs,
        transform=transform,
        nodata=nodata,
        compress="DEFLATE",
        predictor=3 if pixels.dtype == np.float32 else 2,
    ) as dst:
        dst.write(pixels)
        dst.update_tags(**extra)
        for index, polarisation in enumerate(polarisations, start=1):
            dst.set_band_description(index, polarisation)
    (lon,), (lat,) = metadata.lonlat(src.crs, *[[value] for value in transform @ (tile_px / 2, tile_px / 2)])
    return CutTile(
        tile_id,
        path,
        file_sha256(out / path),
        metadata.crs_text(src.crs),
        tuple(transform)[:6],
        tile_px,
        gsd,
        platform,
        band,
        polarisations,
        acquired,
        lon,
        lat,
    )


def _map_unit(crs: CRS) -> str:
    return "degree" if crs.is_geographic else crs.linear_units
