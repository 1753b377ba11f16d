"""All scenes of a source as one picture: what each looks like in decibels, with its name, or why it is not used."""

from __future__ import annotations

import math
import textwrap
from pathlib import PurePosixPath
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from corpus.geotiff.bands import read_bands
from corpus.geotiff.picture import stretch
from corpus.geotiff.reasons import TileError
from corpus.ingest.config import IngestConfig
from corpus.ingest.inspection import Inspection
from corpus.ingest.opened import open_scene
from corpus.ingest.record import SceneRecord
from corpus.ingest.scenes import Scene

_SIDE: Final = 192
_TEXT: Final = 44
_COLUMNS: Final = 6
_MOST: Final = 240


def contact_sheet(found: Inspection, config: IngestConfig) -> Image.Image:
    """An RGB picture with one cell for each scene, the first 240 of them."""
    cells = list(zip(found.records, found.groups, strict=True))[:_MOST]
    columns = min(_COLUMNS, max(len(cells), 1))
    rows = max(1, math.ceil(len(cells) / columns))
    sheet = Image.new("RGB", (columns * (_SIDE + 8), rows * (_SIDE + _TEXT + 8)), "white")
    draw = ImageDraw.Draw(sheet)
    for number, (record, group) in enumerate(cells):
        left, top = number % columns * (_SIDE + 8) + 4, number // columns * (_SIDE + _TEXT + 8) + 4
        grey = _thumbnail(group, config) if record.status == "ok" else None
        if grey is not None:
            sheet.paste(Image.fromarray(grey), (left, top))
        else:
            draw.rectangle((left, top, left + _SIDE, top + _SIDE), fill="#e8e0e0", outline="#a04040")
            draw.text((left + 6, top + 6), textwrap.fill(_ascii(record.reason), 30)[:340], fill="#802020")
        draw.text((left, top + _SIDE + 2), _ascii(_caption(record)), fill="black")
    return sheet


def _caption(record: SceneRecord) -> str:
    name = textwrap.shorten(PurePosixPath(record.file).name, 200)
    name = name if len(name) <= 31 else f"{name[:14]}...{name[-14:]}"
    if record.status != "ok":
        return f"{name}\n{record.status}"
    bands = " ".join(f"{each} {record.unit.get(each, '')}" for each in record.polarisations)
    return f"{name}\n{bands}\n{record.tiles} tiles, {record.used_share:.0%} used"


def _ascii(text: str) -> str:
    """PIL's built-in font has no other letters."""
    return text.encode("ascii", "replace").decode()


def _thumbnail(group: tuple[Scene, ...], config: IngestConfig) -> np.ndarray | None:
    """The first band of a scene in grey, uint8 [h, w], its longer side _SIDE pixels; None where it cannot be read."""
    try:
        with open_scene(group, config) as scene:
            part = scene.parts[0]
            scale = _SIDE / max(part.src.height, part.src.width)
            shape = tuple(max(1, round(size * scale)) for size in (part.src.height, part.src.width))
            decibels = read_bands(part.src, part.bands.used[:1], out_shape=shape)[0]
    except TileError:
        return None
    return np.round(255 * stretch(decibels)).astype(np.uint8)
