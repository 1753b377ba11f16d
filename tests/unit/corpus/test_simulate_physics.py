"""The radar of the simulator: speckle, impulse response, double bounce, layover, shadow."""

import numpy as np
import pytest
from scipy import fft

from corpus.simulate import canvas as cv
from corpus.simulate.backscatter import C_BAND, L_BAND, X_BAND, class_table, water_db
from corpus.simulate.buildings import add_buildings
from corpus.simulate.canvas import Canvas, splat
from corpus.simulate.imaging import focus, looks_weights, reflectivity, shadow, slope_gain, transfer
from corpus.simulate.sensor import SENSORS, Acquisition

XBAND = SENSORS["xband_spotlight"]


def acquisition(azimuth=80.0, looks=1.0, sensor=XBAND, hamming=1.0, incidence=38.0):
    return Acquisition(sensor, incidence, azimuth, looks, hamming)


@pytest.mark.parametrize("looks", [1.0, 1.5, 2.0, 3.7, 4.4])
def test_looks_weights_have_the_equivalent_number_of_looks(looks):
    weights = looks_weights(looks)
    assert (weights > 0).all()
    assert np.isclose(weights.sum(), 1.0)
    assert np.isclose(1.0 / (weights**2).sum(), looks)


@pytest.mark.parametrize(("key", "looks"), [("sentinel1_iw", 4.4), ("gaofen3_fsii", 3.0), ("xband_spotlight", 1.0)])
def test_speckle_over_a_homogeneous_area_has_the_statistics_of_its_looks(key, looks):
    sensor = SENSORS[key]
    c = Canvas(256, 0, sensor.gsd_m)
    h = transfer(c, acquisition(sensor=sensor, looks=looks))
    mean = np.full((256, 256), 0.1, np.float32)
    nothing = np.zeros((256, 256), np.complex64)
    image = focus(mean, nothing, h, 0.005, looks, np.random.default_rng(1))
    assert np.isclose(image.mean(), 0.105, rtol=0.05)
    assert np.isclose(image.mean() ** 2 / image.var(), looks, rtol=0.12)
    neighbours = np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1]
    assert 0.05 < neighbours < 0.9  # band-limited: neighbours are alike


def test_an_impulse_response_has_the_width_and_sidelobes_of_its_window():
    n = 256
    for hamming in (1.0, 0.75):
        h = transfer(Canvas(n, 0, 0.25), acquisition(azimuth=90.0, hamming=hamming))
        response = np.abs(fft.ifft2(h)) ** 2
        cut = response[0] / response[0, 0]
        width_m = 2 * 0.25 * np.interp(-0.5, -cut[:20], np.arange(20))
        assert abs(width_m - XBAND.resolution_m) < 0.2 * XBAND.resolution_m
        first = next(k for k in range(1, 100) if cut[k] < cut[k + 1])
        level = 10 * np.log10(cut[first : first + 20].max())
        assert (-14.5 < level < -12.0) if hamming == 1.0 else level < -17.0


@pytest.mark.parametrize("azimuth", [80.0, 281.0])
def test_building_bounces_towards_the_radar_and_shades_behind(azimuth):
    c = Canvas(128, 0, 1.0)
    acq = acquisition(azimuth)
    add_buildings(
        c,
        acq,
        np.random.default_rng(0),
        np.array([64.0]),
        np.array([64.0]),
        np.array([30.0]),
        np.array([16.0]),
        np.array([azimuth + 90.0]),
        np.array([14.0]),
    )
    image = reflectivity(c, acq, 2.0, np.zeros((128, 128), np.float32))[0]
    lr, lc = acq.look
    grass = class_table(acq.sensor.band, "HH", acq.incidence_deg, 2.0)[cv.GRASS]

    def profile(distance):
        return image[round(64 + distance * lr), round(64 + distance * lc)]

    front = max(profile(d) for d in (-9, -8, -7))
    assert front > 20 * grass  # the foot of the wall that looks at the sensor
    assert profile(-17) > 1.2 * grass  # layover: wall and roof lie in front of it
    assert max(profile(d) for d in (10, 13, 16)) < 0.2 * grass  # shadow behind
    assert np.isclose(profile(40), grass, rtol=0.05)
    assert np.isclose(profile(-45), grass, rtol=0.05)


def test_shadow_has_the_length_of_geometry():
    height = np.zeros((101, 101), np.float32)
    height[:, 30:34] = 12.0
    hidden = shadow(height, acquisition(90.0), 1.0)[50]
    assert not hidden[:34].any()
    assert abs(hidden.sum() - 12.0 * np.tan(np.deg2rad(38.0))) <= 1.5


def test_slopes_towards_the_radar_are_bright():
    ramp = np.tile(np.arange(64, dtype=np.float32) * 0.3, (64, 1))  # rises to the east
    east, west = (slope_gain(ramp, acquisition(a), 1.0)[32, 32] for a in (90.0, 270.0))
    assert east > 1.5 > 0.8 > west


def test_water_is_darker_than_land_and_rises_with_wind():
    for band, polarisation in ((C_BAND, "VV"), (C_BAND, "HH"), (X_BAND, "HH"), (C_BAND, "VH"), (L_BAND, "HH")):
        calm, rough = (water_db(band, polarisation, 36.0, wind) for wind in (2.0, 9.0))
        assert calm + 3 < rough < -14
    for sensor in SENSORS.values():
        acq = acquisition(sensor=sensor)
        table = class_table(sensor.band, sensor.polarisations[0], acq.incidence_deg, 10.0)
        assert table[cv.SEA] < table[cv.CROPLAND] < table[cv.FOREST]
        assert table[cv.RUNWAY] < table[cv.ROAD] < table[cv.PAVED]


def test_splat_keeps_the_sum_inside():
    rng = np.random.default_rng(0)
    rows, cols, values = rng.uniform(1, 30, 50), rng.uniform(1, 30, 50), rng.random(50)
    assert np.isclose(splat(32, rows, cols, values).sum(), values.sum(), rtol=1e-5)
