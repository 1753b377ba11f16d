"""A tile that is larger than what the encoder was trained at is seen as crops, and what they say is averaged."""

import numpy as np
import pytest

from actors.scorer.scorer import look_at
from actors.scorer.stored_encoder import view_of
from actors.weights import create_weights, load_training_model, publish_weights, slot_texts
from corpus.geotiff.contrast import EVERY_PRODUCT, contrast_of, matching_factors, with_contrast
from corpus.geotiff.read import model_images
from corpus.geotiff.sampling import centre_of
from hcot_llm.prompts.prompts import captioner_prompt
from model.checkpoint import load_encoder, load_tokenizer
from model.known_tiles import KnownTiles
from model.score import Scorer
from support.geotiffs import speckled_dn, write_geotiff
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.training_job import SIDE, toy_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Untrained, but they say that they were trained on tiles of SIDE pixels of 10 m."""
    folder = tmp_path_factory.mktemp("weights")
    create_weights(HCOT, folder / "round-0000", toy_model(), seed=0)
    model, tokenizer = load_training_model(folder / "round-0000")
    features = np.random.default_rng(0).normal(0, 1, (64, 16 + 7)).astype(np.float32)
    known = KnownTiles.of(
        features,
        np.zeros((64, len(CLAUSES)), int),
        [len(values) for values in VOCABULARY.values()],
        image_size_px=SIDE,
        gsd_m=[10.0] * 64,
        levels=["absolute"] * 64,
    )
    prompt = captioner_prompt(HCOT, {}, ["water"], "", {})
    images = np.zeros((1, 2, SIDE, SIDE), np.float32)
    publish_weights(HCOT, folder / "round-0001", model, tokenizer, images, [prompt], known=known)
    return folder / "round-0001"


def seen_by(weights, crops, views=1):
    tokenizer = load_tokenizer(weights)
    scorer = Scorer(load_encoder(weights), tokenizer)
    return look_at(HCOT, scorer, slot_texts(HCOT, tokenizer), crops, views)


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (count, 2, SIDE, SIDE)).astype(np.float16)


def test_distributions_and_embeddings_are_means_over_the_crops_of_each_tile(weights):
    one, nine = images(1), images(9, seed=1)
    together, apart = seen_by(weights, [one, nine]), seen_by(weights, [each[None] for each in [*one, *nine]])
    for slot, single in zip(together.zero_shot, apart.zero_shot, strict=True):
        np.testing.assert_allclose(slot, [single[0], single[1:].mean(0)], atol=1e-6)
        np.testing.assert_allclose(slot.sum(1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together.embeddings, axis=1), 1, rtol=1e-5)
    mean = apart.embeddings[1:].mean(0)
    np.testing.assert_allclose(together.embeddings[1], mean / np.linalg.norm(mean), atol=1e-5)
    np.testing.assert_allclose(together.middle[1], apart.middle[1 + centre_of(9)], atol=1e-5)


def test_a_corpus_tile_is_looked_at_at_the_trained_extent(weights, tmp_path):
    pixels = speckled_dn(size=3 * SIDE)
    tile = {"path": "t.tif", "gsd_m": 10.0, "level_db": None, "platform": None, "band": "C", "polarisations": ["VV"]}
    path = write_geotiff(tmp_path / "t.tif", pixels, tags={"CALIBRATION_DB": "60"})
    known = KnownTiles.load(weights)
    read = model_images(path, gsd_m=10.0, size=SIDE, sampling=known.input.sampling)
    assert read.images.shape == (9, 2, SIDE, SIDE)
    matched = with_contrast(
        read.images, matching_factors(known.input.contrast[EVERY_PRODUCT], contrast_of(read.images))
    )
    seen = view_of(weights, tmp_path, [tile], views=8)
    expected = seen_by(weights, [matched], views=1)
    for clause, slot in zip(CLAUSES, expected.zero_shot, strict=True):
        np.testing.assert_allclose(seen.zero_shot[clause], slot, atol=1e-6)
    assert seen.distance.shape == (1,)
    assert seen.distance[0] > 0
