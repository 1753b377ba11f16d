"""A tile's pixels as 16-bit integers, from which its values come back: value = stored * scale + offset."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.transform import Affine

from corpus.geotiff.files import open_geotiff
from corpus.geotiff.read import read_backscatter
from corpus.storage.disk import writing
from export.sample import Sample

NO_DATA = 0
"""Stored where a pixel has no value."""
DECIBELS, DIGITAL_NUMBER = "dB", "DN"
DB_SCALE, DB_OFFSET = 1 / 256, -128.0
"""Of decibels, in all files alike: from -128 to 128 dB in steps of 0.0039 dB, exact in binary."""
_LARGEST = 2**16 - 1
_KEPT_TAGS = ("CALIBRATION_DB", "PLATFORM", "BAND", "ACQUIRED", "GROUND_SAMPLE_DISTANCE_M", "INCIDENCE_ANGLE_DEG")


@dataclass(frozen=True)
class Encoded:
    """The pixels of one tile.

    Attributes:
        stored: uint16 [bands, H, W]; NO_DATA where there is no value.
        scale, offset: value = stored * scale + offset.
        unit: of the values: DECIBELS, or DIGITAL_NUMBER, an amplitude.
        calibration_db: sigma nought in dB is 20 log10(value) minus this; None for decibels, and where it is not known.
    """

    stored: np.ndarray
    scale: float
    offset: float
    unit: str
    calibration_db: float | None

    @property
    def values(self) -> np.ndarray:
        """float64 [bands, H, W] in `unit`, NaN where there is no value."""
        return np.where(self.stored == NO_DATA, np.nan, self.stored * self.scale + self.offset)


def encode(path: Path) -> Encoded:
    """The pixels of a tile of a corpus as 16-bit integers.

    Digital numbers of 8 and 16 bits stay exact. Decibels are rounded to steps of DB_SCALE, or where they do not fit its
    range, to 65535 steps over their own. Digital numbers of 32 bits that do not fit are written as decibels.

    Raises:
        TileError: The tile cannot be read.
    """
    with open_geotiff(path) as src:
        tags, kind = src.tags(), np.dtype(src.dtypes[0])
        if kind.kind in "iu":
            pixels, valid = src.read(), src.read_masks() > 0
            if kind == np.uint8:  # a stretched amplitude whose 0 is a value, see corpus.geotiff.backscatter
                return Encoded(np.where(valid, pixels.astype(np.uint16) + 1, NO_DATA), 1.0, -1.0, DIGITAL_NUMBER, None)
            valid &= pixels > 0
            if not valid.any() or pixels[valid].max() <= _LARGEST:
                calibration = float(tags["CALIBRATION_DB"]) if "CALIBRATION_DB" in tags else None
                stored = np.where(valid, pixels, NO_DATA).astype(np.uint16)
                return Encoded(stored, 1.0, 0.0, DIGITAL_NUMBER, calibration)
    return encode_decibels(read_backscatter(path, max_missing_share=1.0).array)


def encode_decibels(decibels: np.ndarray) -> Encoded:
    """Decibels, float [bands, H, W] with NaN where there is no value, as 16-bit integers."""
    finite = np.isfinite(decibels)
    scale, offset = DB_SCALE, DB_OFFSET
    if finite.any():
        low, high = float(decibels[finite].min()), float(decibels[finite].max())
        if low < offset + scale or high > offset + scale * _LARGEST:
            scale = max(high - low, 1e-6) / (_LARGEST - 1)
            offset = low - scale
    steps = np.rint((np.where(finite, decibels, 0.0).astype(np.float64) - offset) / scale)
    stored = np.where(finite, np.clip(steps, 1, _LARGEST), NO_DATA).astype(np.uint16)
    return Encoded(stored, scale, offset, DECIBELS, None)


def write_image(sample: Sample, encoded: Encoded, path: Path, *, band: int | None = None, cog: bool = False) -> None:
    """Write a tile as a GeoTIFF; arguments as of `image_bytes`.

    Raises:
        DiskFull: The disk is full.
    """
    content = image_bytes(sample, encoded, band=band, cog=cog)
    with writing("a tile", path):
        path.write_bytes(content)


def image_bytes(sample: Sample, encoded: Encoded, *, band: int | None = None, cog: bool = False) -> bytes:
    """A tile as a GeoTIFF of 16 bits with its map, no-data value, scale, offset, unit, tags and licence.

    Args:
        sample: the tile.
        encoded: its pixels.
        band: only this one, counted from 0; None for all.
        cog: make it a cloud-optimised GeoTIFF, with GDAL's driver COG.
    """
    chosen = range(len(encoded.stored)) if band is None else [band]
    tile = sample.tile
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "width": tile.width,
        "height": tile.height,
        "count": len(chosen),
        "dtype": "uint16",
        "nodata": NO_DATA,
        "crs": CRS.from_user_input(tile.crs),
        "transform": Affine(*tile.transform),
    }
    if not cog:
        profile |= {"compress": "DEFLATE", "predictor": 2}
    with MemoryFile() as memory:
        with memory.open(**profile) as target:
            target.write(encoded.stored[list(chosen)])
            target.scales = [encoded.scale] * len(chosen)
            target.offsets = [encoded.offset] * len(chosen)
            target.units = [encoded.unit] * len(chosen)
            for number, index in enumerate(chosen, start=1):
                target.set_band_description(number, tile.polarisations[index])
            target.update_tags(**_tags(sample, encoded))
        if not cog:
            return bytes(memory.getbuffer())
        with MemoryFile(ext=".tif") as second, memory.open() as source:
            rasterio.shutil.copy(source, second.name, driver="COG", **_cog_options(max(tile.width, tile.height)))
            return bytes(second.getbuffer())


def _cog_options(side: int) -> dict[str, Any]:
    """A block as small as the tile, so that little padding is stored; GDAL asks for multiples of 16."""
    return {
        "compress": "DEFLATE",
        "predictor": "STANDARD",
        "blocksize": min(512, -(-side // 16) * 16),
        "overview_resampling": "AVERAGE",
    }


def _tags(sample: Sample, encoded: Encoded) -> dict[str, str]:
    with open_geotiff(sample.file) as src:
        found = src.tags()
    tags = {key: found[key] for key in _KEPT_TAGS if found.get(key)}
    if encoded.calibration_db is None:
        tags.pop("CALIBRATION_DB", None)
    tags |= {
        "UNITS": "dB" if encoded.unit == DECIBELS else "amplitude",
        "LICENSE": f"{sample.licence.spdx}: {sample.licence.title}",
    }
    if sample.licence.attribution:
        tags["TIFFTAG_COPYRIGHT"] = sample.licence.attribution
    return tags
