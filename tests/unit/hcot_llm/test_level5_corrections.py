"""Level 5 asks again for what contradicts the rest of its tile, and for nothing else."""

from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.prompts.corrections import Answered, plan_corrections
from support.consistent import STARTS
from support.hcot import ABSENT, CLAUSES, HCOT

PORT = STARTS[0]


def plan(context: set[str], gsd_m: float = 10.0, **changes) -> list:
    values = PORT | changes
    return plan_corrections(
        HCOT,
        [
            Answered(
                7,
                {c: v for c, v in values.items() if c in context},
                {c: v for c, v in values.items() if c not in context},
                5,
                gsd_m,
            )
        ],
        candidate=4,
    )


def test_an_answer_that_contradicts_nothing_is_not_asked_again():
    assert not contradictions(HCOT, PORT)
    assert plan(set()) == []


def test_the_answered_side_of_a_contradiction_is_asked_again_with_the_rest_as_context():
    """Ships without water: the ship was context, the water is answered."""
    [again] = plan({"target_category"}, water=ABSENT)
    assert again.question == 7
    assert again.candidate == 4
    assert again.greedy
    assert "water" in again.queried
    assert "target_category" not in again.queried
    said = dict(again.said)
    assert said["road"] == PORT["road"]
    assert not set(said) & set(again.queried)
    assert set(said) | set(again.queried) | {"target_category"} == set(CLAUSES)


def test_context_clauses_that_contradict_one_another_are_not_the_captioners_to_mend():
    context = set(CLAUSES) - {"boundary"}
    assert plan(context, water=ABSENT) == []


def test_a_size_that_the_resolution_contradicts_is_asked_again():
    """A large ship has 200 pixels at least where one pixel is a metre: it is no point."""
    wrong = {"target_feature": "point", "target_size": "large"}
    assert plan(set(), gsd_m=20.0, **wrong) == []
    [again] = plan(set(), gsd_m=1.0, **wrong)
    assert {"target_feature", "target_size"} <= set(again.queried)
