"""A solid area of one exact value is no data whatever the value; a noise floor and plateaus are values."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from corpus.geotiff.measure import Patch, find_no_data
from corpus.geotiff.shared_no_data import find_no_data_of_bands
from corpus.ingest.ingest import IngestConfig, inspect_scenes
from support.delivered import SIDE, decibels, digital_numbers, power, put, sigma0

DB, POWER = decibels(power()), power()
COLUMNS = 60
TRUTH = decibels(sigma0())[:, :, COLUMNS:]
UP_TO_A_CONSTANT = 20 * np.log10(500)


def bordered(pixels: np.ndarray, value: float) -> np.ndarray:
    pixels = pixels.copy()
    pixels[..., :COLUMNS] = value
    return pixels


def patch(values: np.ndarray) -> Patch:
    return Patch(values, np.ones(values.shape, bool), (True,) * 4)


BORDERS = {
    **{f"power {value:g}": (bordered(POWER, value), 0.0) for value in (1e-30, 1e-10, 1e-6, 1e-4, 1e-3, 0.1, 0.5, 1.0)},
    **{f"decibels {value:g}": (bordered(DB, value), 0.0) for value in (-25, -10, -5, 1, 20)},
    **{
        f"whole numbers {value}": (bordered(np.clip(digital_numbers(), 2, None), value), UP_TO_A_CONSTANT)
        for value in (1, 1000)
    },
}


@pytest.mark.parametrize("kind", BORDERS)
def test_a_constant_border_is_no_data_in_every_band_whatever_its_value(tmp_path, kind):
    """A border of 1e-10 over 23 % of a scene of power made a spread of 38 dB of one of 6."""
    pixels, level = BORDERS[kind]
    put(tmp_path / "a.tif", pixels)
    [record] = inspect_scenes(tmp_path, IngestConfig(tile_px=64)).records
    value = pytest.approx(float(pixels[0, 0, 0]))
    assert record.no_data == {"VV": (value,), "VH": (value,)}
    for k, name in enumerate(("VV", "VH")):
        assert record.median_db[name] == pytest.approx(np.median(TRUTH[k]) + level, abs=0.2)
        assert record.std_db[name] == pytest.approx(TRUTH[k].std(), abs=0.2)


@pytest.mark.parametrize("floor", [-33, -30, -28, -25])
def test_a_noise_floor_at_which_dark_water_is_clipped_is_a_value(floor):
    assert find_no_data([patch(np.maximum(DB[1], floor))])[0] == {}
    assert find_no_data([patch(np.maximum(POWER[1], np.float32(10 ** (floor / 10))))])[0] == {}


def test_plateaus_of_smooth_whole_numbers_are_values():
    smooth = ndimage.gaussian_filter(DB[0], 12)
    assert find_no_data([patch(np.round(smooth))])[0] == {}
    assert find_no_data([patch(np.round(smooth * 2).astype(np.int16))])[0] == {}
    assert find_no_data([patch((digital_numbers()[0] // 40).astype(np.uint16))])[0] == {}


def test_an_area_inside_of_a_scene_is_no_data_and_a_saturated_target_is_not():
    hole, target = DB[0].copy(), DB[0].copy()
    hole[100:150, 100:160] = -7
    target[100:109, 100:109] = 25
    assert list(find_no_data([patch(hole)])[0]) == [-7]
    assert find_no_data([patch(target)])[0] == {}


def test_a_value_found_in_one_band_counts_in_the_others_where_it_lies_at_the_same_place():
    first, second, third = (DB[0].copy() for _ in range(3))
    first[:, 0], second[:, 0], third[0, :] = -40, -40, -40
    first[:, 0] = second[:, 0] = -9999
    second[:, 1:9] = np.linspace(-9000, -9998, 8)  # so that it does not lie alone
    bands = {1: [patch(first)], 2: [patch(second)], 3: [patch(third)]}
    assert find_no_data([patch(second)])[0] == {}
    found = find_no_data_of_bands(bands)
    assert (list(found[1]), list(found[2])) == ([-9999], [-9999])
    assert "band 1" in found[2][-9999]
    assert -9999 not in found[3]


def test_whole_scenes_keep_every_value():
    for pixels in (DB, POWER, np.sqrt(POWER), digital_numbers()):
        assert all(
            values == {} for values in find_no_data_of_bands({1: [patch(pixels[0])], 2: [patch(pixels[1])]}).values()
        )
    assert DB.shape[-1] == SIDE
