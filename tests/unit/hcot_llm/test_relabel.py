"""From feedback to the next annotations, with evidence made by hand."""

import numpy as np
import pytest

from hcot_llm.aggregation.acceptance import NOT_PROPOSED, AcceptanceConfig
from hcot_llm.aggregation.feedback import Feedback, FlagConfig, flagged_clauses
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals, current_confidence, update_labels
from support.consistent import consistent_annotations
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES = 160
WATER = CLAUSES.index("water")
NO_GAIN = np.full((TILES, len(CLAUSES)), -0.1)
FLAG, ACCEPT = FlagConfig(), AcceptanceConfig()


def sure(values: np.ndarray, share: float = 0.97) -> dict[str, np.ndarray]:
    """Distributions that favour `values` [N, 16]."""
    found = {}
    for column, clause in enumerate(CLAUSES):
        others = (1 - share) / (len(VOCABULARY[clause]) - 1)
        found[clause] = np.where(np.eye(len(VOCABULARY[clause]), dtype=bool)[values[:, column]], share, others)
    return found


def feedback(values: np.ndarray) -> Feedback:
    """An encoder that believes `values`, and leave-one-out scores that flag nothing."""
    beliefs = sure(values)
    return Feedback(
        [str(tile) for tile in range(TILES)], beliefs, beliefs, np.zeros(TILES), np.zeros(TILES), NO_GAIN, NO_GAIN
    )


def annotations(values: np.ndarray, confidence: float = 0.8) -> AnnotationMatrix:
    return AnnotationMatrix(
        HCOT,
        tuple(f"{tile:04d}" for tile in range(TILES)),
        values,
        np.full(values.shape, confidence, np.float32),
        np.full(values.shape, "seed", object),
    )


@pytest.fixture(scope="module")
def case():
    """Truth, a seed with every fifth clause wrong, and the quarter of tiles no model was trained on."""
    generator = np.random.default_rng(0)
    sizes = np.asarray([len(VOCABULARY[clause]) for clause in CLAUSES])
    truth = consistent_annotations(TILES, seed=0)
    wrong = (truth + generator.integers(1, sizes, size=truth.shape)) % sizes
    seed = np.where(generator.random(truth.shape) < 0.2, wrong, truth)
    return truth, annotations(seed), np.arange(TILES) % 4 == 0


@pytest.fixture(scope="module")
def repaired(case):
    """Everything asked, the encoder right, every proposal right."""
    truth, seed, calibration = case
    return update_labels(
        feedback(truth), seed, seed, proposals_of(truth, np.ones(truth.shape, bool)), calibration, ACCEPT
    )


def proposals_of(values: np.ndarray, asked: np.ndarray) -> Proposals:
    made = Proposals.none_for(HCOT, TILES, 1)
    beliefs = sure(values)
    for row, column in np.argwhere(asked):
        clause = CLAUSES[column]
        made.put(HCOT, row, clause, 0, VOCABULARY[clause][values[row, column]], beliefs[clause][row])
    return made


def test_clauses_that_evidence_contradicts_are_flagged(case):
    truth, seed, calibration = case
    confidence = current_confidence(feedback(truth), seed, seed, calibration, ACCEPT)
    flagged = flagged_clauses(feedback(truth), confidence, FLAG)
    assert flagged[seed.values != truth].mean() > 0.95
    assert flagged[seed.values == truth].mean() < 0.05


def test_good_proposals_repair_and_bad_ones_do_no_harm(case, repaired):
    truth, seed, calibration = case
    training = ~calibration
    assert (repaired.matrix.values == truth)[training].mean() > 0.97
    nonsense = proposals_of(np.zeros_like(truth), np.ones(truth.shape, bool))
    bad = update_labels(feedback(truth), seed, seed, nonsense, calibration, ACCEPT)
    assert (bad.matrix.values == truth)[training].mean() >= (seed.values == truth)[training].mean()
    harmed = (bad.matrix.values != truth) & (seed.values == truth)
    assert harmed[training].mean() < 0.01


def test_tiles_for_calibration_keep_their_annotations(case, repaired):
    _, seed, calibration = case
    np.testing.assert_array_equal(repaired.matrix.values[calibration], seed.values[calibration])
    np.testing.assert_array_equal(repaired.matrix.confidence[calibration], seed.confidence[calibration])
    assert not repaired.accepted[calibration].any()
    assert not repaired.rejected[calibration].any()


def test_only_what_was_asked_changes(case):
    truth, seed, calibration = case
    asked = np.zeros(truth.shape, bool)
    asked[:, WATER] = True
    update = update_labels(feedback(truth), seed, seed, proposals_of(truth, asked), calibration, ACCEPT)
    changed = update.matrix.values != seed.values
    assert changed.any()
    assert not changed[:, np.arange(16) != WATER].any()
    np.testing.assert_array_equal(update.accepted, changed)
    assert not (update.accepted & update.rejected).any()


def test_every_change_says_where_it_comes_from(case, repaired):
    truth, seed, calibration = case
    assert set(repaired.matrix.source[repaired.accepted]) == {"captioner"}
    assert set(repaired.matrix.source[~repaired.accepted]) == {"kept"}
    # What is now the seed's value again is the seed's, though a proposal opened the question.
    back = update_labels(
        feedback(seed.values),
        annotations(truth),
        seed,
        proposals_of(seed.values, np.ones(truth.shape, bool)),
        calibration,
        ACCEPT,
    )
    assert back.accepted.any()
    assert set(back.matrix.source[back.accepted]) == {"seed"}


def test_a_witness_can_be_switched_off(case):
    truth, seed, calibration = case
    update = update_labels(
        feedback(truth),
        seed,
        seed,
        proposals_of(truth, np.ones(truth.shape, bool)),
        calibration,
        AcceptanceConfig(use_captioner=False),
    )
    assert update.models == ("encoder",)
    assert all(len(exponents) == 1 for exponents in update.exponents.values())


def test_an_answer_is_entered_where_it_belongs():
    made = Proposals.none_for(HCOT, 2, 3)
    distribution = np.asarray([0.1, 0.2, 0.3, 0.4])
    made.put(HCOT, 1, "water", 0, "sea", distribution)
    made.put(HCOT, 1, "water", 2, "lake", None)
    assert made.proposed[1, WATER].tolist() == [HCOT.value_index["water"]["sea"], NOT_PROPOSED, 2]
    # Sampled candidates come without a distribution; the greedy answer's stays.
    np.testing.assert_array_equal(made.distributions["water"][1], distribution)
    assert np.isnan(made.distributions["water"][0]).all()
    assert (made.proposed != NOT_PROPOSED).sum() == 2
