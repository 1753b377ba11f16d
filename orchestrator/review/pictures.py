"""A tile as a picture that a person can read: both polarisations in decibels, a scale bar, north, and what it is."""

import io
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.picture import stretch

_SIDE: Final = 448
_BAR: Final = 30
_GAP: Final = 8
_INK: Final = (24, 24, 24)
_SCALE_BAR_STEPS: Final = (1, 2, 5)


def draw_tile(tile: Backscatter, about: Mapping[str, Any]) -> bytes:
    """A PNG of one tile, north up as the tile is: the co-polarised band, and the next one beside it.

    Args:
        tile: as it was read.
        about: its row of the corpus's list of tiles.
    """
    first = tile.co_polarised
    bands = [first, *(band for band in range(len(tile.array)) if band != first)][:2]
    width = len(bands) * _SIDE + (len(bands) - 1) * _GAP
    sheet = Image.new("RGB", (width, _SIDE + 2 * _BAR), "white")
    draw = ImageDraw.Draw(sheet)
    heading, small = ImageFont.load_default(17), ImageFont.load_default(13)
    for place, band in enumerate(bands):
        left = place * (_SIDE + _GAP)
        decibels = tile.array[band]
        grey = np.round(255 * stretch(decibels)).astype(np.uint8)
        factor = max(1, math.ceil(_SIDE / max(grey.shape)))
        enlarged = Image.fromarray(np.repeat(np.repeat(grey, factor, axis=0), factor, axis=1))
        sheet.paste(enlarged.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS), (left, _BAR))
        draw.text((left + 2, 5), f"{tile.polarisations[band]}, {_range(decibels)}", fill=_INK, font=heading)
        _north(draw, left + _SIDE - 20, _BAR + 10, small)
        _scale_bar(draw, left + 12, _BAR + _SIDE - 14, grey.shape[1], float(about["gsd_m"]), small)
    draw.text((2, _SIDE + _BAR + 6), _line(about), fill=_INK, font=small)
    file = io.BytesIO()
    sheet.convert("L").save(file, format="PNG")
    return file.getvalue()


def _range(decibels: np.ndarray) -> str:
    known = decibels[np.isfinite(decibels)]
    if known.size == 0:
        return "no data"
    low, high = np.percentile(known, [1, 99.5])
    return f"black {low:.0f} dB, white {high:.0f} dB"


def _line(about: Mapping[str, Any]) -> str:
    when = f", {str(about['acquired'])[:10]}" if about["acquired"] else ""
    return f"{about['platform']} {about['band']}, {float(about['gsd_m']):g} m a pixel{when}{_place(about)}"


def _place(about: Mapping[str, Any]) -> str:
    if about["lon"] is None:
        return ""
    lat, lon = float(about["lat"]), float(about["lon"])
    return f", {about['city']} {abs(lat):.3f}{'N' if lat >= 0 else 'S'} {abs(lon):.3f}{'E' if lon >= 0 else 'W'}"


def _north(draw: ImageDraw.ImageDraw, x: int, y: int, font) -> None:
    draw.polygon([(x, y), (x - 6, y + 16), (x, y + 12), (x + 6, y + 16)], fill="white", outline="black")
    draw.text((x - 4, y + 17), "N", fill="white", font=font, stroke_width=2, stroke_fill="black")


def _scale_bar(draw: ImageDraw.ImageDraw, x: int, y: int, pixels: int, gsd_m: float, font) -> None:
    """A bar of a round number of metres, about a quarter of the picture."""
    wanted = pixels * gsd_m / 4
    unit = 10 ** math.floor(math.log10(wanted))
    metres = unit * max(step for step in _SCALE_BAR_STEPS if step * unit <= wanted)
    length = round(metres / gsd_m * _SIDE / pixels)
    draw.rectangle((x - 1, y - 1, x + length + 1, y + 5), fill="black")
    draw.rectangle((x, y, x + length, y + 4), fill="white")
    text = f"{metres / 1000:g} km" if metres >= 1000 else f"{metres:g} m"
    draw.text((x, y - 18), text, fill="white", font=font, stroke_width=2, stroke_fill="black")
