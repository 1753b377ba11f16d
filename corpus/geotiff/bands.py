"""Which bands of an open GeoTIFF are backscatter, in which unit, and which values in them stand for none."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from rasterio.io import DatasetReader
from rasterio.windows import Window

from corpus.geotiff import products
from corpus.geotiff.backscatter import to_decibels
from corpus.geotiff.band import Band, Bands, Beside
from corpus.geotiff.band_names import band_name, names_polarisation, polarisations_of
from corpus.geotiff.layout import TruncatedTiff, snap_band_names
from corpus.geotiff.masks import (
    NOT_APPLIED,
    MaskBand,
    Masks,
    alpha_bands,
    is_masked,
    named_masks,
    not_a_mask,
    valid_pixels,
)
from corpus.geotiff.meaning import HIGHEST_DB, LOWEST_DB, UNITS_KEY, BandFacts, Verdict, decide
from corpus.geotiff.measure import Patch, measure
from corpus.geotiff.patches import sample_patches, sample_windows
from corpus.geotiff.products import Unit
from corpus.geotiff.reasons import Reason, TileError
from corpus.geotiff.shared_no_data import find_no_data_of_bands

READABLE = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")
_NOTHING_BESIDE = Beside()


def decide_bands(
    src: DatasetReader, name: str, *, units: Unit | None = None, beside: Beside = _NOTHING_BESIDE
) -> Bands:
    """Decide what the bands of an open file are.

    Args:
        src: the open file.
        name: of the file, with the folders below the source, for its words and for errors.
        units: of bands that do not declare theirs, from the configuration.
        beside: what lies beside the file.

    Raises:
        TileError: unsupported_dtype, not_backscatter (no band is), unknown_bands, unclear_units.
    """
    if what := products.not_backscatter(name, beside_backscatter=beside.backscatter):
        raise TileError(name, Reason.NOT_BACKSCATTER, f"Its name says that it is {what}; nothing is to be done.")
    if src.dtypes[0] not in READABLE:
        raise TileError(
            name,
            Reason.UNSUPPORTED_DTYPE,
            f"Its type is {src.dtypes[0]}; detect the amplitude and write it as uint8, uint16 or float32.",
        )
    described = descriptions(src)
    masks, unusable = _masks(src, described)
    applied = {mask.index for mask in masks}
    indexes = [i for i in src.indexes if i not in applied]
    if not indexes:
        raise TileError(name, Reason.NOT_BACKSCATTER, "It has an alpha band alone. Nothing is to be done.")
    of_band = {i: Masks(masks, beside.mask).of(described[i]) for i in indexes}
    patches, left_out = sample_patches(src, indexes, of_band), []
    found, no_data = {}, find_no_data_of_bands(patches)
    for i in indexes:
        polarised = names_polarisation(src, i, described[i], len(indexes), name, beside)
        look = _look(src, i, described[i], patches[i], no_data[i], name, units, beside, polarised)
        found[i] = replace(look, masks=of_band[i])
    usable = [i for i in indexes if found[i].meaning.verdict is not Verdict.NOT_BACKSCATTER]
    for i in indexes:
        if i not in usable:
            why = found[i].meaning.reasons[0]
            why += f"; {NOT_APPLIED}: {unusable[i]}" if i in unusable else ""
            left_out.append((band_name(i, described[i]), why))
    if not usable:
        raise TileError(name, Reason.NOT_BACKSCATTER, f"{_sentence(left_out[0][1])} Nothing is to be done.")
    polarisations, notes = polarisations_of(src, usable, described, name, beside)
    used, seen = [], set()
    for i in usable:
        polarisation = polarisations.get(i)
        if polarisation is None:
            left_out.append((band_name(i, described[i]), "it names no polarisation, beside bands that do"))
        elif polarisation in seen:
            left_out.append(
                (band_name(i, described[i]), f"it is a second band of {polarisation}; one scene has one of each")
            )
        else:
            seen.add(polarisation)
            used.append(replace(found[i], polarisation=polarisation))
    for band in used:
        if band.meaning.verdict is Verdict.UNCLEAR:
            said = "" if len(used) == 1 else f"Band {band.index} ({band.polarisation}): "
            raise TileError(
                name, Reason.UNCLEAR_UNITS, f"{said}{_sentence(band.meaning.reasons[0])} {band.meaning.hint}"
            )
    applied_names = tuple(band_name(mask.index, described[mask.index] or "alpha") for mask in masks)
    return Bands(tuple(used), tuple(left_out), applied_names, tuple(notes))


def read_bands(src: DatasetReader, bands: Sequence[Band], window: Window | None = None, **resampled: Any) -> np.ndarray:
    """Pixels of the bands in dB: float32 [bands, H, W], NaN where there is no value. resampled: as `read` takes it."""
    decibels = []
    for band in bands:
        stored = src.read(band.index, window=window, **resampled)
        valid = valid_pixels(src, band.index, band.masks, window, **resampled)
        for value in band.no_data:
            valid &= stored != value
        # Most of a sparse scene holds nothing, and logarithms of nothing took most of its time.
        decibels.append(_decibels(stored, valid, band) if valid.any() else np.full(stored.shape, np.nan, np.float32))
    return np.stack(decibels)


def descriptions(src: DatasetReader) -> dict[int, str]:
    """Band -> its description; where GDAL finds none, its name in the tag that SNAP writes into a GeoTIFF; else ""."""
    found = {i: (src.descriptions[i - 1] or "").strip() for i in src.indexes}
    if not any(found.values()) and src.driver == "GTiff" and not src.name.startswith("/vsi"):
        with contextlib.suppress(OSError, TruncatedTiff):
            names = snap_band_names(src.name)
            if len(names) == src.count:
                return dict(zip(src.indexes, names, strict=True))
    return found


def has_mask(src: DatasetReader, bands: Sequence[Band]) -> bool:
    """Whether a mask or an alpha band says where there is a value, which a tile of integers could not keep."""
    return any(is_masked(src, band.index, band.masks) for band in bands)


def _masks(src: DatasetReader, described: Mapping[int, str]) -> tuple[tuple[MaskBand, ...], dict[int, str]]:
    """(The bands to apply as masks, band -> why it is not applied though its description says that it is a mask)."""
    alpha = alpha_bands(src)
    others = {i: text for i, text in described.items() if i not in alpha}
    named = named_masks(others)
    if len(named) == len(others):  # masks of nothing
        return tuple(MaskBand(i) for i in alpha), {}
    unusable = {}
    patches = sample_patches(src, [mask.index for mask in named]) if named else {}
    for mask in named:
        if why := not_a_mask(mask, [patch.values for patch in patches[mask.index]]):
            unusable[mask.index] = why
    return (*(MaskBand(i) for i in alpha), *(mask for mask in named if mask.index not in unusable)), unusable


def _decibels(stored: np.ndarray, valid: np.ndarray, band: Band) -> np.ndarray:
    meaning = band.meaning
    if (band.scale, band.offset) == (1.0, 0.0) and stored.dtype.kind in "iu" and meaning.unit == "amplitude":
        return to_decibels(stored[None], valid[None], {"CALIBRATION_DB": str(meaning.calibration_db)})[0]
    values = stored.astype(np.float32)
    if (band.scale, band.offset) != (1.0, 0.0):
        values = (stored.astype(np.float64) * band.scale + band.offset).astype(np.float32)
    if meaning.unit == "db":
        with np.errstate(invalid="ignore"):
            valid = valid & (values >= LOWEST_DB) & (values <= HIGHEST_DB)
    decibels = to_decibels(values[None], valid[None], {}, meaning.unit)[0]
    return decibels - np.float32(meaning.calibration_db) if meaning.calibration_db else decibels


def _look(
    src: DatasetReader,
    index: int,
    description: str,
    patches: Sequence[Patch],
    no_data: dict[float, str],
    name: str,
    units: Unit | None,
    beside: Beside,
    polarised: bool,
) -> Band:
    scale, offset = float(src.scales[index - 1] or 1.0), float(src.offsets[index - 1] or 0.0)
    values = measure(patches, list(no_data), scale, offset)
    if src.dtypes[index - 1] not in ("uint8", "float32", "float64") and (scale, offset) == (1.0, 0.0):
        no_data.pop(0.0, None)  # a digital number of 0 is no value whether it fills areas or not, see `to_decibels`
    calibration, why = _calibration(src, index, name)
    tags = {key.upper(): text for key, text in (src.tags() | src.tags(index)).items()}
    facts = BandFacts(
        name=name,
        dtype=src.dtypes[index - 1],
        values=values,
        description=description,
        declared_unit=src.units[index - 1] or tags.get("UNITS", "") or tags.get("UNIT", ""),
        scale=scale,
        offset=offset,
        calibration_db=calibration,
        calibration_why=why,
        interpretation=src.colorinterp[index - 1].name.lower(),
        colour_table=_has_colour_table(src, index),
        polarised=polarised,
        beside_backscatter=beside.backscatter,
    )
    return Band(index, "", decide(facts, units), no_data, scale, offset, values.valid_share)


def _has_colour_table(src: DatasetReader, index: int) -> bool:
    with contextlib.suppress(ValueError):
        return bool(src.colormap(index))
    return False


def _calibration(src: DatasetReader, index: int, name: str) -> tuple[float | None, str]:
    """(CALIBRATION_DB, where it comes from), from the tags that products have for it."""
    tags = {key.upper(): text for key, text in (src.tags() | src.tags(index)).items()}
    if "CALIBRATION_DB" in tags:
        return _number(name, "CALIBRATION_DB", tags["CALIBRATION_DB"]), ""
    with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError):
        factor = float(json.loads(tags["TIFFTAG_IMAGEDESCRIPTION"])["collect"]["image"]["scale_factor"])
        if factor > 0:
            return -20 * math.log10(factor), "the scale factor in the tag of Capella's products"
    with contextlib.suppress(ValueError, KeyError):
        factor = float(tags["CALIBRATION_FACTOR"])
        if factor > 0:
            return -10 * math.log10(factor), "the tag CALIBRATION_FACTOR"
    with contextlib.suppress(ValueError, KeyError):
        factor = float(tags["SCALE_FACTOR"])
        if factor > 0 and factor != 1:
            return -20 * math.log10(factor), "the tag SCALE_FACTOR"
    return None, ""


def _number(name: str, key: str, text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise TileError(
            name,
            Reason.UNREADABLE,
            f"Its tag {key} is not a number; correct it with `rio edit-info --tag {key}=VALUE FILE`.",
        ) from error


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


__all__ = [
    "UNITS_KEY",
    "Band",
    "Bands",
    "Beside",
    "decide_bands",
    "has_mask",
    "read_bands",
    "sample_patches",
    "sample_windows",
]
