"""From pixels of a SAR product to decibels, and to the model's two channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from corpus.geotiff.model_input import CO_POLARISED, Level, references, to_model_image
from corpus.geotiff.sampling import Window


@dataclass(frozen=True)
class Backscatter:
    """Pixels of a raster as backscatter.

    Attributes:
        array: float32 [bands, H, W] in dB, NaN where there is no value.
        polarisations: one name per band.
        calibrated: whether the decibels are sigma nought, not only known up to a constant.
    """

    array: np.ndarray
    polarisations: tuple[str, ...]
    calibrated: bool = True

    @property
    def co_polarised(self) -> int:
        """Index of the co-polarised band; of the first, where there is none."""
        return next((index for index, name in enumerate(self.polarisations) if name in CO_POLARISED), 0)

    def references(self, level_db: Sequence[float] | None = None) -> tuple[list[float], Level]:
        """The decibels that are 0 in an image, by band, and where they come from; see `model_input.references`."""
        return references(self.array, self.polarisations, calibrated=self.calibrated, level_db=level_db)

    def model_images(self, windows: Sequence[Window], size: int, reference_db: Sequence[float]) -> np.ndarray:
        """Windows as the models see them: float16 [windows, 2, size, size], see `model_input.to_model_image`.

        A window of another size is averaged in power.
        """
        images = []
        for window in windows:
            part = self.array[:, window.row : window.row + window.side, window.column : window.column + window.side]
            if window.side != size:
                part = resample_power(part, size)
            images.append(to_model_image(part, self.polarisations, reference_db))
        return np.stack(images)


def to_decibels(pixels: np.ndarray, valid: np.ndarray, tags: Mapping[str, str], units: str | None = None) -> np.ndarray:
    """Pixels [bands, H, W] of a product as dB, float32, NaN where not `valid` (bool, same shape).

    - uint8: a stretched amplitude; 20 log10(DN + 1), a relative level. 0 is a value (the darkest).
    - other integers: an amplitude DN; 20 log10(DN) - CALIBRATION_DB (tag; 0 without it). DN 0 is no-data, as in
      Sentinel-1 GRD.
    - floats: `units` ('db', 'amplitude' or 'power', as `stated_units` finds them); without, any negative value means
      dB, else linear power. Linear 0 and below is no-data.
    Raises ValueError where CALIBRATION_DB is not a number.
    """
    values = pixels.astype(np.float32)
    valid = valid & np.isfinite(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        if pixels.dtype == np.uint8:
            decibels = 20 * np.log10(values + 1)
        elif np.issubdtype(pixels.dtype, np.integer):
            valid = valid & (values > 0)
            decibels = 20 * np.log10(values) - np.float32(tags.get("CALIBRATION_DB", 0.0))
        else:
            if units == "db" or (units is None and bool((values[valid] < 0).any())):
                decibels = values
            else:
                valid = valid & (values > 0)
                decibels = (20 if units == "amplitude" else 10) * np.log10(values)
    return np.where(valid, decibels, np.nan).astype(np.float32)


def stated_units(tags: Mapping[str, str], descriptions: Sequence[str | None]) -> str | None:
    """'db', 'amplitude' or 'power' from the tag UNITS, else 'db' from a band description that says so, else None."""
    stated = tags.get("UNITS", "").strip().lower()
    for unit, names in (
        ("db", ("db", "decibel", "decibels")),
        ("amplitude", ("amplitude",)),
        ("power", ("linear", "power", "intensity")),
    ):
        if stated in names:
            return unit
    return "db" if any(text and "db" in text.lower() for text in descriptions) else None


def check_pixels(decibels: np.ndarray, max_missing_share: float) -> tuple[int, float | None] | None:
    """First bad band of [bands, H, W]: (band, missing share), or (band, None) where it is constant; None if good."""
    for band, values in enumerate(decibels):
        finite = np.isfinite(values)
        missing = 1.0 - finite.mean()
        if missing > max_missing_share:
            return band, float(missing)
        present = values[finite]
        if present.size == 0 or present.min() == present.max():
            return band, None
    return None


def resample_power(decibels: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """[bands, H, W] dB averaged in power over the exact area of each output pixel, again in dB.

    `size` is the number of output pixels along a side, or (rows, columns).

    Averaging decibels instead would bias speckled areas low by up to 2.5 dB. An output pixel of which less than
    half has a value becomes NaN. Works for any ratio, also fractions.
    """
    height, width = (size, size) if isinstance(size, int) else size
    rows, columns = _area_weights(decibels.shape[1], height), _area_weights(decibels.shape[2], width)
    power = 10.0 ** (decibels.astype(np.float64) / 10)
    present = np.isfinite(power)
    total = rows @ np.where(present, power, 0.0) @ columns.T
    weight = rows @ present.astype(np.float64) @ columns.T
    with np.errstate(divide="ignore", invalid="ignore"):
        averaged = 10 * np.log10(total / weight)
    return np.where(weight >= 0.5, averaged, np.nan).astype(np.float32)


def _area_weights(source: int, target: int) -> np.ndarray:
    """[target, source]: share of each output pixel's length that falls on each input pixel; rows sum to 1."""
    edges = np.arange(target + 1) * (source / target)
    left, right = edges[:-1, None], edges[1:, None]
    pixel = np.arange(source)[None, :]
    overlap = np.clip(np.minimum(right, pixel + 1) - np.maximum(left, pixel), 0.0, None)
    return overlap / overlap.sum(axis=1, keepdims=True)
