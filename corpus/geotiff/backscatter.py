"""From pixels of a SAR product to decibels, and from decibels to the model's two channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

CO_POLARISED = ("VV", "HH", "unknown")
CROSS_POLARISED = ("VH", "HV")
SCALE_DB = 10.0
CLIP = (-3.0, 5.0)


@dataclass(frozen=True)
class Backscatter:
    """`array` float32 [bands, H, W] in dB, NaN where there is no value; one name in `polarisations` per band."""

    array: np.ndarray
    polarisations: tuple[str, ...]

    @property
    def co_polarised(self) -> int:
        """Index of the co-polarised band; of the first, where there is none."""
        return next((index for index, name in enumerate(self.polarisations) if name in CO_POLARISED), 0)

    def model_image(self) -> np.ndarray:
        """float16 [2, H, W]: (dB - median) / 10 dB clipped to [-3, 5]; channel 0 co-, channel 1 cross-polarised.

        A tile that has one of the two alone shows it in channel 0, whichever it is, and zeros in channel 1.
        """
        bands = [
            next((i for i, name in enumerate(self.polarisations) if name in names), None)
            for names in (CO_POLARISED, CROSS_POLARISED)
        ]
        image = np.zeros((2, *self.array.shape[1:]), np.float16)
        for channel, band in enumerate(sorted(bands, key=lambda band: band is None)):
            if band is None:
                continue
            decibels = self.array[band]
            relative = (decibels - np.nanmedian(decibels)) / SCALE_DB
            image[channel] = np.nan_to_num(np.clip(relative, *CLIP), nan=0.0)
        return image


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


def resample_power(decibels: np.ndarray, size: int) -> np.ndarray:
    """[bands, H, W] dB averaged in power over the exact area of each of size x size output pixels, again in dB.

    Averaging decibels instead would bias speckled areas low by up to 2.5 dB. An output pixel of which less than
    half has a value becomes NaN. Works for any ratio, also fractions.
    """
    rows, columns = _area_weights(decibels.shape[1], size), _area_weights(decibels.shape[2], size)
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
