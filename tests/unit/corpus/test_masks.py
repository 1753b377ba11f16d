"""Masks of a scene: alpha bands of every type, bands named so, and files beside it. What they hide is in no tile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import ColorInterp

from corpus.geotiff.masks import MaskBand, named_masks, not_a_mask
from corpus.geotiff.read import read_backscatter
from corpus.ingest.config import IngestConfig
from corpus.ingest.ingest import cut_scenes, inspect_scenes, scene_sha256
from corpus.ingest.record import SceneRecord
from support.delivered import SIDE, decibels, digital_numbers, power, put, sigma0, with_alpha

HIDDEN = 60
"""Columns that have garbage below a mask."""
CONFIG = IngestConfig(tile_px=64, max_missing_share=0.95)
LAX = IngestConfig(max_quarantined_share=1)
TYPES = {"uint8": 255, "uint16": 65535, "int16": 255, "int32": 255, "uint32": 1, "float32": 255, "float64": 1}


def garbled(pixels: np.ndarray) -> np.ndarray:
    pixels = pixels.copy()
    pixels[..., :HIDDEN] *= 3
    return pixels


def mask(present: float = 255, hidden: float = 0) -> np.ndarray:
    values = np.full((SIDE, SIDE), present)
    values[:, :HIDDEN] = hidden
    return values


def pixels_of(dtype: str) -> np.ndarray:
    """The truth, as digital numbers or as power."""
    if dtype.startswith("float"):
        return power().astype(dtype)
    return (
        (digital_numbers() // (12 if dtype == "uint8" else 1)).clip(1, 80 if dtype == "uint8" else None).astype(dtype)
    )


def with_band(path: Path, values: np.ndarray, name: str) -> Path:
    return put(path, np.concatenate([garbled(power()), values[None].astype(np.float32)]), ("VV", "VH", name))


def beside(path: Path, values: np.ndarray, pixels: np.ndarray | None = None) -> Path:
    put(path, garbled(power()) if pixels is None else pixels)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, "r+") as file:
        file.write_mask(values.astype(np.uint8))
    return path.with_name(f"{path.name}.msk")


def hidden_is_missing(tmp_path: Path, config: IngestConfig = CONFIG) -> SceneRecord:
    """The record of the one scene of a folder, after its tiles were looked at pixel by pixel."""
    report = cut_scenes(tmp_path / "in", tmp_path / "out", config)
    [record] = report.scenes
    truth: dict[str, np.ndarray] = dict(zip(("VV", "VH"), decibels(sigma0()), strict=True))
    assert report.tiles == (SIDE // config.tile_px) ** 2
    for row in report.table.to_pylist():
        tile = read_backscatter(tmp_path / "out" / row["path"], max_missing_share=1)
        column = round((row["transform"][2] - 400000) / 10)
        shown = np.broadcast_to(np.arange(column, column + config.tile_px) >= HIDDEN, tile.array.shape)
        assert np.array_equal(np.isfinite(tile.array), shown)
    for name, median in record.median_db.items():
        seen = truth[name][:, HIDDEN:]
        assert record.std_db[name] == pytest.approx(seen.std(), rel=0.03)
        if record.calibrated:
            assert median == pytest.approx(np.median(seen), abs=0.01)
        else:  # cut to whole numbers
            assert median == pytest.approx(np.median(seen) + 20 * np.log10(500), abs=0.1)
    return record


@pytest.mark.parametrize("bands", [1, 2])
@pytest.mark.parametrize("dtype", [each for each in TYPES if each != "uint8"])
def test_an_alpha_band_of_any_type_beside_any_bands_hides_pixels(tmp_path, dtype, bands):
    pixels = garbled(pixels_of(dtype)[:bands])
    with_alpha(tmp_path / "in" / "S1.tif", pixels, mask(TYPES[dtype]), ("VV", "VH")[:bands])
    record = hidden_is_missing(tmp_path)
    assert record.masks == (f"S1.tif, band {bands + 1} (alpha)",)
    assert record.bands_left_out == {}
    assert f"masked by S1.tif, band {bands + 1} (alpha)" in record.reason


def test_an_alpha_band_of_8_bits_beside_two_polarisations_hides_pixels(tmp_path):
    with_alpha(tmp_path / "in" / "S1.tif", garbled(pixels_of("uint8")), mask(), ("VV", "VH"))
    report = cut_scenes(tmp_path / "in", tmp_path / "out", CONFIG)
    first = next(row for row in report.table.to_pylist() if row["transform"][2] == 400000)
    tile = read_backscatter(tmp_path / "out" / first["path"], max_missing_share=1)
    assert not np.isfinite(tile.array[:, :, :HIDDEN]).any()
    assert np.isfinite(tile.array[:, :, HIDDEN:]).mean() > 0.9


def test_an_alpha_band_and_a_no_data_value_both_hide_pixels(tmp_path):
    pixels = power()
    pixels[:, :, -20:] = -9999
    path = put(tmp_path / "in" / "S1.tif", np.concatenate([pixels, mask()[None].astype(np.float32)]), nodata=-9999)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (*file.colorinterp[:2], ColorInterp.alpha)
    [record] = cut_scenes(tmp_path / "in", tmp_path / "out", CONFIG).scenes
    seen = decibels(power())[0, :, HIDDEN:-20]
    assert record.median_db["VV"] == pytest.approx(np.median(seen), abs=0.01)
    assert record.std_db["VV"] == pytest.approx(seen.std(), abs=0.01)


@pytest.mark.parametrize("name", ["alpha", "valid_mask", "mask", "dataMask", "Valid", "valid pixels"])
@pytest.mark.parametrize("present", [1, 255])
def test_a_band_named_as_a_mask_hides_pixels(tmp_path, name, present):
    with_band(tmp_path / "in" / "S1.tif", mask(present), name)
    assert hidden_is_missing(tmp_path).masks == (f"S1.tif, band 3 ({name})",)


@pytest.mark.parametrize("name", ["nodata_mask", "no data", "invalid"])
def test_a_band_named_as_a_mask_of_no_data_hides_where_it_is_set(tmp_path, name):
    with_band(tmp_path / "in" / "S1.tif", mask(0, 1), name)
    hidden_is_missing(tmp_path)


def test_a_mask_of_one_polarisation_hides_pixels_of_that_one(tmp_path):
    bands = np.concatenate([garbled(power())[:1], power()[1:], mask(1)[None].astype(np.float32)])
    put(tmp_path / "in" / "S1.tif", bands, ("VV", "VH", "mask_VV"))
    [record] = cut_scenes(tmp_path / "in", tmp_path / "out", CONFIG).scenes
    vv, vh = decibels(power())
    assert record.median_db["VV"] == pytest.approx(np.median(vv[:, HIDDEN:]), abs=0.01)
    assert record.median_db["VH"] == pytest.approx(np.median(vh), abs=0.01)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((SIDE, SIDE)), "it is 0 everywhere"),
        (np.arange(SIDE * SIDE).reshape(SIDE, SIDE) % 5, "its values are not 0 and one other, but 5 from 0 to 4"),
        (mask(2, 1), "its values are not 0 and one other, but 2 from 1 to 2"),
    ],
)
def test_a_band_named_as_a_mask_with_the_values_of_none_is_not_applied_and_said(tmp_path, call, values, said):
    with_band(tmp_path / "in" / "S1.tif", values, "mask")
    _, out, _ = call("data", "check", tmp_path / "in")
    assert f"left out 3 (mask): it is not applied as a mask: {said}" in out
    [record] = inspect_scenes(tmp_path / "in", CONFIG).records
    assert record.masks == ()


@pytest.mark.parametrize("name", ["water_mask", "layover_shadow_mask", "cloud mask", "alpha_angle", "VV", ""])
def test_masks_of_something_else_are_no_masks_of_values(name):
    assert named_masks({3: name}) == []


def test_a_mask_with_soft_edges_is_one_and_an_angle_named_alpha_is_none():
    hard = mask()
    hard[:, HIDDEN : HIDDEN + 5] = [40, 80, 120, 160, 200]
    assert not_a_mask(MaskBand(3), [hard]) is None
    assert "from 0" in (not_a_mask(MaskBand(3), [np.linspace(0, 90, SIDE)]) or "")


def test_a_mask_in_a_file_beside_a_scene_hides_pixels_and_is_said(tmp_path, call):
    beside(tmp_path / "in" / "S1.tif", mask())
    assert hidden_is_missing(tmp_path).masks == ("S1.tif.msk",)
    _, out, _ = call("data", "check", tmp_path / "in")
    assert "masked by S1.tif.msk" in out
    _, out, _ = call("data", "check", tmp_path / "in", "--explain", "S1.tif")
    assert "masked by S1.tif.msk: it says where there are values" in out


def test_a_mask_beside_digital_numbers_is_in_the_tiles(tmp_path):
    beside(tmp_path / "in" / "S1.tif", mask(), garbled(digital_numbers()))
    hidden_is_missing(tmp_path)


def test_another_mask_beside_a_scene_makes_it_another_scene(tmp_path):
    path = tmp_path / "S1.tif"
    found = [scene_sha256(put(path, power()), LAX)]
    for values in (mask(), mask(0, 255)):
        beside(path, values, power())
        found.append(scene_sha256(path, LAX))
    assert len(set(found)) == 3


def test_a_mask_beside_that_cannot_be_read_is_named_and_the_scene_refused(tmp_path):
    (tmp_path / "in").mkdir()
    beside(tmp_path / "in" / "a.tif", mask()).write_bytes(b"no mask")
    whole = beside(tmp_path / "in" / "b.tif", mask())
    whole.write_bytes(whole.read_bytes()[:-200])
    beside(tmp_path / "in" / "c.tif", mask()).unlink()
    put(tmp_path / "small.tif", np.ones((1, 9, 9), np.uint8), ()).rename(tmp_path / "in" / "c.tif.msk")
    beside(tmp_path / "in" / "d.tif", mask()).rename(tmp_path / "elsewhere.msk")
    (tmp_path / "in" / "d.tif.msk").symlink_to(tmp_path / "elsewhere.msk")
    said = {record.file: record.reason for record in inspect_scenes(tmp_path / "in", LAX).records}
    assert "mask a.tif.msk is not a GeoTIFF" in said["a.tif"]
    assert "mask b.tif.msk is truncated" in said["b.tif"]
    assert "mask c.tif.msk has 9 x 9 pixels and not 256 x 256" in said["c.tif"]
    assert "mask d.tif.msk is a link that leads elsewhere" in said["d.tif"]
