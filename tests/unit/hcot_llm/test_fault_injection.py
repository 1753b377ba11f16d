"""Damaged answers: each damage is refused for its own reason, and what a shard has lost is asked again in a budget."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hcot_llm.engines.fault_injection import ANSWER_FAULTS, inject_fault
from hcot_llm.prompts.prompts import answer_text
from hcot_llm.prompts.retry import RetryConfig, Unusable, plan_retries
from hcot_llm.schema.answers import parse_answer
from hcot_llm.schema.errors import AnswerError
from hcot_llm.schema.repetition import repeated_unit
from support.hcot import CLAUSES, HCOT, VOCABULARY

annotations = st.fixed_dictionaries({clause: st.sampled_from(VOCABULARY[clause]) for clause in CLAUSES})
clause_sets = st.lists(st.sampled_from(CLAUSES), min_size=1, unique=True).map(
    lambda chosen: tuple(clause for clause in CLAUSES if clause in chosen)
)
seeds = st.integers(0, 2**62)


@given(annotations, clause_sets, st.sampled_from(sorted(ANSWER_FAULTS)), seeds)
def test_every_damage_of_a_valid_answer_is_refused_for_its_own_reason(values, asked, name, seed):
    damaged = ANSWER_FAULTS[name](answer_text(HCOT, values, asked), asked, np.random.default_rng(seed))
    with pytest.raises(AnswerError) as refused:
        parse_answer(HCOT, damaged, asked)
    assert refused.value.reason == name, damaged


@given(st.text(max_size=300), clause_sets, st.sampled_from(sorted(ANSWER_FAULTS)), seeds)
def test_damages_of_any_text_end_in_values_or_an_answer_error(text, asked, name, seed):
    damaged = ANSWER_FAULTS[name](text, asked, np.random.default_rng(seed))
    try:
        clauses, reason = tuple(parse_answer(HCOT, damaged, asked)), None
    except AnswerError as error:
        clauses, reason = asked, error.reason
    assert clauses == asked
    assert reason in (None, *AnswerError.REASONS)


@given(annotations, clause_sets, st.data())
def test_no_beginning_of_a_valid_answer_looks_like_repetition(values, asked, data):
    text = answer_text(HCOT, values, asked)
    assert repeated_unit(text[: data.draw(st.integers(0, len(text)))]) is None


@given(st.text(min_size=1, max_size=40), st.integers(0, 39))
def test_a_repeated_unit_is_found_wherever_it_is_cut(unit, end):
    text = "begun: " + unit * 40 + unit[:end]
    found = repeated_unit(text)
    assert found is not None
    assert len(found) <= len(unit)


def test_the_share_and_all_six_kinds_are_injected_and_nothing_else_depends_on_it():
    text = answer_text(HCOT, {clause: VOCABULARY[clause][0] for clause in CLAUSES}, CLAUSES)
    results = [inject_fault(text, CLAUSES, 0.3, seed) for seed in range(2000)]
    damaged = [name for _, name in results if name is not None]
    assert 0.25 < len(damaged) / 2000 < 0.35
    assert set(damaged) == set(ANSWER_FAULTS)
    assert all(result == (text, None) for result in results if result[1] is None)
    assert results == [inject_fault(text, CLAUSES, 0.3, seed) for seed in range(2000)]
    assert {inject_fault(text, CLAUSES, 0, seed) for seed in range(50)} == {(text, None)}


def unusable(count: int, clauses: int = 4) -> list[Unusable]:
    return [
        Unusable(question, candidate, CLAUSES[:clauses], question) for question in range(count) for candidate in (2, 0)
    ]


def test_a_failed_answer_is_asked_again_as_two_smaller_questions():
    retries = plan_retries(unusable(1, 5), 1, first_answers=100, spent=0, config=RetryConfig())
    assert [(r.candidate, r.queried, r.greedy) for r in retries] == [
        (0, CLAUSES[:3], True),
        (0, CLAUSES[3:5], True),
        (2, CLAUSES[:3], False),
        (2, CLAUSES[3:5], False),
    ]
    assert len({retry.seed for retry in retries}) == 4


def test_a_question_that_cannot_be_made_smaller_is_sampled():
    [greedy, sampled] = plan_retries(unusable(1, 1), 1, first_answers=100, spent=0, config=RetryConfig())
    assert not greedy.greedy
    assert not sampled.greedy
    assert greedy.seed != sampled.seed


@given(st.integers(0, 40), st.integers(1, 16), st.integers(1, 200), st.integers(0, 30), st.floats(0, 1))
def test_the_budget_is_kept_and_greedy_answers_come_first(count, clauses, first, spent, share):
    retries = plan_retries(
        unusable(count, clauses), 1, first_answers=first, spent=spent, config=RetryConfig(budget_share=share)
    )
    assert len(retries) <= max(share * first - spent, 0)
    assert [retry.candidate for retry in retries] == sorted(retry.candidate for retry in retries)


def test_attempts_end_and_seeds_depend_on_the_attempt():
    config = RetryConfig(attempts=2)
    first, second = (
        plan_retries(unusable(3), attempt, first_answers=100, spent=0, config=config) for attempt in (1, 2)
    )
    assert not {retry.seed for retry in first} & {retry.seed for retry in second}
    assert second
    assert plan_retries(unusable(3), 3, first_answers=100, spent=0, config=config) == []
    assert plan_retries(unusable(3), 1, first_answers=100, spent=0, config=RetryConfig(attempts=0)) == []


def test_what_is_drawn_does_not_depend_on_which_other_answers_failed():
    few, many = (plan_retries(unusable(count), 1, first_answers=100, spent=0, config=RetryConfig()) for count in (1, 3))
    assert set(few) <= set(many)
