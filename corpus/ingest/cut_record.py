"""A scene that was cut: its tiles, and the record of what was decided on it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from corpus.geotiff import metadata
from corpus.geotiff.model_input import is_plausible
from corpus.ingest.opened import OpenScene
from corpus.ingest.quarantine import QuarantineRecord
from corpus.ingest.record import SceneRecord


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


def record_of(
    scene: OpenScene,
    window: tuple[int, int],
    tiles: list[CutTile],
    skipped: list[QuarantineRecord],
    used_share: float,
    medians: list[float],
    deviations: list[float],
) -> SceneRecord:
    """The record of a scene that is used.

    Args:
        scene: the open scene.
        window: rows and columns of a window, in the scene's pixels.
        tiles: what was cut.
        skipped: the windows without a picture.
        used_share: share of the scene's pixels that lie in tiles.
        medians: of each band in dB; NaN where no pixel has a value.
        deviations: standard deviations of each band in dB, likewise.
    """
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
        masks=tuple(scene.masks()),
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
    said += [f"masked by {mask}" for mask in scene.masks()]
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
    said += [f"masked by {mask}: it says where there are values" for mask in scene.masks()]
    said.append(f"a pixel is {ground[0]:.4g} m across and {ground[1]:.4g} m down on the ground")
    if window[0] != window[1]:
        said.append(
            f"windows of {window[0]} rows and {window[1]} columns are square on the ground, and resampled to tiles"
        )
    said.append(f"acquired: {scene.acquired or 'not known'}; platform: {scene.platform}")
    return tuple(said)
