"""From any folder of GeoTIFFs to a corpus: cut, describe, split, and set aside what cannot be used.

`inspect_scenes` decides everything and writes nothing; `cut_scenes` decides the same, by the same code, and writes it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from corpus.geotiff import products
from corpus.geotiff.compact import compact_by_name, refusal
from corpus.geotiff.files import mask_beside
from corpus.geotiff.read import pixels_sha256
from corpus.geotiff.reasons import Reason, TileError
from corpus.ingest.config import IngestConfig
from corpus.ingest.cut_record import CutScene, CutTile
from corpus.ingest.cutting import cut_scene, describe
from corpus.ingest.inspection import Inspection
from corpus.ingest.levels import levels_of
from corpus.ingest.opened import on_one_grid, open_scene
from corpus.ingest.quarantine import NEAR_HELD_OUT, Quarantine
from corpus.ingest.record import SceneRecord
from corpus.ingest.scenes import IngestError, Scene, beside_backscatter, find_scenes, group_scenes
from corpus.ingest.sides import give_sides
from corpus.ingest.split import Side
from corpus.tiles import TILES_FILE, TILES_FOLDER, Tile, file_sha256, write_tiles

__all__ = ["IngestConfig", "IngestError", "IngestReport", "Inspection", "PlacesOf", "cut_scenes", "inspect_scenes"]

PlacesOf = Callable[[Sequence[float], Sequence[float]], Sequence[tuple[str, str]]]
"""(longitudes, latitudes) in degrees to one (city, country) each."""

ProgressOf = Callable[[int, int], None]


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
    """File -> SHA-256 of what was read of it, see `scene_sha256`; '' where nothing could be."""
    table: pa.Table
    """The tiles, as written."""
    not_backscatter: int = 0
    """Files that are no backscatter (terrain, angles, masks, quick-looks); not counted as quarantined."""
    left_out: int = 0
    """Tiles that are too near to a held-out tile to train on."""
    scenes: tuple[SceneRecord, ...] = ()
    """What was decided on each scene."""
    scene_of: dict[str, str] = field(default_factory=dict)
    """tile_id -> name of the scene that it was cut from, as its record has it."""


def inspect_scenes(source: str | Path, config: IngestConfig, *, progress: ProgressOf | None = None) -> Inspection:
    """Decide on every file of a source as `cut_scenes` does, and write nothing.

    Raises:
        IngestError: there is nothing at `source`.
    """
    return _inspect(Path(source), config, None, progress)


def cut_scenes(
    source: str | Path,
    out_corpus_dir: str | Path,
    config: IngestConfig,
    *,
    places_of: PlacesOf | None = None,
    progress: ProgressOf | None = None,
) -> IngestReport:
    """Cut every GeoTIFF of `source` (a folder, or a text file that lists them) into the tiles of a new corpus.

    Writes <out>/tiles/*.tif, <out>/quarantine.jsonl and, last, <out>/tiles.parquet: without it there is no corpus.

    Args:
        source: a folder, or a text file.
        out_corpus_dir: where the corpus is written; made where it is absent.
        config: how scenes become tiles.
        places_of: names city and country (else both are '').
        progress: called with (done, total) after each file.

    Raises:
        IngestError: nothing at `source`, a corpus already at `out`, `out` and `source` inside one another, more
            than config.max_quarantined_share of the files unusable, or no tile left.
    """
    source, out = Path(source), Path(out_corpus_dir)
    _check_places(source, out)
    find_scenes(source, allow_virtual=config.allow_virtual)  # that there is nothing is said before anything is written
    (out / TILES_FOLDER).mkdir(parents=True, exist_ok=True)
    Quarantine(out).path.unlink(missing_ok=True)  # what an unfinished ingest left
    found = _inspect(source, config, out, progress)
    Quarantine(out).append(found.quarantine())
    if problem := found.problem(config):
        raise IngestError(
            f"{problem} All are listed in {Quarantine(out).path}; mend or remove them"
            f"{', or raise max_quarantined_share' if found.kept() else ''}."
        )
    kept = found.kept()
    table = write_tiles(out, _rows(kept, places_of, levels_of(found)))
    return IngestReport(
        files=found.files,
        tiles=len(kept),
        held_out=sum(side == "held_out" for _, side in kept),
        quarantined=len(found.refused),
        duplicates=len(found.duplicates),
        skipped_windows=sum(record.reason != NEAR_HELD_OUT for record in found.skipped),
        reasons=dict(Counter(error.reason.value for error in found.refused)),
        contents=found.contents,
        table=table,
        not_backscatter=len(found.not_backscatter),
        left_out=len(found.tiles) - len(kept),
        scene_of=found.scene_of,
        scenes=tuple(found.records),
    )


def scene_sha256(path: Path | str, config: IngestConfig) -> str:
    """What tells scenes apart: their bytes or, where these may not be at hand, their pixels; and the mask beside."""
    sha256 = pixels_sha256(path) if config.allow_virtual else file_sha256(path)
    if mask := mask_beside(path):
        return hashlib.sha256(f"{sha256} {file_sha256(mask)}".encode()).hexdigest()
    return sha256


def _inspect(source: Path, config: IngestConfig, out: Path | None, progress: ProgressOf | None) -> Inspection:
    scenes, by_path = find_scenes(source, allow_virtual=config.allow_virtual)
    found = Inspection(source, files=len(scenes) + len(by_path))
    found.contents = dict.fromkeys((scene.name for scene in scenes), "")
    for error in by_path:
        _set_aside(found, error, ())
    beside, seen = beside_backscatter(scenes), {}
    compact = compact_by_name(scene.name for scene in scenes)
    cut: list[CutScene] = []
    done = len(by_path)
    for group in _groups(scenes, beside, config):
        try:
            if group[0].name in compact:
                raise refusal(group[0].name, compact[group[0].name])
            cut.append(_cut_group(group, config, out, found, seen, group[0].name in beside))
            found.records.append(cut[-1].record)
            found.groups.append(group)
        except TileError as error:
            _set_aside(found, error, group)
        for _ in group:
            done += 1
            if progress:
                progress(done, found.files)
    found.scene_of = {tile.tile_id: each.record.file for each in cut for tile in each.tiles}
    give_sides(found, cut, config, out)
    return found


def _groups(scenes: Sequence[Scene], beside: set[str], config: IngestConfig) -> Iterable[tuple[Scene, ...]]:
    """Files of one scene together, where they lie on one grid."""
    for group in group_scenes(scenes):
        named = any(products.not_backscatter(each.name, beside_backscatter=each.name in beside) for each in group)
        if len(group) > 1 and (named or not on_one_grid(group, config.allow_virtual)):
            yield from ((each,) for each in group)
        else:
            yield group


def _cut_group(
    group: tuple[Scene, ...],
    config: IngestConfig,
    out: Path | None,
    found: Inspection,
    seen: dict[str, str],
    beside: bool,
) -> CutScene:
    """Cut the files of one scene; copies of files already used are left out of it."""
    digests = {}
    for scene in group:
        if what := products.not_backscatter(scene.name, beside_backscatter=beside):
            raise TileError(
                scene.name, Reason.NOT_BACKSCATTER, f"Its name says that it is {what}; nothing is to be done."
            )
        found.contents[scene.name] = sha256 = _content(scene, config)
        if sha256 not in seen:
            digests[scene] = sha256
            continue
        copy = TileError(scene.name, Reason.DUPLICATE, f"It equals {seen[sha256]}; remove one of them.")
        if len(group) == 1:
            raise copy
        found.duplicates.append(copy)
    if not digests:
        raise found.duplicates.pop()
    sha256 = next(iter(digests.values()))
    if len(digests) > 1:
        sha256 = hashlib.sha256(" ".join(digests.values()).encode()).hexdigest()
    try:
        with open_scene(list(digests), config, beside_backscatter=beside) as scene:
            try:
                cut = cut_scene(scene, sha256, out, config)
            except TileError:
                found.described[group[0].name] = describe(scene, config)
                raise
    except TileError as error:
        known = {str(scene.path): scene.name for scene in group}
        raise TileError(known.get(error.path, error.path), error.reason, error.hint) from None
    seen |= {each: scene.name for scene, each in digests.items()}
    found.skipped += cut.skipped
    return cut


def _set_aside(found: Inspection, error: TileError, group: tuple[Scene, ...]) -> None:
    """Note a scene that is not used, each of its files once."""
    lists = {Reason.NOT_BACKSCATTER: found.not_backscatter, Reason.DUPLICATE: found.duplicates}
    for name in [scene.name for scene in group] or [error.path]:
        lists.get(error.reason, found.refused).append(TileError(name, error.reason, error.hint))
    files = tuple(scene.name for scene in group) or (error.path,)
    found.groups.append(group)
    known = found.described.get(files[0])
    refusal = {
        "status": "not_backscatter" if error.reason is Reason.NOT_BACKSCATTER else "refused",
        "code": error.reason.value,
        "reason": f"{error.reason.value}: {str(error).removeprefix(error.path).strip()}",
        "reasoning": (str(error), *(known.reasoning if known else ())),
    }
    if known is None:
        found.records.append(SceneRecord(file=files[0], files=files, **refusal))
    else:
        found.records.append(known.model_copy(update=refusal))


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
        raise TileError(
            scene.name, Reason.UNREADABLE, f"{error.strerror or error}. Check the path and its rights."
        ) from error


def _rows(
    kept: list[tuple[CutTile, Side]], places_of: PlacesOf | None, levels: Mapping[str, tuple[float, ...]]
) -> list[Tile]:
    lons, lats = [tile.lon for tile, _ in kept], [tile.lat for tile, _ in kept]
    places = places_of(lons, lats) if places_of else [("", "")] * len(kept)
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
            split="held_out" if side == "held_out" else "train",
            level_db=levels.get(tile.tile_id),
        )
        for (tile, side), (city, country) in zip(kept, places, strict=True)
    ]
