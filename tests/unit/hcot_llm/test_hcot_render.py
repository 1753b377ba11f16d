"""Rendering and parsing are inverse for every sentence there is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcot_llm.schema.clauses import CLAUSES, VOCABULARY, Clause, SchemaError
from hcot_llm.text.render import (
    UnknownSentenceError,
    hedge,
    is_hedged,
    parse_caption,
    parse_clause,
    render_caption,
    render_clause,
)
from hcot_llm.text.wording import VARIANTS, every_sentence

some_values = st.lists(st.sampled_from(CLAUSES), min_size=1, unique=True).flatmap(
    lambda clauses: st.fixed_dictionaries({clause: st.sampled_from(VOCABULARY[clause]) for clause in clauses})
)


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_template_parses_back(clause):
    assert VARIANTS[clause] >= 4
    for value in VOCABULARY[clause]:
        sentences = {render_clause(clause, value, variant=variant) for variant in range(VARIANTS[clause])}
        assert len(sentences) == VARIANTS[clause]
        for text in sentences:
            assert parse_clause(text) == (clause, value)
            assert parse_clause(hedge(text)) == (clause, value)
            assert is_hedged(hedge(text))
            assert not is_hedged(text)
            assert len(text.split()) <= 9
            assert text.count(".") == 1
            assert text.endswith(".")


def test_no_sentence_says_two_things():
    assert set(every_sentence().values()) == {(clause, value) for clause in CLAUSES for value in VOCABULARY[clause]}


@settings(max_examples=100, deadline=None)
@given(some_values, st.integers(0, 2**63))
def test_a_caption_is_read_back_as_its_values(values, seed):
    text = render_caption(values, seed=seed)
    assert text == render_caption(dict(reversed(values.items())), seed=seed)
    assert parse_caption(text) == values


@settings(max_examples=50, deadline=None)
@given(some_values, st.integers(0, 1000))
def test_leaving_a_clause_out_changes_nothing_else(values, seed):
    whole = parse_parts(render_caption(values, seed=seed))
    for clause in values if len(values) > 1 else ():
        rest = {c: v for c, v in values.items() if c is not clause}
        assert parse_parts(render_caption(rest, seed=seed)) == {c: t for c, t in whole.items() if c is not clause}


def parse_parts(caption):
    sentences = [f"{part}." for part in caption.rstrip(".").split(". ")]
    return {parse_clause(sentence)[0]: sentence for sentence in sentences}


def test_seeds_vary_the_wording():
    values = {clause: VOCABULARY[clause][1] for clause in CLAUSES}
    assert len({render_caption(values, seed=seed) for seed in range(20)}) == 20


def test_strange_text_is_refused():
    with pytest.raises(UnknownSentenceError, match="freetext"):
        parse_clause("A nice day at the beach.")
    with pytest.raises(SchemaError, match="twice"):
        parse_caption("The water is lake. The water is sea.")
    with pytest.raises(SchemaError):
        render_clause(Clause.WATER, "ocean", variant=0)
    with pytest.raises(SchemaError):
        render_caption({}, seed=0)
    with pytest.raises(SchemaError, match="weather"):
        render_caption({"weather": "dry"}, seed=0)
