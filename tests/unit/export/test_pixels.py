"""16-bit pixels give back the values of a tile, in digital numbers and in decibels."""

import numpy as np
import pytest
import rasterio

from corpus.geotiff.read import read_backscatter
from export.pixels import DB_SCALE, encode, encode_decibels, write_image
from orchestrator.data.exported import open_source
from support.geotiffs import speckled_dn, write_geotiff


def values_of(path) -> np.ndarray:
    """What a reader that knows GDAL's scale and offset makes of a file."""
    with rasterio.open(path) as src:
        stored, scale, offset = src.read(masked=True), src.scales[0], src.offsets[0]
    return (stored.astype(np.float64) * scale + offset).filled(np.nan)


@pytest.mark.parametrize("kind", ["uint16", "int16", "uint32", "int32"])
def test_digital_numbers_stay_exact_and_zero_stays_no_value(tmp_path, kind):
    pixels = speckled_dn(1, 32).astype(kind)
    pixels[0, :3] = 0
    tags = {"SIMULATED": "true", "CALIBRATION_DB": "52"}
    encoded = encode(write_geotiff(tmp_path / "a.tif", pixels, tags=tags, descriptions=("VV",)))
    assert encoded.stored.dtype == np.uint16
    assert (encoded.unit, encoded.calibration_db) == ("DN", 52)
    np.testing.assert_array_equal(encoded.values, np.where(pixels == 0, np.nan, pixels.astype(float)))


def test_an_8_bit_zero_is_a_value(tmp_path):
    pixels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16)
    encoded = encode(write_geotiff(tmp_path / "a.tif", pixels, tags={"SIMULATED": "true"}, descriptions=("VV",)))
    np.testing.assert_array_equal(encoded.values, pixels)
    assert encoded.stored.min() == 1


def test_a_declared_no_data_value_is_no_value(tmp_path):
    pixels = speckled_dn(1, 32)
    pixels[0, 0] = 65535
    encoded = encode(
        write_geotiff(tmp_path / "a.tif", pixels, nodata=65535, tags={"SIMULATED": "true"}, descriptions=("VV",))
    )
    assert np.isnan(encoded.values[0, 0]).all()
    assert np.isfinite(encoded.values[0, 1:]).all()


def test_digital_numbers_of_more_than_16_bits_become_decibels(tmp_path):
    pixels = speckled_dn(1, 32).astype(np.uint32) * 1000
    encoded = encode(write_geotiff(tmp_path / "a.tif", pixels, tags={"SIMULATED": "true"}, descriptions=("VV",)))
    assert encoded.unit == "dB"
    np.testing.assert_allclose(encoded.values, 20 * np.log10(pixels), atol=DB_SCALE)


@pytest.mark.parametrize(("low", "high"), [(-60, 40), (-127.9, 127.9)])
def test_decibels_come_back_within_two_thousandths(low, high):
    decibels = np.random.default_rng(0).uniform(low, high, (2, 64, 64)).astype(np.float32)
    decibels[0, 0, 0] = np.nan
    encoded = encode_decibels(decibels)
    assert (encoded.scale, encoded.offset) == (1 / 256, -128)
    np.testing.assert_allclose(encoded.values, decibels, atol=DB_SCALE / 2 + 1e-9)
    assert encoded.stored[0, 0, 0] == 0


def test_decibels_out_of_range_get_a_scale_of_their_own():
    decibels = np.array([[[-400.0, 500.0], [0.0, np.nan]]])
    encoded = encode_decibels(decibels)
    np.testing.assert_allclose(encoded.values, decibels, atol=900 / 65534 / 2)


@pytest.mark.parametrize("cog", [False, True])
@pytest.mark.parametrize("run", ["simulated", "real"])
def test_a_written_image_gives_back_values_map_and_licence(run, cog, tmp_path, request):
    sample = next(open_source(request.getfixturevalue(run)).samples())
    write_image(sample, encode(sample.file), tmp_path / "a.tif", cog=cog)
    with rasterio.open(sample.file) as was, rasterio.open(tmp_path / "a.tif") as now:
        stored = was.read(masked=True).astype(np.float64).filled(np.nan)
        assert (now.crs, now.transform, now.descriptions) == (was.crs, was.transform, was.descriptions)
        assert now.dtypes[0] == "uint16"
        assert now.nodata == 0
        assert sample.licence.title in now.tags()["LICENSE"]
    np.testing.assert_allclose(values_of(tmp_path / "a.tif"), stored, atol=DB_SCALE)


@pytest.mark.parametrize("run", ["simulated", "real"])
def test_the_program_reads_its_own_export_as_it_reads_the_tile(run, tmp_path, request):
    sample = next(open_source(request.getfixturevalue(run)).samples())
    write_image(sample, encode(sample.file), tmp_path / "a.tif")
    was, now = read_backscatter(sample.file), read_backscatter(tmp_path / "a.tif")
    assert now.polarisations == was.polarisations
    np.testing.assert_allclose(now.array, was.array, atol=DB_SCALE)
