"""Sign and class conventions of the encoder's feedback, on cases made by hand."""

import numpy as np
import pytest

from actors.scorer.scorer import captions_of
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.feedback import (
    Feedback,
    FlagConfig,
    feedback_hints,
    flagged_clauses,
    hint_follow_rates,
    leave_one_out_flags,
    leave_one_out_gains,
)
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.text.render import render_clause
from model.encoder import ITM_MATCH
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.toy_schemas import VEHICLES

WATER = CLAUSES.index("water")
SURE = np.ones((1, len(CLAUSES)))


def feedback(itc=None, itm=None, tiles=1, **slots) -> Feedback:
    """Scores in the scorer's order: whole caption first, then without each clause. Default: removing only hurts."""
    itc = np.full((tiles, 17), 0.5) - 0.1 * (np.arange(17) > 0) if itc is None else np.asarray(itc, float)
    itm = np.full((tiles, 17), 0.8) - 0.1 * (np.arange(17) > 0) if itm is None else np.asarray(itm, float)
    even = {clause: np.full((tiles, len(VOCABULARY[clause])), 1 / len(VOCABULARY[clause])) for clause in CLAUSES}
    return Feedback(
        [str(tile) for tile in range(tiles)],
        even | slots.get("zero_shot", {}),
        even | slots.get("neighbours", {}),
        itc[:, 0],
        itm[:, 0],
        leave_one_out_gains(itc),
        leave_one_out_gains(itm),
    )


def planted(itc_without: float, itm_without: float) -> Feedback:
    """A caption whose water clause is wrong; both scores of the caption without it as given."""
    itc, itm = np.full((1, 17), 0.30), np.full((1, 17), 0.40)
    itc[0, 0], itm[0, 0] = 0.35, 0.60
    itc[0, 1 + WATER], itm[0, 1 + WATER] = itc_without, itm_without
    return feedback(itc, itm)


def test_a_gain_is_positive_where_the_caption_is_better_without_the_clause():
    """0.5 the whole caption; 0.7 without its first clause, 0.4 without its second."""
    gains = leave_one_out_gains(np.asarray([[0.5, 0.7, 0.4]]))
    np.testing.assert_allclose(gains, [[0.2, -0.1]])


def test_one_planted_wrong_clause_is_flagged_and_no_other():
    flags = flagged_clauses(
        planted(itc_without=0.55, itm_without=0.9), SURE, FlagConfig(leave_one_out=True, minimum_confidence=0)
    )
    assert np.argwhere(flags).tolist() == [[0, WATER]]


@pytest.mark.parametrize(("itc", "itm"), [(0.55, 0.5), (0.2, 0.9), (0.35, 0.9), (0.2, 0.2)])
def test_both_scores_have_to_improve(itc, itm):
    assert not flagged_clauses(planted(itc, itm), SURE, FlagConfig(leave_one_out=True, minimum_confidence=0)).any()


def test_higher_is_better_also_beyond_one_and_below_zero():
    """The paper's released code compares distances to 1, which prefers 0.9 to 1.4 and calls -0.5 to -0.1 a loss."""
    assert leave_one_out_flags(np.asarray([1.4 - 0.9]), np.asarray([0.1])).tolist() == [True]
    assert leave_one_out_flags(np.asarray([0.9 - 1.4]), np.asarray([0.1])).tolist() == [False]
    assert leave_one_out_flags(np.asarray([-0.1 - -0.5]), np.asarray([0.1])).tolist() == [True]


def test_the_match_class_is_one_in_training_and_in_scoring():
    assert ITM_MATCH == 1


def test_the_minimum_gain_is_exceeded_not_met():
    gain = np.asarray([0.05, 0.0501])
    assert leave_one_out_flags(gain, gain, 0.05).tolist() == [False, True]
    assert leave_one_out_flags(np.zeros(1), np.zeros(1)).tolist() == [False]


def test_low_confidence_flags_by_itself_and_leave_one_out_only_where_it_is_switched_on():
    confidence = SURE.copy()
    confidence[0, 3] = 0.89
    assert np.argwhere(flagged_clauses(feedback(), confidence, FlagConfig())).tolist() == [[0, 3]]
    assert flagged_clauses(planted(0.55, 0.9), SURE, FlagConfig(leave_one_out=True)).sum() == 1
    assert not flagged_clauses(planted(0.55, 0.9), SURE, FlagConfig()).any()


def test_a_minimum_confidence_of_one_asks_about_everything():
    assert flagged_clauses(feedback(), SURE, FlagConfig(minimum_confidence=1)).all()


def test_the_scorer_leaves_out_the_clause_whose_column_it_is():
    """Column 1 + c of the scores belongs to the caption without clause c; the rest of its wording is the same."""
    values = {clause: VOCABULARY[clause][1] for clause in CLAUSES}
    captions = captions_of(HCOT, "tile", [HCOT.value_index[clause][values[clause]] for clause in CLAUSES], True)
    assert len(captions) == 1 + len(CLAUSES)
    for column, clause in enumerate(CLAUSES):
        sentences = {render_clause(HCOT, clause, values[clause], variant=variant) for variant in range(50)}
        [said] = [sentence for sentence in sentences if sentence in captions[0]]
        assert said not in captions[1 + column]
        assert sorted(captions[1 + column].replace(" ", "")) == sorted(
            captions[0].replace(said, "", 1).replace(" ", "")
        )
    assert captions_of(HCOT, "tile", [0] * 16, False) == captions_of(HCOT, "tile", [0] * 16, True)[:1]


def test_hints_name_the_encoders_favourite_first():
    lake, sea = HCOT.value_index["water"]["lake"], HCOT.value_index["water"]["sea"]
    one = feedback(zero_shot={"water": np.eye(4)[[lake]]}, neighbours={"water": np.eye(4)[[sea]]})
    assert feedback_hints(HCOT, one, 0, ["water"]) == {"water": "lake sea"}
    same = feedback(zero_shot={"water": np.eye(4)[[lake]]}, neighbours={"water": np.eye(4)[[lake]]})
    assert feedback_hints(HCOT, same, 0, ["water"]) == {"water": "lake"}


def test_leaving_out_the_only_clause_gains_nothing():
    vehicles = AnnotationSchema.model_validate(VEHICLES)
    whole, without = captions_of(vehicles, "tile", [3], True)
    assert without == whole


def test_only_answers_to_hints_that_contradict_the_current_value_are_counted_as_following():
    shape = 4, len(CLAUSES)
    sea = VOCABULARY["water"].index("sea")
    lake = VOCABULARY["water"].index("lake")
    values = np.zeros(shape, int)
    values[:, WATER] = [lake, lake, lake, sea]
    answers = np.full(shape, NOT_PROPOSED)
    answers[:, WATER] = [sea, lake, NOT_PROPOSED, lake]  # followed, kept, not asked, hint agrees with the value
    hints = np.full((4, len(VOCABULARY["water"])), 0.1)
    hints[:, sea] = 0.7
    matrix = AnnotationMatrix(HCOT, tuple("abcd"), values, np.ones(shape, np.float32), np.full(shape, "seed"))
    followed, at_random = hint_follow_rates(matrix, feedback(tiles=4, zero_shot={"water": hints}), answers)
    assert followed == 1 / 2
    assert at_random == pytest.approx(1 / 2 / (len(VOCABULARY["water"]) - 1))
    assert hint_follow_rates(matrix, feedback(tiles=4), np.full(shape, NOT_PROPOSED)) == (None, None)
