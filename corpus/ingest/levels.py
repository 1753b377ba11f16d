"""The level that scenes of one uncalibrated product share."""

from __future__ import annotations

import numpy as np

from corpus.ingest.inspection import Inspection
from corpus.ingest.record import SceneRecord


def levels_of(found: Inspection) -> dict[str, tuple[float, ...]]:
    """tile_id -> median in dB of each band over the scenes of its acquisition, of tiles that are not calibrated.

    One product has one unknown constant, so its scenes keep their levels against one another: one that shows the sea is
    not made as bright as a town.
    """
    scenes = {record.file: record for record in found.records if record.calibrated is False}
    medians: dict[tuple[str, ...], list[float]] = {}
    for record in scenes.values():
        for name, median in record.median_db.items():
            medians.setdefault((*_acquisition(record), name), []).append(median)
    return {
        tile_id: tuple(float(np.median(medians[*_acquisition(record), name])) for name in record.polarisations)
        for tile_id, file in found.scene_of.items()
        if (record := scenes.get(file)) is not None
    }


def _acquisition(record: SceneRecord) -> tuple[str, ...]:
    """What scenes of one product have in common; a scene of unknown time has it with no other."""
    return (record.platform, record.acquired or record.file, *(record.unit[name] for name in sorted(record.unit)))
