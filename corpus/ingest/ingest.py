"""From any folder of GeoTIFFs to a corpus: cut, describe, split, and set aside what cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from corpus.geotiff.read import Reason, TileError, pixels_sha256
from corpus.ingest.cutting import CutTile, cut_scene
from corpus.ingest.quarantine import Quarantine, QuarantineRecord
from corpus.ingest.scenes import IngestError, Scene, find_scenes
from corpus.ingest.split import split_by_place
from corpus.storage.models import FrozenModel
from corpus.tiles import TILES_FILE, TILES_FOLDER, Tile, file_sha256, write_tiles

__all__ = ["IngestConfig", "IngestError", "IngestReport", "PlacesOf", "cut_scenes"]

PlacesOf = Callable[[Sequence[float], Sequence[float]], Sequence[tuple[str, str]]]
"""(longitudes, latitudes) in degrees to one (city, country) each."""


class IngestConfig(FrozenModel):
    """How scenes become tiles."""

    tile_px: int = Field(128, ge=16, le=1024, description="side of a tile, pixels")
    window_px: int | None = Field(
        None,
        ge=16,
        description="side of the window cut from a scene, scene pixels; averaged"
        " in power to tile_px where it differs. Default: tile_px",
    )
    max_missing_share: float = Field(0.05, ge=0, lt=1, description="of a window's pixels without a value")
    max_quarantined_share: float = Field(0.1, ge=0, le=1, description="of the files; above it the ingest fails")
    held_out_share: float = Field(0.2, ge=0, lt=1, description="of the tiles, by whole places")
    seed: int = Field(0, ge=0, description="of the split")
    polarisations: tuple[Literal["VV", "VH", "HH", "HV"], ...] | None = Field(
        None, description="of the bands, for files that do not say"
    )
    allow_virtual: bool = Field(
        False,
        description="read URLs, GDAL's /vsi paths and VRT files too; they make GDAL open"
        " whatever they name, so only for scenes of your own",
    )


@dataclass(frozen=True)
class IngestReport:
    """What became of the files. Each skipped window, duplicate and quarantined file is in quarantine.jsonl."""

    files: int
    tiles: int
    held_out: int
    quarantined: int
    """Files refused."""
    duplicates: int
    """Files with the content of an earlier one; not counted as quarantined."""
    skipped_windows: int
    """Windows without a picture (beyond the edge of the swath, constant) in files that were used."""
    reasons: dict[str, int]
    """Quarantined files by reason."""
    contents: dict[str, str]
    """Scene name -> SHA-256 of what was read of it, see `scene_sha256`; '' where nothing could be."""
    table: pa.Table
    """The tiles, as written."""


def cut_scenes(
    source: str | Path,
    out_corpus_dir: str | Path,
    config: IngestConfig,
    *,
    places_of: PlacesOf | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> IngestReport:
    """Cut every GeoTIFF of `source` (a folder, or a text file that lists them) into the tiles of a new corpus.

    Writes <out>/tiles/*.tif, <out>/quarantine.jsonl and, last, <out>/tiles.parquet: without it there is no corpus.
    `places_of` names city and country (else both are ''); `progress(done, total)` is called after each file.
    Raises IngestError: nothing at `source`, a corpus already at `out`, `out` and `source` inside one another, more
    than config.max_quarantined_share of the files unusable, or no tile left.
    """
    source, out = Path(source), Path(out_corpus_dir)
    _check_places(source, out)
    scenes, refused = find_scenes(source, allow_virtual=config.allow_virtual)
    total = len(scenes) + len(refused)
    (out / TILES_FOLDER).mkdir(parents=True, exist_ok=True)
    Quarantine(out).path.unlink(missing_ok=True)  # what an unfinished ingest left
    cut, scene_of, boxes = [], [], []
    duplicates, skipped, seen = [], [], {}
    contents = dict.fromkeys((scene.name for scene in scenes), "")
    for done, scene in enumerate(scenes, start=len(refused) + 1):
        try:
            contents[scene.name] = _content(scene, config)
            tiles, box = _cut_one(scene, contents[scene.name], out, config, seen, skipped)
        except TileError as error:
            (duplicates if error.reason is Reason.DUPLICATE else refused).append(error)
        else:
            scene_of += [len(boxes)] * len(tiles)
            cut += tiles
            boxes.append(box)
        if progress:
            progress(done, total)
    Quarantine(out).append(QuarantineRecord.of(error) for error in [*refused, *duplicates, *skipped])
    _check_share(refused, total, bool(cut), source, out, config)
    splits = split_by_place(
        np.array(boxes), scene_of, np.array([(tile.lon, tile.lat) for tile in cut]), config.held_out_share, config.seed
    )
    table = write_tiles(out, _rows(cut, splits, places_of))
    reasons: dict[str, int] = {}
    for error in refused:
        reasons[error.reason.value] = reasons.get(error.reason.value, 0) + 1
    return IngestReport(
        files=total,
        tiles=len(cut),
        held_out=splits.count("held_out"),
        quarantined=len(refused),
        duplicates=len(duplicates),
        skipped_windows=len(skipped),
        reasons=reasons,
        contents=contents,
        table=table,
    )


def scene_sha256(path: Path | str, config: IngestConfig) -> str:
    """What tells scenes apart: their bytes or, where these may not be at hand, their pixels."""
    return pixels_sha256(path) if config.allow_virtual else file_sha256(path)


def _check_places(source: Path, out: Path) -> None:
    if (out / TILES_FILE).exists():
        raise IngestError(f"There is a corpus at {out} already. Tiles never change: use another folder, or remove it.")
    inner, outer = out.resolve(), source.resolve()
    if source.is_dir() and (inner.is_relative_to(outer) or outer.is_relative_to(inner)):
        raise IngestError(
            f"The corpus {out} and its source {source} lie inside one another, so tiles would be read as "
            "scenes. Choose a folder outside the source."
        )


def _content(scene: Scene, config: IngestConfig) -> str:
    try:
        return scene_sha256(scene.path, config)
    except OSError as error:
        raise TileError(scene.name, Reason.UNREADABLE, f"{error.strerror or error}. Check the path and its rights.")


def _cut_one(
    scene: Scene, sha256: str, out: Path, config: IngestConfig, seen: dict[str, str], skipped: list[TileError]
) -> tuple[list[CutTile], tuple[float, float, float, float]]:
    if sha256 in seen:
        raise TileError(scene.name, Reason.DUPLICATE, f"It equals {seen[sha256]}; remove one of them.")
    tiles, box = cut_scene(
        scene.path,
        scene.name,
        sha256,
        out,
        window_px=config.window_px or config.tile_px,
        tile_px=config.tile_px,
        max_missing_share=config.max_missing_share,
        polarisations=config.polarisations,
        skipped=skipped,
        allow_virtual=config.allow_virtual,
    )
    seen[sha256] = scene.name
    return tiles, box


def _check_share(
    refused: list[TileError], total: int, any_tile: bool, source: Path, out: Path, config: IngestConfig
) -> None:
    share = len(refused) / total
    if any_tile and share <= config.max_quarantined_share:
        return
    reasons = sorted({error.reason.value for error in refused})
    first = f" The first: {refused[0]}" if refused else ""
    limit = (
        f"more than max_quarantined_share = {config.max_quarantined_share:.0%}" if any_tile else "so no tile is left"
    )
    raise IngestError(
        f"{len(refused)} of {total} files of {source} cannot be used ({', '.join(reasons)}), {limit}."
        f"{first} All are listed in {Quarantine(out).path}; mend or remove them"
        f"{', or raise max_quarantined_share' if any_tile else ''}."
    )


def _rows(cut: list[CutTile], splits: list[str], places_of: PlacesOf | None) -> list[Tile]:
    places = places_of([tile.lon for tile in cut], [tile.lat for tile in cut]) if places_of else [("", "")] * len(cut)
    return [
        Tile(
            tile_id=tile.tile_id,
            path=tile.path,
            sha256=tile.sha256,
            crs=tile.crs,
            transform=tile.transform,
            width=tile.size,
            height=tile.size,
            gsd_m=tile.gsd_m,
            platform=tile.platform,
            band=tile.band,
            polarisations=tile.polarisations,
            acquired=tile.acquired,
            lon=tile.lon,
            lat=tile.lat,
            city=city,
            country=country,
            split=split,
        )
        for tile, split, (city, country) in zip(cut, splits, places, strict=True)
    ]
