"""Shallow classifiers as a label source: what they say of a tile is learned from others."""

from dataclasses import replace

import numpy as np
import pytest

from actors.statistics.config import StatisticsConfig
from actors.statistics.cross_fit import by_clause, cross_fit, folds_of
from actors.statistics.features import Features
from actors.statistics.members import MEMBERS
from actors.statistics.source import fit_source
from corpus.storage.state_files import RecordError
from corpus.storage.writer import UNGUARDED
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.files import load_schema
from orchestrator.data.statistics_source import read_statistics, write_statistics
from support.labelled_set import SHAPES
from support.toy_schemas import write_schema_file

TILES, SIDE, WRONG = 300, 16, 0.35
ESTIMATED = AcceptanceConfig(initial_accuracy="estimated", consistency=False)


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    return load_schema(write_schema_file(tmp_path_factory.mktemp("schema") / "shapes.yaml", SHAPES))


def images(truth, contrast=8.0):
    """Speckle with a bright square, a bright bar or nothing, decibels float16 [N, 2, S, S]."""
    generator = np.random.default_rng(1)
    power = generator.exponential(1.0, (len(truth), 2, SIDE, SIDE))
    power[truth == 0, :, 5:11, 5:11] *= contrast
    power[truth == 1, :, 7:9, :] *= contrast
    return (10 * np.log10(power + 1e-3)).astype(np.float16)


def world(schema, wrong=WRONG, contrast=8.0):
    """(features, annotations of which a share is wrong, truth, held-out tiles)."""
    generator = np.random.default_rng(0)
    truth = generator.integers(3, size=TILES)
    errors = generator.random(TILES) < wrong
    values = np.where(errors, (truth + 1 + generator.integers(2, size=TILES)) % 3, truth)[:, None]
    ids = tuple(f"{number:03d}" for number in range(TILES))
    confidence = np.full(values.shape, 0.9, np.float32)
    initial = AnnotationMatrix(schema, ids, values, confidence, np.full(values.shape, "seed", object))
    return Features.of(images(truth, contrast)), initial, truth, np.arange(TILES) % 3 == 0


def fitted(schema, features, initial, held_out, turns=1, **settings):
    config = StatisticsConfig(folds=2, turns=turns, **settings)
    return fit_source(features, initial, held_out, list(initial.tile_ids), config, ESTIMATED, run_seed=0)


@pytest.fixture(scope="module")
def found(schema):
    features, initial, truth, held_out = world(schema)
    return fitted(schema, features, initial, held_out, turns=2), initial, truth, held_out


def test_wrong_annotations_are_found_out_and_their_share_is_estimated(found):
    source, initial, truth, _ = found
    said = source.distributions["shape"].argmax(axis=1)
    right = (initial.column("shape") == truth).mean()
    assert right < 0.75
    assert (said == truth).mean() > 0.95
    assert source.accuracy.mean() == pytest.approx(right, abs=0.08)


def test_the_same_seed_says_the_same(schema, found):
    features, initial, _, held_out = world(schema)
    again = fitted(schema, features, initial, held_out, turns=2)
    np.testing.assert_array_equal(again.distributions["shape"], found[0].distributions["shape"])


def test_annotations_of_held_out_tiles_change_nothing_that_is_said_in_the_first_turn(schema):
    features, initial, _, held_out = world(schema)
    targets = np.eye(3)[initial.column("shape")]
    other = np.where(held_out[:, None], np.roll(targets, 1, axis=1), targets)
    fold = folds_of(initial.tile_ids, held_out, 2, seed=0)
    for member in MEMBERS.values():
        one, two = (cross_fit(member, features, each, fold, 4096, 0) for each in (targets, other))
        np.testing.assert_array_equal(one, two)


def test_what_is_said_of_a_tile_does_not_depend_on_its_own_groups_annotations(schema):
    features, initial, _, held_out = world(schema)
    groups = [str(number // 3) for number in range(TILES)]
    fold = folds_of(groups, held_out, 2, seed=0)
    targets = np.eye(3)[initial.column("shape")]
    mine = (np.asarray(groups) == "10") & ~held_out
    other = np.where(mine[:, None], np.roll(targets, 1, axis=1), targets)
    for member in MEMBERS.values():
        one, two = (cross_fit(member, features, each, fold, 4096, 0) for each in (targets, other))
        np.testing.assert_array_equal(one[mine], two[mine])


def test_where_nothing_is_seen_the_annotations_stand(schema):
    features, initial, _, held_out = world(schema, contrast=1.0)
    source = fitted(schema, features, initial, held_out, turns=2)
    assert source.accuracy.mean() >= 0.89
    assert source.turns == 1


def test_of_more_tiles_than_one_fit_takes_some_are_drawn(schema):
    features, initial, truth, held_out = world(schema)
    source = fitted(schema, features, initial, held_out, most_tiles=64)
    assert (source.distributions["shape"].argmax(axis=1) == truth).mean() > 0.8


def test_a_value_that_nobody_wrote_has_a_probability_and_rows_sum_to_one(schema):
    distributions = by_clause(schema, np.asarray([[1.2, -0.1, 0.0]]))
    np.testing.assert_allclose(distributions["shape"].sum(axis=1), 1)
    assert (distributions["shape"] > 0).all()


def test_a_classifier_from_outside_speaks_in_the_committee(schema, monkeypatch):
    class Sure:
        def fit_predict(self, taught, targets, asked, seed):
            return np.tile([1.0, 0.0, 0.0], (len(asked), 1))

    monkeypatch.setattr(MEMBERS, "_members", {})
    MEMBERS.add("sure", Sure())
    features, initial, _, held_out = world(schema)
    assert (fitted(schema, features, initial, held_out).distributions["shape"].argmax(axis=1) == 0).all()


def test_what_was_said_is_read_back_and_refused_for_other_tiles(found, tmp_path):
    source, initial, _, _ = found
    write_statistics(tmp_path / "statistics.parquet", source, initial, UNGUARDED)
    again = read_statistics(tmp_path / "statistics.parquet", initial)
    np.testing.assert_array_equal(again.distributions["shape"], source.distributions["shape"])
    np.testing.assert_array_equal(again.accuracy, source.accuracy)
    with pytest.raises(RecordError, match=r"statistics.parquet is of other tiles"):
        read_statistics(tmp_path / "statistics.parquet", replace(initial, tile_ids=("other",) * TILES))
