"""Weights know their training tiles: a tile unlike them is foreign, and what is said of it is tempered."""

import numpy as np
import pytest
import torch

from actors.trainer.channel import TrainCommand
from actors.trainer.known import known_tiles
from actors.weights import copy_weights, create_weights, load_training_model, publish_weights
from corpus.geotiff.model_input import Level
from corpus.geotiff.sampling import Sampling
from hcot_llm.prompts.prompts import captioner_prompt
from model.checkpoint import weights_sha256
from model.known_tiles import KNOWN_TILES, RADIOMETRY, KnownTiles, features_of
from model.weights_check import check_weights
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.row_windows import no_rows, window_of
from support.training_job import SIDE, TILES, toy_model, training_table

SIZES = [len(VOCABULARY[clause]) for clause in CLAUSES]


def known(features: np.ndarray, values: np.ndarray | None = None, **changes) -> KnownTiles:
    count = len(features)
    values = np.zeros((count, len(SIZES)), int) if values is None else values
    settings = {"image_size_px": 128, "gsd_m": [10.0] * count, "levels": ["absolute"] * count}
    return KnownTiles.of(features, values, SIZES, **{**settings, **changes})


def cloud(count: int, seed: int = 0, dimensions: int = 40) -> np.ndarray:
    """Two kinds of tiles, as of two sensors; the last features are those of radiometry."""
    generator = np.random.default_rng(seed)
    return (generator.normal(0, 1, (count, dimensions)) + 6 * (np.arange(count) % 2)[:, None]).astype(np.float32)


def test_tiles_like_the_training_tiles_are_not_foreign_and_others_are():
    it = known(cloud(512))
    assert (it.distance(cloud(1000, seed=1)) > 1).mean() < 0.02
    assert (it.distance(cloud(100, seed=1) + 8) > 1).mean() >= 0.5  # one kind lies where the other one lay
    assert (it.distance(cloud(100, seed=1) + 20) > 1).all()
    between = np.full((1, 40), 3, np.float32)  # the mean of all training tiles, where none of them lies
    assert it.distance(between) > 0.7


def test_radiometry_alone_makes_a_tile_foreign():
    dimmed = cloud(50, seed=1)
    dimmed[:, -RADIOMETRY:] -= 12
    assert (known(cloud(512)).distance(dimmed) > 1).all()


def test_a_feature_that_never_varied_does_not_make_tiles_infinitely_far():
    rows, others = cloud(512), cloud(100, seed=1)
    rows[:, 0] = 0
    others[:, 0] = 0.01
    assert (known(rows).distance(others) > 1).mean() < 0.05


def test_confidence_in_a_foreign_tile_falls_with_its_distance_to_how_frequent_a_value_is():
    values = np.zeros((512, len(SIZES)), int)
    values[:128, 0] = 1
    it = known(cloud(512), values)
    said = np.eye(SIZES[0])[[1] * 4]
    tempered = it.tempered(said, 0, np.array([0.2, 1.0, 1.01, 20]))
    np.testing.assert_array_equal(tempered[:2], said[:2])
    np.testing.assert_allclose(tempered.sum(1), 1, rtol=1e-5)
    assert 0.5 < tempered[2, 1] < 0.65
    assert tempered[3, 1] == pytest.approx(0.25, abs=0.01)


def test_a_ground_sample_distance_of_hardly_any_tile_was_not_learned():
    gsd = [10.0] * 300 + [8.26, 8.31] * 104 + [1.0] * 4
    assert known(cloud(512), gsd_m=gsd).input.sampling == Sampling(image_size_px=128, gsd_m=(8.3, 10.0))


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "round-0000"
    create_weights(HCOT, path, toy_model(), seed=0)
    return path


def described(untrained, run_seed=0):
    model, tokenizer = load_training_model(untrained)
    command = TrainCommand(1, 0, True, no_rows(TILES), 1, "")
    window = window_of(training_table())
    return model, tokenizer, known_tiles(model, window, command, run_seed)


def test_a_round_describes_its_tiles_alike_whenever_it_is_asked(untrained):
    model, _, one = described(untrained)
    assert model.encoder.training
    _, _, same = described(untrained)
    assert one.rows.tobytes() == same.rows.tobytes()
    assert len(one.rows) == TILES
    assert one.input.sampling == Sampling(image_size_px=SIDE, gsd_m=(10.0,))
    assert one.input.levels == {Level.ABSOLUTE: TILES}
    assert [len(prior) for prior in one.priors] == SIZES


def test_a_tile_in_several_rows_is_described_once(untrained):
    model, _, _ = described(untrained)
    window = window_of(training_table(), training_table())
    it = known_tiles(model, window, TrainCommand(1, 0, True, no_rows(TILES, TILES), 1, ""), 0)
    assert len(it.rows) == TILES
    assert it.limit > 0.1


def test_weights_carry_their_known_tiles_to_the_run_that_starts_from_them(untrained, tmp_path):
    model, tokenizer, it = described(untrained)
    prompt = captioner_prompt(HCOT, {}, ["water"], "", {})
    images = np.zeros((1, 2, SIDE, SIDE), np.float32)
    digest = publish_weights(HCOT, tmp_path / "round-0001", model, tokenizer, images, [prompt], known=it)
    assert weights_sha256(tmp_path / "round-0001") == digest
    assert copy_weights(tmp_path / "round-0001", tmp_path / "next" / "round-0000") == digest
    check_weights(tmp_path / "next" / "round-0000")
    assert (tmp_path / "next" / "round-0000" / KNOWN_TILES).exists()
    read = KnownTiles.load(tmp_path / "next" / "round-0000")
    shown = torch.from_numpy(np.random.default_rng(0).normal(0, 1, (3, 2, SIDE, SIDE)).astype(np.float32))
    features = features_of(model.encoder.eval(), shown)
    np.testing.assert_array_equal(read.distance(features), it.distance(features))
    assert read.input == it.input
    assert all(np.array_equal(a, b) for a, b in zip(read.priors, it.priors, strict=True))


def test_untrained_weights_know_no_tile(untrained):
    assert KnownTiles.load(untrained) is None
