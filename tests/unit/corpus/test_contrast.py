"""The contrast of a product is matched to that of the training tiles, without a label."""

import numpy as np
import pytest

from actors.data.matching import contrast_factors
from corpus.geotiff.contrast import EVERY_PRODUCT, contrast_of, matching_factors, with_contrast
from corpus.geotiff.model_input import CLIP
from corpus.geotiff.read import model_image
from corpus.tiles import product_of
from support.geotiffs import speckled_dn, write_geotiff

SIDE = 128


def images(deviations, count=9, seed=0):
    noise = np.random.default_rng(seed).normal(0, 1, (count, 2, 32, 32))
    return (0.3 + np.asarray(deviations)[:, None, None] * noise).astype(np.float16)


def test_matched_images_have_the_contrast_of_the_training_images_and_keep_their_means():
    trained, flat = contrast_of(images([0.5, 0.45])), images([0.3, 0.25], seed=1)
    matched = with_contrast(flat, matching_factors(trained, contrast_of(flat)))
    np.testing.assert_allclose(contrast_of(matched), trained, rtol=0.01)
    np.testing.assert_allclose(matched.mean(axis=(2, 3)), flat.mean(axis=(2, 3)), atol=0.01)


def test_a_small_difference_changes_nothing_and_a_large_one_at_most_doubles():
    assert matching_factors((0.5, 0.5), (0.46, 0.54)) == (1.0, 1.0)
    assert matching_factors((0.5, 0.5), (0.1, 0.46)) == pytest.approx((2.0, 0.5 / 0.46))
    assert matching_factors((0.5, 0.5), (2.0, 0.0)) == (0.5, 2.0)
    some = images([0.3, 0.3])
    assert with_contrast(some, (1.0, 1.0)) is some


def test_nothing_leaves_the_range_of_an_image():
    bright = with_contrast(images([2.0, 2.0]), (2.0, 2.0))
    assert bright.min() >= CLIP[0]
    assert bright.max() <= CLIP[1]


@pytest.fixture
def corpus(tmp_path):
    """Twelve tiles of one product and two of another, as rows of tiles.parquet."""
    rows = []
    for number in range(14):
        write_geotiff(tmp_path / f"{number}.tif", speckled_dn(seed=number))
        rows.append(
            {
                "path": f"{number}.tif",
                "platform": "a" if number < 12 else "b",
                "band": "C",
                "polarisations": ["VV", "VH"],
                "gsd_m": 10.0,
                "level_db": None,
            }
        )
    return tmp_path, rows


def test_every_product_has_factors_of_its_own_and_one_of_few_tiles_is_left_alone(corpus):
    folder, rows = corpus
    measured = contrast_of(np.stack([model_image(folder / f"{number}.tif", size=SIDE) for number in range(12)]))
    trained = {EVERY_PRODUCT: [1.5 * each for each in measured]}
    factors = contrast_factors(trained, rows, folder, SIDE, None)
    np.testing.assert_allclose(factors[:12], [[1.5, 1.5]] * 12, rtol=1e-3)
    assert factors[12:] == [(1.0, 1.0)] * 2


def test_a_product_that_was_trained_on_is_compared_with_itself(corpus):
    folder, rows = corpus
    measured = contrast_of(np.stack([model_image(folder / f"{number}.tif", size=SIDE) for number in range(12)]))
    trained = {EVERY_PRODUCT: [1.5 * each for each in measured], product_of(rows[0]): measured}
    assert set(contrast_factors(trained, rows, folder, SIDE, None)) == {(1.0, 1.0)}


def test_without_trained_weights_nothing_is_read_or_changed(corpus):
    _, rows = corpus
    assert contrast_factors(None, rows, "nowhere", SIDE, None) == [(1.0, 1.0)] * 14
