"""Cutting one scene into tiles that keep its CRS and transform."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from corpus.geotiff import metadata
from corpus.geotiff.backscatter import resample_power
from corpus.geotiff.bands import window_at
from corpus.geotiff.model_input import is_plausible
from corpus.geotiff.read import create_geotiff, pixel_problem
from corpus.geotiff.reasons import Reason, TileError
from corpus.ingest.config import IngestConfig
from corpus.ingest.opened import OpenScene
from corpus.ingest.quarantine import QuarantineRecord
from corpus.ingest.record import SceneRecord
from corpus.tiles import TILES_FOLDER, file_sha256

_READ_AT_ONCE = 4_000_000  # pixels of all bands: 16 MB


@dataclass(frozen=True)
class CutTile:
    """A tile, before its place name and split are known. sha256 is '' where it was not written.

    Attributes:
        ground: longitude and latitude of the four corners in degrees, in order.
        window: row and column of its first pixel, '#row,col' of the scene.
    """

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
    ground: tuple[tuple[float, float], ...]
    window: str


@dataclass(frozen=True)
class CutScene:
    """What became of one scene."""

    record: SceneRecord
    tiles: list[CutTile]
    skipped: list[QuarantineRecord] = field(default_factory=list)
    """Windows without a picture. They are records, not exceptions, which would keep the windows' pixels."""


def cut_scene(scene: OpenScene, sha256: str, out: Path | None, config: IngestConfig) -> CutScene:
    """Cut every usable window of a scene, and write it as a tile where there is an `out`.

    Raises:
        TileError: the scene is smaller than a window, or no window of it is usable. Tiles already written are removed
            then, so a broken scene leaves nothing behind.
        OSError: a tile cannot be written (DiskFull, if that is why).
    """
    height, width = scene.first.height, scene.first.width
    rows, columns = scene.window(config.window)
    if width < columns or height < rows:
        raise TileError(
            scene.name,
            Reason.TOO_SMALL,
            f"It has {width} x {height} pixels and one window "
            f"needs {columns} x {rows}; choose a smaller window_px in the configuration.",
        )
    tiles: list[CutTile] = []
    skipped: list[QuarantineRecord] = []
    first_problem = None
    used = present = 0
    done = False
    try:
        for row, column, decibels in _read_windows(scene, rows, columns, config):
            window = window_at(row, column, rows, columns)
            valued = int(np.isfinite(decibels).all(axis=0).sum())
            present += valued
            if problem := pixel_problem(decibels, config.max_missing_share):
                first_problem = first_problem or problem
                skipped.append(
                    QuarantineRecord(path=f"{scene.name}#{row},{column}", reason=problem[0].value, hint=problem[1])
                )
                continue
            tiles.append(_tile(scene, decibels, window, sha256, out, config.tile_px))
            used += valued
        if first_problem and not tiles:
            reason, hint = first_problem
            raise TileError(scene.name, reason, f"None of its {len(skipped)} windows is usable. {hint}")
        done = True
    finally:
        if not done:
            remove_tiles(out, tiles)
    looked_at = (len(tiles) + len(skipped)) * rows * columns if config.windows_side_by_side else 0
    medians, deviations, valid = scene.statistics()
    # The statistics of a large scene are those of patches, and of all pixels that windows do not reach.
    pixels = present + max(0, height * width - looked_at) * valid if looked_at else height * width * valid
    used_share = used * _covered_share(tiles, rows, columns) / max(pixels, 1)
    record = _record(scene, (rows, columns), tiles, skipped, used_share, medians, deviations)
    return CutScene(record, tiles, skipped)


def describe(scene: OpenScene, config: IngestConfig) -> SceneRecord:
    """What was decided on a scene, without its tiles."""
    medians, deviations, _ = scene.statistics()
    return _record(scene, scene.window(config.window), [], [], 0.0, medians, deviations)


def remove_tiles(out: Path | None, tiles: list[CutTile]) -> None:
    """Remove the files of tiles, where they were written."""
    for tile in tiles:
        if out is not None:
            (out / tile.path).unlink(missing_ok=True)


def tile_id_of(scene_sha256: str, row: int, col: int, window_px: int | str, tile_px: int) -> str:
    """16 hex digits from the scene's content and the window: the same tile has the same id on every machine."""
    return hashlib.sha256(f"{scene_sha256} {row} {col} {window_px} {tile_px}".encode()).hexdigest()[:16]


def _read_windows(
    scene: OpenScene, rows: int, columns: int, config: IngestConfig
) -> Iterator[tuple[int, int, np.ndarray]]:
    """(row, column, decibels) of the windows of a scene from the upper left, as stride_px and align_last_window say.

    Windows beside one another are read at once: a file is stored in rows, or in blocks larger than a window.
    """
    height, width = scene.first.height, scene.first.width
    share = (config.stride_px or config.window) / config.window
    lefts = _starts(width, columns, max(1, round(columns * share)), config.align_last_window)
    at_once = max(1, _READ_AT_ONCE // (rows * columns * len(scene.bands)))
    for top in _starts(height, rows, max(1, round(rows * share)), config.align_last_window):
        for first in range(0, len(lefts), at_once):
            some = lefts[first : first + at_once]
            decibels = scene.read(window_at(top, some[0], rows, some[-1] + columns - some[0]))
            for left in some:
                yield top, left, decibels[:, :, left - some[0] : left - some[0] + columns]


def _starts(length: int, window: int, stride: int, align_last: bool) -> list[int]:
    starts = list(range(0, length - window + 1, stride))
    if align_last and starts[-1] != length - window:
        starts.append(length - window)
    return starts


def _covered_share(tiles: list[CutTile], rows: int, columns: int) -> float:
    """Area that windows cover over the sum of their areas: less than 1 where they overlap."""
    starts = np.array([[int(text) for text in tile.window[1:].split(",")] for tile in tiles])
    tops, lefts = (
        np.unique(np.concatenate([starts[:, k], starts[:, k] + size])) for k, size in ((0, rows), (1, columns))
    )
    if len(tops) * len(lefts) > 4_000_000:
        return 1.0
    covered = np.zeros((len(tops) - 1, len(lefts) - 1), bool)
    for top, left in starts:
        covered[
            np.searchsorted(tops, top) : np.searchsorted(tops, top + rows),
            np.searchsorted(lefts, left) : np.searchsorted(lefts, left + columns),
        ] = True
    area = (covered * np.diff(tops)[:, None] * np.diff(lefts)[None, :]).sum()
    return float(area / (len(tiles) * rows * columns))


def _record(
    scene: OpenScene,
    window: tuple[int, int],
    tiles: list[CutTile],
    skipped: list[QuarantineRecord],
    used_share: float,
    medians: list[float],
    deviations: list[float],
) -> SceneRecord:
    names = scene.polarisations
    left_out = {f"{part.scene.name}, band {band}": why for part in scene.parts for band, why in part.bands.left_out}
    ground = scene.ground()
    return SceneRecord(
        file=scene.name,
        files=tuple(part.scene.name for part in scene.parts),
        status="ok",
        reason=_summary(scene, left_out),
        reasoning=_reasoning(scene, left_out, window, ground),
        polarisations=names,
        unit={name: band.meaning.unit for name, band in zip(names, scene.bands, strict=True) if band.meaning.unit},
        no_data={name: tuple(band.no_data) for name, band in zip(names, scene.bands, strict=True) if band.no_data},
        bands_left_out=left_out,
        median_db=_rounded(names, medians),
        std_db=_rounded(names, deviations),
        calibrated=scene.may_be_calibrated() and is_plausible([each for each in medians if math.isfinite(each)]),
        crs=metadata.crs_text(scene.first.crs),
        gsd_m=(round(ground[0], 4), round(ground[1], 4)),
        window=window,
        windows=len(tiles) + len(skipped),
        windows_refused=len(skipped),
        tiles=len(tiles),
        used_share=round(min(1.0, used_share), 4),
        acquired=scene.acquired,
        platform=scene.platform,
        licence=scene.licence,
    )


def _rounded(names: tuple[str, ...], values: list[float]) -> dict[str, float]:
    return {name: round(value, 3) for name, value in zip(names, values, strict=True) if math.isfinite(value)}


def _summary(scene: OpenScene, left_out: dict[str, str]) -> str:
    said = []
    for band in scene.bands:
        first = band.meaning.reasons[0] if band.meaning.reasons else ""
        no_data = f", no data: {', '.join(f'{value:g}' for value in band.no_data)}" if band.no_data else ""
        said.append(f"{band.polarisation}: {first}{no_data}")
    said += [f"left out {band}: {why}" for band, why in left_out.items()]
    said += [f"{name} lies beside and is not read: put it inside with gdal_translate" for name in scene.masks_beside()]
    return "; ".join(dict.fromkeys(said))


def _reasoning(
    scene: OpenScene, left_out: dict[str, str], window: tuple[int, int], ground: tuple[float, float]
) -> tuple[str, ...]:
    said = []
    for part in scene.parts:
        said += [f"{part.scene.name}: {note}" for note in part.bands.notes]
        for band in part.bands.used:
            said += [f"{part.scene.name}, band {band.index} ({band.polarisation}): {why}" for why in band.reasons()]
        if part.item is not None:
            said.append(f"{part.scene.name}: the item {part.item.file} beside it was read")
    said += [f"left out {band}: {why}" for band, why in left_out.items()]
    said.append(f"a pixel is {ground[0]:.4g} m across and {ground[1]:.4g} m down on the ground")
    if window[0] != window[1]:
        said.append(
            f"windows of {window[0]} rows and {window[1]} columns are square on the ground, and resampled to tiles"
        )
    said.append(f"acquired: {scene.acquired or 'not known'}; platform: {scene.platform}")
    return tuple(said)


def _tile(
    scene: OpenScene, decibels: np.ndarray, window: Window, sha256: str, out: Path | None, tile_px: int
) -> CutTile:
    """Integer tiles keep the scene's own pixels; float ones, and resampled ones (an average is no DN), are dB."""
    src, tags = scene.first, scene.tags
    row, col, rows, columns = int(window.row_off), int(window.col_off), int(window.height), int(window.width)
    transform = window_transform(window, src.transform) @ Affine.scale(columns / tile_px, rows / tile_px)
    gsd = metadata.ground_sample_distance(src.crs, transform, tile_px, tile_px)
    platform, acquired = scene.platform, scene.acquired
    band = metadata.radar_band_of(tags, platform)
    size = rows if rows == columns else f"{rows}x{columns}"
    tile_id = tile_id_of(sha256, row, col, size, tile_px)
    path = f"{TILES_FOLDER}/{tile_id}.tif"
    digest = ""
    if out is not None:
        extra = {
            "PLATFORM": platform,
            "BAND": band,
            "ACQUIRED": acquired,
            "GROUND_SAMPLE_DISTANCE_M": f"{gsd:.6g}",
            "MAP_SAMPLE_DISTANCE": f"{metadata.map_sample_distance(transform):.10g}",
            "MAP_UNIT": _map_unit(src.crs),
            "SOURCE_FILE": scene.name,
            "SOURCE_SHA256": sha256,
            "SOURCE_WINDOW": f"{row},{col},{size}",
        }
        _write(scene, decibels, window, transform, out / path, tile_px, extra)
        digest = file_sha256(out / path)
    corners = [transform @ corner for corner in ((0, 0), (tile_px, 0), (tile_px, tile_px), (0, tile_px))]
    corners.append(transform @ (tile_px / 2, tile_px / 2))
    lons, lats = metadata.lonlat(src.crs, [x for x, _ in corners], [y for _, y in corners])
    return CutTile(
        tile_id,
        path,
        digest,
        metadata.crs_text(src.crs),
        tuple(transform)[:6],
        tile_px,
        gsd,
        platform,
        band,
        scene.polarisations,
        acquired,
        lons[4],
        lats[4],
        tuple(zip(lons[:4], lats[:4], strict=True)),
        f"#{row},{col}",
    )


def _write(
    scene: OpenScene,
    decibels: np.ndarray,
    window: Window,
    transform: Affine,
    path: Path,
    tile_px: int,
    tags: dict[str, str],
) -> None:
    src = scene.first
    if tile_px == window.width == window.height and scene.keeps_integers():
        pixels, nodata = scene.read_stored(window), src.nodata
        extra = {key: scene.tags[key] for key in ("CALIBRATION_DB", "UNITS") if key in scene.tags}
        calibration = scene.bands[0].meaning.calibration_db
        if calibration and "CALIBRATION_DB" not in extra:
            extra["CALIBRATION_DB"] = f"{calibration:.10g}"
    else:
        # Written as dB: in which unit a scene is, is told by all of its values, not by each tile's.
        pixels, nodata, extra = decibels, np.nan, {"UNITS": "dB"}
        if not tile_px == window.width == window.height:
            pixels = resample_power(decibels, tile_px)
    with create_geotiff(
        path,
        "a tile",
        width=tile_px,
        height=tile_px,
        count=len(pixels),
        dtype=pixels.dtype,
        crs=src.crs,
        transform=transform,
        nodata=nodata,
        compress="DEFLATE",
        predictor=3 if pixels.dtype == np.float32 else 2,
    ) as target:
        target.write(pixels)
        target.update_tags(**extra, **tags)
        for index, polarisation in enumerate(scene.polarisations, start=1):
            target.set_band_description(index, polarisation)


def _map_unit(crs: CRS) -> str:
    return "degree" if crs.is_geographic else crs.linear_units
