"""Out-of-fold labelling: no model sees what it labels, every tile is labelled once, and the parts become one view."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from corpus.storage.errors import ConfigError
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals
from orchestrator.policies.folds import FoldFindings, join_findings, make_folds
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES = [f"tile-{index:03d}" for index in range(60)]
IN_TRAINING = np.arange(len(TILES)) % 6 != 0
WATER = CLAUSES.index("water")
SHAPE = len(TILES), len(CLAUSES)
ANNOTATIONS = AnnotationMatrix(
    HCOT, tuple(TILES), np.zeros(SHAPE, int), np.ones(SHAPE, np.float32), np.full(SHAPE, "seed")
)


@given(folds=st.integers(2, 5), seed=st.integers(0, 1000))
def test_a_model_never_trains_on_its_fold_and_every_training_tile_is_labelled_once(folds, seed):
    made = make_folds(TILES, IN_TRAINING, folds, seed)
    assert [fold.number for fold in made] == list(range(folds))
    np.testing.assert_array_equal(sum(fold.labels.astype(int) for fold in made), IN_TRAINING)
    for fold in made:
        assert not (fold.trains & fold.labels).any()
        np.testing.assert_array_equal(fold.trains | fold.labels, IN_TRAINING)
        np.testing.assert_array_equal(fold.scored, fold.labels | ~IN_TRAINING)
        assert (fold.labels <= fold.speaks).all()
        assert (fold.speaks <= fold.scored).all()
    assert (sum(fold.speaks.astype(int) for fold in made) == 1).all()


def test_with_two_folds_the_training_is_that_of_one_model():
    assert sum(fold.trains.sum() for fold in make_folds(TILES, IN_TRAINING, 2, 0)) == IN_TRAINING.sum()


def test_one_fold_is_all_tiles():
    [only] = make_folds(TILES, IN_TRAINING, 1, 0)
    assert (only.trains == IN_TRAINING).all()
    assert (only.labels == IN_TRAINING).all()
    assert only.scored.all()


def test_a_tiles_fold_depends_on_its_id_and_the_run_alone():
    of = {
        tile: fold.number
        for fold in make_folds(TILES, IN_TRAINING, 3, 0)
        for tile, labels in zip(TILES, fold.labels, strict=True)
        if labels
    }
    half = [tile for tile in TILES if tile in of][::2]
    again = {
        tile: fold.number
        for fold in make_folds(half, np.ones(len(half), bool), 3, 0)
        for tile, labels in zip(half, fold.labels, strict=True)
        if labels
    }
    assert again == {tile: of[tile] for tile in half}
    assert any(
        (a.labels != b.labels).any()
        for a, b in zip(make_folds(TILES, IN_TRAINING, 3, 0), make_folds(TILES, IN_TRAINING, 3, 1), strict=True)
    )


def test_more_folds_than_tiles_are_refused():
    with pytest.raises(ConfigError, match="leave fold .* empty: lower schedule.folds"):
        make_folds(TILES[:3], np.ones(3, bool), 10, 0)


def findings(fold, level: float, asked: bool = True) -> FoldFindings:
    """A model that says `level` of everything; its captioner answers water where it is asked."""
    tiles = int(fold.scored.sum())
    beliefs = {clause: np.full((tiles, len(VOCABULARY[clause])), level) for clause in CLAUSES}
    proposals = Proposals.none_for(HCOT, tiles, 2)
    flags = np.zeros((tiles, len(CLAUSES)), bool)
    flags[:, WATER] = asked
    for row in range(tiles if asked else 0):
        proposals.put(HCOT, row, "water", 0, "sea" if level < 0.5 else "lake", np.full(len(VOCABULARY["water"]), level))
    return FoldFindings(
        fold,
        f"weights-{fold.number}",
        Feedback(
            [tile for tile, scored in zip(TILES, fold.scored, strict=True) if scored],
            beliefs,
            beliefs,
            np.full(tiles, level, np.float32),
            np.full(tiles, level, np.float32),
            np.full((tiles, len(CLAUSES)), level, np.float32),
            np.full((tiles, len(CLAUSES)), level, np.float32),
        ),
        np.full((tiles, 3), level, np.float32),
        flags,
        flags,
        Proposals(proposals.proposed, proposals.distributions, {"empty": fold.number + 1}, 2, 1, {}),
    )


def test_each_tile_is_judged_by_the_one_model_that_speaks_for_it_and_has_not_seen_it():
    folds = make_folds(TILES, IN_TRAINING, 2, 0)
    joined = join_findings(ANNOTATIONS, [findings(folds[0], 0.2), findings(folds[1], 0.6)])
    expected = np.where(folds[0].speaks, 0.2, 0.6)
    assert (expected[~IN_TRAINING] == 0.2).any()
    assert (expected[~IN_TRAINING] == 0.6).any()
    np.testing.assert_allclose(joined.feedback.zero_shot["water"], np.repeat(expected[:, None], 4, axis=1))
    np.testing.assert_allclose(joined.feedback.itc, expected, rtol=1e-6)
    np.testing.assert_allclose(joined.feedback.itm_gain[:, 3], expected, rtol=1e-6)
    np.testing.assert_allclose(joined.proposals.distributions["water"][:, 0], expected)
    assert np.isnan(joined.proposals.distributions["road"]).all()
    sea, lake = (VOCABULARY["water"].index(value) for value in ("sea", "lake"))
    np.testing.assert_array_equal(joined.proposals.proposed[:, WATER, 0], np.where(folds[1].speaks, lake, sea))
    assert (joined.proposals.proposed[:, WATER, 1] == NOT_PROPOSED).all()
    assert joined.proposals.invalid == {"empty": 3}
    assert joined.proposals.retried == 4
    assert joined.flagged[:, WATER].all()
    assert joined.flagged.sum() == len(TILES)
    assert [hash_ == "weights-1" for hash_ in joined.weights_sha256] == folds[1].speaks.tolist()
    assert joined.first.fold is folds[0]


def test_one_folds_findings_are_all_findings_bit_for_bit():
    [only] = make_folds(TILES, IN_TRAINING, 1, 0)
    part = findings(only, 1 / 3)
    joined = join_findings(ANNOTATIONS, [part])
    for clause in CLAUSES:
        np.testing.assert_array_equal(joined.feedback.zero_shot[clause], part.feedback.zero_shot[clause])
        np.testing.assert_array_equal(joined.proposals.distributions[clause], part.proposals.distributions[clause])
    assert joined.feedback.itc.dtype == np.float32
    np.testing.assert_array_equal(joined.feedback.itc_gain, part.feedback.itc_gain)
    np.testing.assert_array_equal(joined.proposals.proposed, part.proposals.proposed)
