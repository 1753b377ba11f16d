"""Tiles to train on, tiles held out, and tiles too near to these to be either."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from corpus.ingest.config import IngestConfig
from corpus.ingest.cut_record import CutScene
from corpus.ingest.cutting import remove_tiles
from corpus.ingest.inspection import Inspection
from corpus.ingest.quarantine import NEAR_HELD_OUT, QuarantineRecord
from corpus.ingest.record import SceneRecord
from corpus.ingest.split import split_by_place


def give_sides(found: Inspection, cut: list[CutScene], config: IngestConfig, out: Path | None) -> None:
    """Give each tile its side, and take those off that are too near to a held-out one."""
    tiles = [tile for scene in cut for tile in scene.tiles]
    if not tiles:
        return
    sides = split_by_place(
        np.array([tile.ground for tile in tiles]),
        [number for number, scene in enumerate(cut) for _ in scene.tiles],
        np.array([(tile.lon, tile.lat) for tile in tiles]),
        config.held_out_share,
        config.seed,
        config.held_out_distance_m,
    )
    found.tiles = list(zip(tiles, sides, strict=True))
    remove_tiles(out, [tile for tile, side in found.tiles if side == "left_out"])
    sides_of = iter(sides)
    changed = {}
    for scene in cut:
        near = [tile for tile in scene.tiles if next(sides_of) == "left_out"]
        if near:
            changed[scene.record.file] = _without(scene.record, len(near))
            found.skipped += [
                QuarantineRecord(
                    path=f"{scene.record.file}{tile.window}",
                    reason=NEAR_HELD_OUT,
                    hint="It shares ground with a held-out tile, or is nearer than corpus.ingest.held_out_distance_m.",
                )
                for tile in near
            ]
    found.records = [changed.get(record.file, record) for record in found.records]


def _without(record: SceneRecord, tiles: int) -> SceneRecord:
    share = record.used_share * (record.tiles - tiles) / record.tiles
    said = f"{tiles} tiles are left out: they are too near to held-out tiles to train on"
    return record.model_copy(
        update={
            "tiles": record.tiles - tiles,
            "tiles_left_out": tiles,
            "used_share": round(share, 4),
            "reason": f"{record.reason}; {said}",
            "reasoning": (*record.reasoning, said),
        }
    )
