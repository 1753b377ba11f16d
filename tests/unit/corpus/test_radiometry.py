"""Radiometric statistics against draws whose values are known."""

import numpy as np
import pytest

from corpus.radiometry.statistics import (
    LAGS_M,
    autocorrelation,
    correlation,
    equivalent_looks,
    histogram_distance_db,
    patch_looks,
    quantiles_db,
)


def speckle_db(looks: float, shape=(256, 256), seed=0) -> np.ndarray:
    return 10 * np.log10(np.random.default_rng(seed).gamma(looks, 1 / looks, shape))


@pytest.mark.parametrize("looks", [1.0, 4.4, 12.0])
def test_gamma_speckle_of_n_looks_has_n_equivalent_looks(looks):
    assert equivalent_looks(*patch_looks(speckle_db(looks))) == pytest.approx(looks, rel=0.06)


def test_looks_are_those_of_the_homogeneous_half_of_a_window_whose_other_half_is_textured():
    window = speckle_db(5.0)
    blocks = np.random.default_rng(1).normal(0, 6, (64, 32))  # of 4 pixels, so they lie inside the quarters of patches
    window[:, 128:] += np.kron(blocks, np.ones((4, 4)))
    assert equivalent_looks(*patch_looks(window)) == pytest.approx(5.0, rel=0.1)


def test_looks_of_a_window_without_a_value_are_unknown():
    assert np.isnan(equivalent_looks(*patch_looks(np.full((48, 48), np.nan))))


def test_a_histogram_that_is_shifted_by_three_decibels_is_three_decibels_away():
    first = np.stack([quantiles_db(speckle_db(4.0, (64, 64), seed)) for seed in range(3)])
    assert histogram_distance_db(first, first + 3.0) == pytest.approx(3.0)
    assert histogram_distance_db(first, first) == 0.0


def test_every_window_weighs_the_same_whatever_its_number_of_values():
    window = speckle_db(4.0)
    with_gaps = np.where(np.random.default_rng(2).random(window.shape) < 0.5, np.nan, window)
    pools = [np.stack([quantiles_db(each)]) for each in (window, with_gaps)]
    assert histogram_distance_db(*pools) < 0.05


def test_an_autocorrelation_falls_over_metres_and_not_over_pixels():
    rng = np.random.default_rng(3)
    coarse = np.kron(rng.normal(size=(64, 64)), np.ones((4, 4)))  # blocks of 40 m in pixels of 10 m
    fine = np.kron(rng.normal(size=(64, 64)), np.ones((8, 8)))[:256, :256]  # blocks of 40 m in pixels of 5 m
    of_ten, of_five = autocorrelation(coarse, 10.0), autocorrelation(fine, 5.0)
    expected = np.maximum(1 - np.array(LAGS_M) / 40.0, 0.0)
    assert of_ten == pytest.approx(expected, abs=0.06)
    assert of_five == pytest.approx(expected, abs=0.08)


def test_lags_beyond_half_of_a_window_are_not_measured():
    found = autocorrelation(speckle_db(4.0, (24, 24)), 10.0)
    assert np.isfinite(found[: LAGS_M.index(120.0) + 1]).all()
    assert np.isnan(found[LAGS_M.index(160.0) :]).all()


def test_polarisations_that_share_a_part_of_their_variance_have_that_correlation():
    rng = np.random.default_rng(4)
    shared, first, second = rng.normal(size=(3, 200, 200))
    assert correlation(shared + first, shared + second) == pytest.approx(0.5, abs=0.02)
    assert np.isnan(correlation(shared, np.zeros_like(shared)))
