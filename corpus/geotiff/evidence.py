"""What can be measured on a tile without a model: backscatter and bright blobs, for models that cannot look."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from scipy import ndimage

from corpus.geotiff.backscatter import Backscatter

# A mean over 3 x 3 pixels takes most of the speckle away and keeps a ship of five pixels whole.
_SMOOTHING_PIXELS: Final = 3
# Dark and bright, relative to the tile's median, so that products without calibration can be measured too.
CONTRAST_DB: Final = 5.0
# Clutter is the median within this share of the tile around a pixel: a target covers less than half of it.
_CLUTTER_SHARE: Final = 0.4
# Above clutter: swell and speckle stay below the first, a blob has one pixel at least above the second.
_EDGE_DB, _PEAK_DB = 6.0, 9.0
_SMALLEST_PIXELS: Final = 4
# No ship or aircraft is longer than this, and a target fills its length by its width only: the rest is land or a town.
_LONGEST_M: Final = 460.0
_SURROUNDINGS_PIXELS: Final = 4
CELLS: Final = ("northwest", "north", "northeast", "west", "center", "east", "southwest", "south", "southeast")
_LISTED: Final = 9


@dataclass(frozen=True)
class BandStatistics:
    """Backscatter of one polarisation after smoothing, in dB.

    dark_share and bright_share are the shares of pixels more than CONTRAST_DB below and above the median.
    """

    polarisation: str
    median_db: float
    low_db: float
    high_db: float
    dark_share: float
    bright_share: float


@dataclass(frozen=True)
class Blob:
    """A bright connected region.

    row and column are its centre in pixels, length_pixels lies along its longest axis, and contrast_db is that of its
    peak over the local clutter.
    """

    row: float
    column: float
    length_pixels: float
    contrast_db: float
    cell: str


@dataclass(frozen=True)
class Evidence:
    """Measurements of one tile. blobs: the longest first. gsd_m: metres per pixel."""

    bands: tuple[BandStatistics, ...]
    blobs: tuple[Blob, ...]
    gsd_m: float

    def as_prompt(self) -> dict[str, str]:
        """Name -> measurement in words, for hcot_llm.prompts.prompts.chat_prompt."""
        said = {}
        for band in self.bands:
            said[f"backscatter {band.polarisation}"] = (
                f"median {band.median_db:.1f} dB, 5th to 95th percentile {band.low_db:.1f} to {band.high_db:.1f} dB; "
                f"{band.dark_share:.0%} of the pixels are {CONTRAST_DB:g} dB darker than the median, "
                f"{band.bright_share:.0%} are {CONTRAST_DB:g} dB brighter"
            )
        said["bright blobs, possible targets"] = str(len(self.blobs))
        if self.blobs:
            longest = self.blobs[0].length_pixels
            said["longest blob"] = f"{longest:.0f} pixels, {longest * self.gsd_m:.0f} metres"
            said["where the blobs lie"] = ", ".join(
                f"{blob.cell} ({blob.length_pixels * self.gsd_m:.0f} m)" for blob in self.blobs[:_LISTED]
            )
        return said


def measure(tile: Backscatter, gsd_m: float) -> Evidence:
    """Statistics of every band, and the bright blobs of the co-polarised one (of the first, where there is none).

    Args:
        tile: float32 [bands, H, W] in dB, NaN where there is no value.
        gsd_m: metres on the ground per pixel.
    """
    smooth = [_smoothed(band) for band in tile.array]
    bands = tuple(_statistics(name, band) for name, band in zip(tile.polarisations, smooth, strict=True))
    return Evidence(bands, _blobs(smooth[tile.co_polarised], gsd_m), gsd_m)


def _smoothed(decibels: np.ndarray) -> np.ndarray:
    """Mean power over 3 x 3 pixels in dB, float64 [H, W]; NaN where nothing near has a value."""
    present = np.isfinite(decibels)
    power = np.where(present, 10 ** (np.nan_to_num(decibels.astype(np.float64)) / 10), 0.0)
    weight = ndimage.uniform_filter(present.astype(np.float64), _SMOOTHING_PIXELS)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight > 1e-6, 10 * np.log10(ndimage.uniform_filter(power, _SMOOTHING_PIXELS) / weight), np.nan)


def _statistics(polarisation: str, decibels: np.ndarray) -> BandStatistics:
    values = decibels[np.isfinite(decibels)]
    low, median, high = np.percentile(values, [5, 50, 95])
    return BandStatistics(
        polarisation,
        float(median),
        float(low),
        float(high),
        float((values < median - CONTRAST_DB).mean()),
        float((values > median + CONTRAST_DB).mean()),
    )


def _clutter(decibels: np.ndarray) -> np.ndarray:
    """Local median in dB, float64 [H, W]; taken on every second pixel, since it changes slowly."""
    filled = np.where(np.isfinite(decibels), decibels, np.nanmedian(decibels))
    coarse = filled[::2, ::2]
    window = max(3, int(min(coarse.shape) * _CLUTTER_SHARE) | 1)
    local = ndimage.median_filter(coarse, size=window, mode="reflect")
    rows, columns = (
        np.minimum(np.arange(size) // 2, limit - 1) for size, limit in zip(decibels.shape, coarse.shape, strict=True)
    )
    return local[np.ix_(rows, columns)]


def _blobs(decibels: np.ndarray, gsd_m: float) -> tuple[Blob, ...]:
    above = np.nan_to_num(decibels - _clutter(decibels), nan=-np.inf)
    labels = np.asarray(ndimage.label(above > _EDGE_DB, structure=np.ones((3, 3)))[0])  # pyright: ignore[reportIndexIssue]  # a pair
    found = []
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        inside = labels[box] == label
        peak = float(above[box][inside].max())
        if inside.sum() < _SMALLEST_PIXELS or peak < _PEAK_DB:
            continue
        rows, columns = np.nonzero(inside)
        rows, columns = rows + box[0].start, columns + box[1].start
        length = _length_pixels(rows, columns)
        if length * gsd_m > _LONGEST_M or not _stands_alone(above, labels, label, box):
            continue
        row, column = float(rows.mean()), float(columns.mean())
        found.append(Blob(row, column, length, peak, _cell(row, column, decibels.shape)))
    return tuple(sorted(found, key=lambda blob: -blob.length_pixels))


def _length_pixels(rows: np.ndarray, columns: np.ndarray) -> float:
    """Extent along the main axis, less what smoothing adds at both ends."""
    points = np.stack([rows - rows.mean(), columns - columns.mean()])
    axis = np.linalg.eigh(points @ points.T)[1][:, -1]
    return max(1.0, float(np.ptp(axis @ points)) + 1 - (_SMOOTHING_PIXELS - 1))


def _stands_alone(above: np.ndarray, labels: np.ndarray, label: int, box: Sequence[slice]) -> bool:
    """Whether it is dark around a blob, as around a target; a house in a town has bright neighbours."""
    reach = tuple(slice(max(0, part.start - _SURROUNDINGS_PIXELS), part.stop + _SURROUNDINGS_PIXELS) for part in box)
    inside = labels[reach] == label
    ring = ndimage.binary_dilation(inside, np.ones((3, 3)), _SURROUNDINGS_PIXELS)
    ring &= ~np.asarray(ndimage.binary_dilation(inside, np.ones((3, 3)), 1), dtype=bool)
    return bool(
        ring.any() and np.median(above[reach][ring]) < _EDGE_DB / 2 and (above[reach][ring] > _EDGE_DB).mean() < 0.25
    )


def _cell(row: float, column: float, shape: tuple[int, int]) -> str:
    return CELLS[3 * min(2, int((row + 0.5) * 3 / shape[0])) + min(2, int((column + 0.5) * 3 / shape[1]))]
