"""Reading GeoTIFFs: every bad file is refused with its reason; good ones come out in the right units."""

from __future__ import annotations

import contextlib
import os
import pickle
import shutil

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.shutil import copy

from corpus.geotiff.backscatter import resample_power, stated_units, to_decibels
from corpus.geotiff.files import open_geotiff
from corpus.geotiff.metadata import acquired_of, polarisations_of
from corpus.geotiff.read import Reason, TileError, model_image, read_backscatter, tile_position
from support.geotiffs import speckled_dn, write_geotiff, write_vrt, write_zero_band_tiff


@pytest.fixture
def good(tmp_path):
    return write_geotiff(tmp_path / "good.tif", speckled_dn(), tags={"CALIBRATION_DB": "60"}, compress="DEFLATE")


def refusal(path) -> Reason:
    with pytest.raises(TileError) as caught:
        read_backscatter(path)
    error = caught.value
    assert str(path) in str(error)
    assert error.hint in str(error)
    assert error.reason in str(error)
    assert len(str(error).splitlines()) == 1
    return error.reason


@pytest.mark.parametrize("keep", [0, 3, 6, 100, 0.3, 0.9, -9])
@pytest.mark.parametrize(
    "layout",
    [
        {},
        {"compress": "DEFLATE"},
        {"tiled": True, "blockxsize": 64, "blockysize": 64},
        {"interleave": "pixel"},
        {"BIGTIFF": "YES"},
        {"ENDIANNESS": "BIG"},
        "COG",
    ],
)
def test_a_truncated_tile_is_refused_wherever_it_is_cut(tmp_path, keep, layout):
    path = tmp_path / "tile.tif"
    if layout == "COG":
        copy(write_geotiff(tmp_path / "whole.tif", speckled_dn(size=512)), path, driver="COG", blocksize=256)
    else:
        write_geotiff(path, speckled_dn(), **layout)
    assert read_backscatter(path)
    size = path.stat().st_size
    os.truncate(path, int(size * keep) if isinstance(keep, float) else keep if keep >= 0 else size + keep)
    assert refusal(path) in ({Reason.TRUNCATED} if keep != 3 else {Reason.TRUNCATED, Reason.NOT_A_GEOTIFF})


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_cut_or_damaged_anywhere_it_is_refused_or_read(tmp_path_factory, data):
    """Whatever happens to the bytes, the answer is a picture or a TileError, never another exception."""
    path = write_geotiff(tmp_path_factory.mktemp("fuzz") / "t.tif", speckled_dn(size=32), compress="DEFLATE")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 8))):
        # Most of the bytes that matter are the directory's, at the front.
        content[data.draw(st.integers(4, 400))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with contextlib.suppress(TileError):
        read_backscatter(path)


@pytest.mark.parametrize("content", [b"not a picture at all", b"\x89PNG\r\n\x1a\n" + bytes(100), b"II*", b"\xff" * 64])
def test_what_is_no_geotiff_is_refused_as_such(tmp_path, content):
    path = tmp_path / "tile.tif"
    path.write_bytes(content)
    assert refusal(path) is Reason.NOT_A_GEOTIFF


def test_a_png_with_a_tif_name_is_refused(tmp_path):
    with rasterio.open(tmp_path / "a.png", "w", driver="PNG", width=32, height=32, count=1, dtype="uint8") as dst:
        dst.write(speckled_dn(1, 32).astype(np.uint8))
    assert refusal((tmp_path / "a.png").rename(tmp_path / "a.tif")) is Reason.NOT_A_GEOTIFF


def test_a_tile_without_a_coordinate_reference_system_is_refused(tmp_path):
    assert refusal(write_geotiff(tmp_path / "t.tif", speckled_dn(), crs=None)) is Reason.NO_CRS


def test_a_sidecar_cannot_lend_a_crs_or_change_a_tile(tmp_path):
    path = write_geotiff(tmp_path / "t.tif", speckled_dn(), crs=None)
    (tmp_path / "t.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32633</SRS></PAMDataset>")
    assert refusal(path) is Reason.NO_CRS


def test_a_tile_with_ground_control_points_alone_is_refused(tmp_path):
    points = [GroundControlPoint(row, col, col / 100, row / 100) for row, col in ((0, 0), (0, 99), (99, 0), (99, 99))]
    path = write_geotiff(tmp_path / "t.tif", speckled_dn(), crs=None, transform=None)
    with rasterio.open(path, "r+") as dst:
        dst.gcps = points, rasterio.CRS.from_epsg(4326)
    with pytest.raises(TileError, match="gdalwarp") as caught:
        read_backscatter(path)
    assert caught.value.reason is Reason.NO_CRS


def test_a_tile_without_a_transform_is_refused(tmp_path):
    path = write_geotiff(tmp_path / "t.tif", speckled_dn(), transform=None)
    assert refusal(path) is Reason.NO_TRANSFORM


def test_a_tile_without_bands_is_refused(tmp_path):
    assert refusal(write_zero_band_tiff(tmp_path / "t.tif")) is Reason.NO_BANDS


@pytest.mark.parametrize(("share", "reason"), [(1.0, Reason.NOT_FINITE), (0.06, Reason.NOT_FINITE), (0.04, None)])
def test_few_missing_pixels_are_accepted_and_many_are_refused(tmp_path, share, reason):
    pixels = 10 * np.log10(speckled_dn(1).astype(np.float32))
    pixels.reshape(-1)[: int(share * pixels.size)] = np.nan
    path = write_geotiff(tmp_path / "t.tif", pixels, tags={"UNITS": "dB"})
    if reason:
        assert refusal(path) is reason
    else:
        assert np.isnan(read_backscatter(path).array).mean() == pytest.approx(0.04, abs=1e-3)
        assert np.isfinite(model_image(path)).all()


def test_infinity_is_missing(tmp_path):
    pixels = np.full((1, 64, 64), -np.inf, np.float32)
    pixels[0, :10] = np.arange(640).reshape(10, 64)
    assert refusal(write_geotiff(tmp_path / "t.tif", pixels)) is Reason.NOT_FINITE


@pytest.mark.parametrize(("dtype", "value"), [(np.uint8, 0), (np.uint8, 255), (np.uint16, 77), (np.float32, -12.5)])
def test_a_tile_of_one_value_is_refused(tmp_path, dtype, value):
    pixels = np.full((1, 64, 64), value, dtype)
    assert refusal(write_geotiff(tmp_path / "t.tif", pixels)) is Reason.CONSTANT


def test_a_tile_with_one_constant_band_is_refused(tmp_path):
    pixels = speckled_dn()
    pixels[1] = 5
    with pytest.raises(TileError, match="Band 2") as caught:
        read_backscatter(write_geotiff(tmp_path / "t.tif", pixels))
    assert caught.value.reason is Reason.CONSTANT


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.tif",
        "s3://bucket/a.tif",
        "/vsicurl/https://example.com/a.tif",
        "/vsizip/a.zip/a.tif",
        "zip://a.zip!a.tif",
        "GTIFF_DIR:1:a.tif",
        "file:///etc/a.tif",
        "/vsimem/a.tif",
    ],
)
def test_virtual_and_remote_names_are_refused(url):
    assert refusal(url) is Reason.VIRTUAL_OR_REMOTE


@pytest.mark.parametrize("name", ["posing.tif", "open.vrt"])
def test_a_virtual_dataset_is_refused_whatever_its_name(tmp_path, good, name):
    path = write_vrt(tmp_path / name, str(good))
    assert refusal(path) is Reason.VIRTUAL_OR_REMOTE
    with open_geotiff(path, allow_virtual=True) as src:
        assert src.driver == "VRT"


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert refusal(tmp_path / "absent.tif") is Reason.UNREADABLE
    assert refusal(tmp_path) is Reason.UNREADABLE


def test_damaged_pixels_are_refused(tmp_path, good):
    data = bytearray(good.read_bytes())
    with rasterio.open(good) as src:
        offset = int(src.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    data[offset : offset + 200] = bytes(200)
    good.write_bytes(data)
    assert refusal(good) is Reason.UNREADABLE


def test_complex_pixels_are_refused(tmp_path):
    assert refusal(write_geotiff(tmp_path / "t.tif", np.ones((1, 32, 32), np.complex64))) is Reason.UNSUPPORTED_DTYPE


def test_bands_that_do_not_say_what_they_are_are_refused(tmp_path):
    assert refusal(write_geotiff(tmp_path / "t.tif", speckled_dn(), descriptions=())) is Reason.UNKNOWN_BANDS


def test_error_survives_a_worker_boundary():
    error = pickle.loads(pickle.dumps(TileError("a.tif", Reason.NO_CRS, "Set it.")))
    assert (error.path, error.reason, error.hint) == ("a.tif", Reason.NO_CRS, "Set it.")
    assert str(error) == "a.tif has no coordinate reference system (no_crs). Set it."


def test_amplitude_is_calibrated_to_backscatter(tmp_path):
    pixels = np.array([[[10, 100], [1000, 1]]], np.uint16).repeat(16, 1).repeat(16, 2)
    path = write_geotiff(tmp_path / "t.tif", pixels, tags={"CALIBRATION_DB": "83"}, descriptions=("VH",))
    tile = read_backscatter(path)
    assert tile.polarisations == ("VH",)
    assert tile.array.dtype == np.float32
    np.testing.assert_allclose(tile.array[0, ::16, ::16], [[-63, -43], [-23, -83]], atol=1e-4)


def units(values, tags=None, descriptions=(), dtype=np.float32):
    pixels = np.array(values, dtype)[None, None]
    return to_decibels(pixels, np.ones(pixels.shape, bool), {}, stated_units(tags or {}, descriptions))[0, 0].tolist()


def test_units_are_told_from_values_and_metadata():
    assert units([0, 9, 99], dtype=np.uint8) == pytest.approx([0, 20, 40])
    assert units([0, 10], dtype=np.uint16) == pytest.approx([np.nan, 20], nan_ok=True)
    assert units([-5, 3]) == [-5, 3]
    assert units([1, 100]) == pytest.approx([0, 20])
    assert units([1, 100], {"UNITS": "dB"}) == [1, 100]
    assert units([1, 100], {"UNITS": "amplitude"}) == pytest.approx([0, 40])
    assert units([1, 100], descriptions=("VV_dB",)) == [1, 100]
    assert units([-1, 0, 10], {"UNITS": "linear"}) == pytest.approx([np.nan, np.nan, 10], nan_ok=True)


def test_declared_nodata_is_masked(tmp_path):
    pixels = speckled_dn(1)
    pixels[0, 0] = 7
    pixels[0, 1:][pixels[0, 1:] == 7] = 8
    array = read_backscatter(write_geotiff(tmp_path / "t.tif", pixels, nodata=7)).array
    assert np.isnan(array[0, 0]).all()
    assert np.isfinite(array[0, 1:]).all()


def test_calibration_is_seen_in_an_image_and_band_order_is_not(tmp_path):
    pixels = speckled_dn()
    names = ("VV", "VH")
    one, darker, turned = (
        model_image(write_geotiff(tmp_path / f"{name}.tif", stored, descriptions=order, tags={"CALIBRATION_DB": level}))
        for name, stored, order, level in (
            ("a", pixels, names, "60"),
            ("b", pixels, names, "65"),
            ("c", pixels[::-1], names[::-1], "60"),
        )
    )
    np.testing.assert_array_equal(one, turned)
    np.testing.assert_allclose(one.astype(float) - darker, 0.5, atol=4e-3)


def test_an_image_is_resized_and_its_position_is_known(tmp_path, good):
    assert model_image(good, size=64).shape == (2, 64, 64)
    np.testing.assert_array_equal(model_image(good, size=128), model_image(good))
    position = tile_position(good)
    assert position.crs == "EPSG:32633"
    assert position.gsd_m == pytest.approx(10, rel=1e-3)
    assert (position.lon, position.lat) == pytest.approx((13.66, 47.84), abs=0.02)


def test_a_calibration_that_is_no_number_is_refused(tmp_path):
    path = write_geotiff(tmp_path / "t.tif", speckled_dn(), tags={"CALIBRATION_DB": "high"})
    with pytest.raises(TileError, match="CALIBRATION_DB is not a number"):
        read_backscatter(path)


def test_open_does_not_write_beside_the_tile(tmp_path, good):
    shutil.copy(good, tmp_path / "copy.tif")
    read_backscatter(good)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.tif", "good.tif"]


@given(st.integers(2, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_resampling_keeps_mean_power(source, target, seed):
    decibels = np.random.default_rng(seed).uniform(-30, 5, (1, source, source)).astype(np.float32)
    resampled = resample_power(decibels, target)
    assert resampled.shape == (1, target, target)
    power = [np.mean(10 ** (array.astype(np.float64) / 10)) for array in (decibels, resampled)]
    assert power[1] == pytest.approx(power[0], rel=1e-4)


def test_resampling_gives_what_is_computed_by_hand():
    decibels = np.array([[[0, 10, 0, 0], [0, 10, 0, 0], [np.nan] * 4, [np.nan, 0, np.nan, np.nan]]], np.float32)
    np.testing.assert_allclose(resample_power(decibels, 2)[0], [[10 * np.log10(5.5), 0], [np.nan, np.nan]], atol=1e-5)


def test_the_metadata_of_real_products_is_read():
    assert polarisations_of(["VH amplitude, clipped at 99th pct of source scene, 0-255"], {}, "003.tif") == ("VH",)
    assert polarisations_of(["VV_dB", "VH_dB"], {}, "") == ("VV", "VH")
    assert polarisations_of([None], {}, "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_61_39_VH.tif") == ("VH",)
    assert polarisations_of([None, None], {"POLARIZATION": "VV+VH"}, "") == ("VV", "VH")
    assert polarisations_of([None], {}, "umbra.tif") == ("unknown",)
    assert acquired_of({"ACQ_DATE": "07.11.2020"}, "") == "2020-11-07T00:00:00"
    assert acquired_of({"DATE": "20230809T020729"}, "") == "2023-08-09T02:07:29"
    assert acquired_of({}, "S1A_IW_GRDH_1SDV_20170613T165043_33UUP.tif") == "2017-06-13T16:50:43"
    assert acquired_of({"DATE": "last week"}, "") == ""
