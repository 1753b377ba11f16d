"""Whole numbers: what their names say counts, and a missing scale is asked for, never guessed."""

from __future__ import annotations

import numpy as np
import pytest

from corpus.geotiff.integers import UNITS_KEY
from corpus.ingest.ingest import IngestConfig, inspect_scenes
from corpus.ingest.record import SceneRecord
from support.delivered import decibels, digital_numbers, put, sigma0

DB, POWER = decibels(sigma0()), sigma0()
CALLED_DB = ("Sigma0_VV_db", "Sigma0_VH_db")


def packed(scale: float, offset: float, dtype: str) -> np.ndarray:
    limits = np.iinfo(dtype)
    return np.clip(np.round((DB + offset) * scale), max(limits.min, -32767), limits.max).astype(dtype)


def record(folder, units=None) -> SceneRecord:
    [found] = inspect_scenes(folder, IngestConfig(units=units)).records
    return found


SCALED = {
    "int16 x 100": (packed(100, 0, "int16"), CALLED_DB),
    "int16 x 10": (packed(10, 0, "int16"), ("VV_dB", "VH_dB")),
    "int16 x 4": (packed(4, 0, "int16"), CALLED_DB),
    "uint16 (dB + 50) x 100": (packed(100, 50, "uint16"), CALLED_DB),
    "uint8 (dB + 30) x 5": (packed(5, 30, "uint8"), CALLED_DB),
    "uint8 (dB + 30) x 8": (packed(8, 30, "uint8"), CALLED_DB),
    "uint8 dB + 50": (packed(1, 50, "uint8"), CALLED_DB),
    "uint16 (dB + 50) x 100 without a word": (packed(100, 50, "uint16"), ("VV", "VH")),
    "uint16 (dB + 50) x 100 named Sigma0": (packed(100, 50, "uint16"), ("Sigma0_VV", "Sigma0_VH")),
}


@pytest.mark.parametrize("kind", SCALED)
def test_decibels_in_whole_numbers_without_their_scale_are_refused_and_the_scale_is_asked_for(tmp_path, kind):
    pixels, names = SCALED[kind]
    put(tmp_path / "a.tif", pixels, names)
    found = record(tmp_path)
    assert (found.status, found.code) == ("refused", "unclear_units")
    assert "gdal_edit.py -scale" in found.reason
    assert "-offset" in found.reason
    assert UNITS_KEY in found.reason


@pytest.mark.parametrize(("scale", "offset", "dtype"), [(100, 50, "uint16"), (8, 30, "uint8"), (4, 0, "int16")])
def test_a_word_for_decibels_in_the_name_alone_asks_for_the_scale_as_well(tmp_path, scale, offset, dtype):
    put(tmp_path / "S1_VV_dB.tif", packed(scale, offset, dtype)[:1], ())
    assert record(tmp_path).code == "unclear_units"


@pytest.mark.parametrize("kind", ["int16 x 100", "uint8 (dB + 30) x 5", "uint16 (dB + 50) x 100"])
def test_the_key_does_not_make_whole_decibels_of_scaled_ones(tmp_path, kind):
    put(tmp_path / "a.tif", *SCALED[kind])
    assert record(tmp_path, "db").code == "unclear_units"


@pytest.mark.parametrize(("scale", "offset", "dtype"), [(100, 0, "int16"), (100, 50, "uint16"), (5, 35, "uint8")])
def test_with_the_scale_that_is_asked_for_they_are_read(tmp_path, scale, offset, dtype):
    put(tmp_path / "a.tif", packed(scale, offset, dtype), CALLED_DB, scales=(1 / scale,) * 2, offsets=(-offset,) * 2)
    found = record(tmp_path)
    assert found.median_db == pytest.approx(dict(zip(("VV", "VH"), np.median(DB, axis=(1, 2)), strict=True)), abs=0.1)


def test_whole_decibels_are_read_where_the_file_or_the_key_says_so(tmp_path):
    truth = pytest.approx(dict(zip(("VV", "VH"), np.median(DB, axis=(1, 2)), strict=True)), abs=0.5)
    put(tmp_path / "said" / "a.tif", packed(1, 0, "int16"), CALLED_DB)
    assert record(tmp_path / "said").median_db == truth
    put(tmp_path / "key" / "a.tif", packed(1, 0, "int16"))
    assert record(tmp_path / "key", "db").median_db == truth
    put(tmp_path / "numbers" / "a.tif", np.round(20 * np.log10(digital_numbers())).astype(np.uint8), CALLED_DB)
    assert record(tmp_path / "numbers").code == "unclear_units"
    assert record(tmp_path / "numbers", "db").median_db["VV"] == pytest.approx(43, abs=0.6)


@pytest.mark.parametrize("names", [("Sigma0_VV", "Sigma0_VH"), ("Gamma0_VV", "Gamma0_VH"), ("Beta0_VV", "Beta0_VH")])
def test_a_coefficient_in_whole_numbers_is_what_its_speckle_says(tmp_path, names):
    """A power that was read as an amplitude had twice its contrast."""
    std = dict(zip(("VV", "VH"), DB.std(axis=(1, 2)), strict=True))
    for unit, pixels in (("power", POWER * 1e4), ("amplitude", np.sqrt(POWER) * 500)):
        put(tmp_path / unit / "a.tif", np.clip(np.round(pixels), 1, 65535).astype(np.uint16), names)
        found = record(tmp_path / unit)
        assert found.unit == {"VV": unit, "VH": unit}
        assert found.std_db == pytest.approx(std, abs=0.15)


def test_decimal_decibels_that_spread_too_far_are_refused(tmp_path):
    put(tmp_path / "a.tif", (DB * 4).astype(np.float32), CALLED_DB)
    assert record(tmp_path).code == "unclear_units"
