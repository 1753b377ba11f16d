"""From feedback to the next annotations, with distributions made by hand."""

from dataclasses import replace

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
    """An encoder whose most probable values are `values`, and leave-one-out scores that flag nothing."""
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
    """Truth, initial annotations with every fifth clause wrong, and the quarter of tiles no model was trained on."""
    generator = np.random.default_rng(0)
    sizes = np.asarray([len(VOCABULARY[clause]) for clause in CLAUSES])
    truth = consistent_annotations(TILES, seed=0)
    wrong = (truth + generator.integers(1, sizes, size=truth.shape)) % sizes
    initial = np.where(generator.random(truth.shape) < 0.2, wrong, truth)
    return truth, annotations(initial), np.arange(TILES) % 4 == 0


@pytest.fixture(scope="module")
def repaired(case):
    """Everything is queried, the encoder right, every proposal right."""
    truth, initial, held_out = case
    return update_labels(
        feedback(truth), initial, initial, proposals_of(truth, np.ones(truth.shape, bool)), held_out, ACCEPT
    )


def proposals_of(values: np.ndarray, queried: np.ndarray) -> Proposals:
    made = Proposals.none_for(HCOT, TILES, 1)
    beliefs = sure(values)
    for row, column in np.argwhere(queried):
        clause = CLAUSES[column]
        made.put(HCOT, row, clause, 0, VOCABULARY[clause][values[row, column]], beliefs[clause][row])
    return made


def test_clauses_that_evidence_contradicts_are_flagged(case):
    truth, initial, held_out = case
    confidence = current_confidence(feedback(truth), initial, initial, held_out, ACCEPT)
    flagged = flagged_clauses(feedback(truth), confidence, FLAG)
    assert flagged[initial.values != truth].mean() > 0.95
    assert flagged[initial.values == truth].mean() < 0.05


def test_good_proposals_repair_and_bad_ones_do_no_harm(case, repaired):
    truth, initial, held_out = case
    training = ~held_out
    assert (repaired.matrix.values == truth)[training].mean() > 0.97
    nonsense = proposals_of(np.zeros_like(truth), np.ones(truth.shape, bool))
    bad = update_labels(feedback(truth), initial, initial, nonsense, held_out, ACCEPT)
    assert (bad.matrix.values == truth)[training].mean() >= (initial.values == truth)[training].mean()
    harmed = (bad.matrix.values != truth) & (initial.values == truth)
    assert harmed[training].mean() < 0.01


def test_held_out_tiles_keep_their_annotations(case, repaired):
    _, initial, held_out = case
    np.testing.assert_array_equal(repaired.matrix.values[held_out], initial.values[held_out])
    np.testing.assert_array_equal(repaired.matrix.confidence[held_out], initial.confidence[held_out])
    assert not repaired.accepted[held_out].any()
    assert not repaired.rejected[held_out].any()


def test_only_queried_clauses_change(case):
    truth, initial, held_out = case
    queried = np.zeros(truth.shape, bool)
    queried[:, WATER] = True
    update = update_labels(feedback(truth), initial, initial, proposals_of(truth, queried), held_out, ACCEPT)
    changed = update.matrix.values != initial.values
    assert changed.any()
    assert not changed[:, np.arange(16) != WATER].any()
    np.testing.assert_array_equal(update.accepted, changed)
    assert not (update.accepted & update.rejected).any()


def test_what_the_captioner_says_unasked_counts_and_changes_no_clause_by_itself(case):
    """An encoder that knows nothing, and a captioner that is right in all clauses, queried about water alone."""
    truth, initial, held_out = case
    ignorant = feedback(np.zeros_like(truth))
    queried = np.zeros(truth.shape, bool)
    queried[:, WATER] = True
    asked = proposals_of(truth, queried)
    unasked = replace(asked, distributions=sure(truth))
    one, other = (update_labels(ignorant, initial, initial, each, held_out, ACCEPT) for each in (asked, unasked))
    others = np.ix_(~held_out, np.arange(16) != WATER)
    np.testing.assert_array_equal(other.matrix.values[others], initial.values[others])
    right = (initial.values == truth)[others]
    assert other.matrix.confidence[others][right].mean() > one.matrix.confidence[others][right].mean() + 0.05
    assert other.matrix.confidence[others][~right].mean() < 0.2


def test_beside_statistics_the_captioner_counts_only_where_it_was_queried(case):
    truth, initial, held_out = case
    queried = np.random.default_rng(1).random(truth.shape) < 0.5
    asked = proposals_of(truth, queried)
    unasked = replace(asked, distributions={c: each.astype(np.float32) for c, each in sure(truth).items()})
    said = {clause: np.full_like(each, 1 / each.shape[1]) for clause, each in sure(truth).items()}
    one, other = (
        update_labels(feedback(truth), initial, initial, each, held_out, ACCEPT, statistics=said)
        for each in (asked, unasked)
    )
    np.testing.assert_array_equal(one.matrix.confidence, other.matrix.confidence)
    assert one.source_weights == other.source_weights


def test_every_change_says_where_it_comes_from(case, repaired):
    truth, initial, held_out = case
    assert set(repaired.matrix.source[repaired.accepted]) == {"captioner"}
    assert set(repaired.matrix.source[~repaired.accepted]) == {"kept"}
    # What is now the initial value again has the initial annotations as its source, though a proposal came first.
    back = update_labels(
        feedback(initial.values),
        annotations(truth),
        initial,
        proposals_of(initial.values, np.ones(truth.shape, bool)),
        held_out,
        ACCEPT,
    )
    assert back.accepted.any()
    assert set(back.matrix.source[back.accepted]) == {"seed"}


def test_a_model_can_be_switched_off(case):
    truth, initial, held_out = case
    update = update_labels(
        feedback(truth),
        initial,
        initial,
        proposals_of(truth, np.ones(truth.shape, bool)),
        held_out,
        AcceptanceConfig(use_captioner=False),
    )
    assert update.models == ("encoder",)
    assert all(len(source_weights) == 1 for source_weights in update.source_weights.values())


def test_an_answer_is_entered_where_it_belongs():
    made = Proposals.none_for(HCOT, 2, 3)
    distribution = np.asarray([0.1, 0.2, 0.3, 0.4], np.float32)
    made.put(HCOT, 1, "water", 0, "sea", distribution)
    made.put(HCOT, 1, "water", 2, "lake", None)
    assert made.proposed[1, WATER].tolist() == [HCOT.value_index["water"]["sea"], NOT_PROPOSED, 2]
    # Sampled candidates come without a distribution; the greedy answer's stays.
    np.testing.assert_array_equal(made.distributions["water"][1], distribution)
    assert np.isnan(made.distributions["water"][0]).all()
    assert (made.proposed != NOT_PROPOSED).sum() == 2


def test_classifiers_on_statistics_repair_what_an_ignorant_encoder_and_captioner_leave(case):
    truth, initial, held_out = case
    ignorant = feedback(np.zeros_like(truth))
    nonsense = proposals_of(np.zeros_like(truth), np.ones(truth.shape, bool))
    without = update_labels(ignorant, initial, initial, nonsense, held_out, ACCEPT)
    update = update_labels(ignorant, initial, initial, nonsense, held_out, ACCEPT, statistics=sure(truth))
    training = ~held_out
    assert (update.matrix.values == truth)[training].mean() > 0.95 > (without.matrix.values == truth)[training].mean()
    assert update.models == ("encoder", "captioner", "statistics")
    # What the captioner had not said came from them.
    assert "statistics" in set(update.matrix.source[update.accepted])
    told = update.matrix.source == "statistics"
    assert (update.matrix.values[told] == truth[told]).all()


def test_statistics_flag_what_an_ignorant_encoder_lets_pass(case):
    truth, initial, held_out = case
    ignorant = feedback(np.zeros_like(truth))
    wrong = initial.values != truth
    without, found = (
        flagged_clauses(
            ignorant, current_confidence(ignorant, initial, initial, held_out, ACCEPT, statistics=said), FLAG
        )
        for said in (None, sure(truth))
    )
    assert found[wrong].mean() > 0.95
    assert found[~wrong].mean() < without[~wrong].mean()


def test_a_captioner_that_is_right_where_others_are_sure_is_not_believed_where_they_doubt(case):
    truth, initial, held_out = case
    # On a tenth of the tiles the classifiers are in doubt between two values, and the captioner names a third one.
    doubted = (np.arange(TILES) % 10 < 2)[:, None] & np.ones(truth.shape, bool)
    said = sure(truth)
    for column, clause in enumerate(CLAUSES):
        flat = np.full(said[clause].shape, 0.02)
        flat[np.arange(TILES), truth[:, column]] = 0.6
        said[clause] = np.where(doubted[:, [column]], flat / flat.sum(axis=1, keepdims=True), said[clause])
    sizes = np.asarray([len(VOCABULARY[clause]) for clause in CLAUSES])
    captioner = proposals_of(np.where(doubted, (truth + 1) % sizes, truth), np.ones(truth.shape, bool))
    ignorant = feedback(np.zeros_like(truth))
    update = update_labels(ignorant, initial, initial, captioner, held_out, ACCEPT, statistics=said)
    training = ~held_out[:, None] & doubted
    harmed = (update.matrix.values != truth) & (initial.values == truth)
    assert harmed[training].mean() < 0.02


def test_unseen_tiles_are_judged_by_the_models_alone_whatever_their_annotations_say(case):
    truth, initial, held_out = case
    queried = np.ones(truth.shape, bool)
    spoiled = initial.values.copy()
    spoiled[held_out] = (truth[held_out] + 1) % np.asarray([len(VOCABULARY[clause]) for clause in CLAUSES])
    for values in (initial.values, spoiled):
        given = annotations(values)
        update = update_labels(feedback(truth), given, given, proposals_of(truth, queried), held_out, ACCEPT)
        found = np.stack([update.unseen[clause].argmax(axis=1) for clause in CLAUSES], axis=1)
        assert found.shape == (held_out.sum(), len(CLAUSES))
        assert (found == truth[held_out]).mean() > 0.99


def test_models_that_do_not_count_still_say_what_unseen_tiles_show(case):
    truth, initial, held_out = case
    stands = replace(initial, standing=frozenset(CLAUSES))
    nothing = Proposals.none_for(HCOT, TILES, 1)
    update = update_labels(feedback(truth), stands, stands, nothing, held_out, AcceptanceConfig(consistency=False))
    assert all(not any(weights) for weights in update.source_weights.values())
    found = np.stack([update.unseen[clause].argmax(axis=1) for clause in CLAUSES], axis=1)
    assert (found == truth[held_out]).mean() > 0.99
