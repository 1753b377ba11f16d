"""What people decided as a label source: it fixes its clause, and is evidence for all others."""

import numpy as np
import pytest

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.people import PERSON, UNDECIDED, Said, peoples_word, with_decisions
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.aggregation.relabel import Proposals, update_labels
from support.consistent import consistent_annotations
from support.hcot import CLAUSES, HCOT, VOCABULARY

TILES = 60
IDS = tuple(f"{tile:04d}" for tile in range(TILES))
ROAD, WATER, COUNT = (CLAUSES.index(name) for name in ("road", "water", "target_count"))


def sure(values, share=0.9):
    found = {}
    for column, clause in enumerate(CLAUSES):
        others = (1 - share) / (len(VOCABULARY[clause]) - 1)
        found[clause] = np.where(np.eye(len(VOCABULARY[clause]), dtype=bool)[values[:, column]], share, others)
    return found


@pytest.fixture(scope="module")
def case():
    values = consistent_annotations(TILES, seed=1)
    shape = values.shape
    matrix = AnnotationMatrix(HCOT, IDS, values, np.full(shape, 0.8, np.float32), np.full(shape, "seed", object))
    beliefs = sure(values)
    feedback = Feedback(IDS, beliefs, beliefs, np.zeros(TILES), np.zeros(TILES), np.zeros(shape), np.zeros(shape))
    proposals = Proposals.none_for(HCOT, TILES, 1)
    for row in range(TILES):
        for column, clause in enumerate(CLAUSES):
            value = VOCABULARY[clause][values[row, column]]
            proposals.put(HCOT, row, clause, 0, value, beliefs[clause][row])
    return matrix, feedback, proposals, np.arange(TILES) % 4 == 0


def other_road(matrix, row):
    return next(value for value in VOCABULARY["road"] if value != VOCABULARY["road"][matrix.values[row, ROAD]])


def whole(rows):
    """Keeps the update of a block as it is."""
    return lambda update: update


def test_a_decision_stands_against_everybody_and_is_as_sure_as_all_evidence_together(case):
    matrix, feedback, proposals, held_out = case
    rows = [1, 4]  # a training tile, and one that is held out
    said = [Said(IDS[row], "road", other_road(matrix, row), 0.95) for row in rows]
    word = peoples_word(HCOT, IDS, said)
    update = update_labels(
        feedback, matrix, matrix, proposals, held_out, AcceptanceConfig(), people=word, remember=whole
    )
    [remembered] = update.remembered
    for row, each in zip(rows, said, strict=True):
        assert VOCABULARY["road"][update.matrix.values[row, ROAD]] == each.value
        assert update.matrix.source[row, ROAD] == PERSON
        expected = remembered.weighing.posterior["road"][row][update.matrix.values[row, ROAD]]
        assert update.matrix.confidence[row, ROAD] == pytest.approx(expected, rel=1e-6)
    assert not update.accepted[rows, ROAD].any()
    again = update_labels(feedback, update.matrix, matrix, proposals, held_out, AcceptanceConfig(), people=word)
    np.testing.assert_array_equal(again.matrix.values[rows, ROAD], update.matrix.values[rows, ROAD])


def test_without_decisions_every_number_is_as_before(case):
    matrix, feedback, proposals, held_out = case
    nobody = peoples_word(HCOT, IDS, [])
    before, after = (
        update_labels(feedback, matrix, matrix, proposals, held_out, AcceptanceConfig(), people=people, remember=whole)
        for people in (None, nobody)
    )
    [one], [other] = before.remembered, after.remembered
    for clause in CLAUSES:
        np.testing.assert_array_equal(one.weighing.posterior[clause], other.weighing.posterior[clause])
    np.testing.assert_array_equal(before.matrix.confidence, after.matrix.confidence)


def test_a_decision_speaks_for_the_other_clauses_by_the_rules(case):
    matrix, feedback, _, held_out = case
    row = int(np.flatnonzero(matrix.values[:, COUNT] > 0)[1])  # a tile with targets, as all say
    word = peoples_word(HCOT, IDS, [Said(IDS[row], "target_count", "0", 0.97)])
    absent = VOCABULARY["target_category"].index("none")
    told, untold = (
        weigh([feedback.zero_shot], matrix, held_out, AcceptanceConfig(), said=said) for said in (word.likelihood, None)
    )
    assert told.posterior["target_category"][row][absent] > untold.posterior["target_category"][row][absent]


def test_who_is_believed_less_weighs_less(case):
    matrix, feedback, _, held_out = case
    value = other_road(matrix, 1)
    found = []
    for accuracy in (0.6, 0.9, 0.99):
        word = peoples_word(HCOT, IDS, [Said(IDS[1], "road", value, accuracy)])
        weighing = weigh([feedback.zero_shot], matrix, held_out, AcceptanceConfig(), said=word.likelihood)
        found.append(weighing.posterior["road"][1][VOCABULARY["road"].index(value)])
    assert found == sorted(found)
    assert found[0] < found[2] / 2


def test_of_several_people_the_more_believed_decides_and_a_tie_decides_nothing():
    expert, crowd = Said(IDS[0], "water", "lake", 0.97), Said(IDS[0], "water", "sea", 0.8)
    word = peoples_word(HCOT, IDS, [crowd, expert])
    assert VOCABULARY["water"][word.values[0, WATER]] == "lake"
    two = [Said(IDS[0], "water", value, 0.9) for value in ("lake", "sea")]
    tied = peoples_word(HCOT, IDS, two)
    assert tied.values[0, WATER] == UNDECIDED
    assert tied.likelihood["water"][0].argmax() in (VOCABULARY["water"].index(value) for value in ("lake", "sea"))
    three = peoples_word(HCOT, IDS, [*two, Said(IDS[0], "water", "sea", 0.6)])
    assert VOCABULARY["water"][three.values[0, WATER]] == "sea"


def test_decisions_about_unknown_tiles_are_left_out():
    assert peoples_word(HCOT, IDS, [Said("elsewhere", "road", "grid", 0.9)]) is None


def test_annotations_take_decisions_as_sure_as_the_person_is_believed(case):
    matrix, *_ = case
    word = peoples_word(HCOT, IDS, [Said(IDS[2], "road", other_road(matrix, 2), 0.9)])
    entered = with_decisions(matrix, word)
    assert entered.source[2, ROAD] == PERSON
    assert entered.confidence[2, ROAD] == pytest.approx(0.9)
    changed = entered.values != matrix.values
    assert np.argwhere(changed).tolist() == [[2, ROAD]]
    assert with_decisions(entered, word) is entered, "what is entered already stays as it was weighed"
