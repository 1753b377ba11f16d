"""Cutting one scene into tiles that keep its CRS and transform."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from affine import Affine
from rasterio.crs import CRS
from rasterio.windows import Window
from rasterio.windows import transform as window_transform

from corpus.geotiff import metadata
from corpus.geotiff.backscatter import resample_power
from corpus.geotiff.files import create_geotiff
from corpus.geotiff.patches import window_at
from corpus.geotiff.read import pixel_problem
from corpus.geotiff.reasons import Reason, TileError
from corpus.ingest.config import IngestConfig
from corpus.ingest.cut_record import CutScene, CutTile, record_of
from corpus.ingest.opened import OpenScene
from corpus.ingest.quarantine import QuarantineRecord
from corpus.ingest.record import SceneRecord
from corpus.ingest.spread import Spread
from corpus.tiles import file_sha256, path_of

_READ_AT_ONCE = 4_000_000  # pixels of all bands: 16 MB


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
    spread = None if scene.is_sampled_whole else Spread(len(scene.bands))
    done = False
    try:
        for row, column, decibels in _read_windows(scene, rows, columns, config):
            window = window_at(row, column, rows, columns)
            valued = int(np.isfinite(decibels).all(axis=0).sum())
            present += valued
            if spread is not None:
                spread.add(decibels)
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
    found = scene.statistics()
    medians, deviations, valid = found.medians, found.deviations, found.valid_share
    if spread is not None and spread.seen > found.pixels:  # patches may miss nearly all that a sparse scene holds
        medians, deviations = spread.statistics()
    # The share of a large scene is that of patches, and of all pixels that windows do not reach.
    pixels = present + max(0, height * width - looked_at) * valid if looked_at else height * width * valid
    used_share = used * _covered_share(tiles, rows, columns) / max(pixels, 1)
    record = record_of(scene, (rows, columns), tiles, skipped, used_share, medians, deviations)
    return CutScene(record, tiles, skipped)


def describe(scene: OpenScene, config: IngestConfig) -> SceneRecord:
    """What was decided on a scene, without its tiles."""
    found = scene.statistics()
    return record_of(scene, scene.window(config.window), [], [], 0.0, found.medians, found.deviations)


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
    path = path_of(tile_id)
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
