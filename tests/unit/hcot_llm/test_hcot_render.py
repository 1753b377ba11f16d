"""Every sentence of the default schema says one thing, and a caption is made of them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.render import HEDGE, hedge, render_caption, render_clause
from support.hcot import CLAUSES, HCOT, VOCABULARY

some_values = st.lists(st.sampled_from(CLAUSES), min_size=1, unique=True).flatmap(
    lambda clauses: st.fixed_dictionaries({clause: st.sampled_from(VOCABULARY[clause]) for clause in clauses})
)


def said(caption):
    """Clause -> its sentence in a caption."""
    sentences = [f"{part}." for part in caption.rstrip(".").split(". ")]
    return {HCOT.sentences[sentence][0]: sentence for sentence in sentences}


@pytest.mark.parametrize("clause", CLAUSES)
def test_every_template_says_its_value_and_no_other(clause):
    variants = len(HCOT.clause(clause).templates)
    assert variants >= 4
    for value in VOCABULARY[clause]:
        sentences = {render_clause(HCOT, clause, value, variant=variant) for variant in range(variants)}
        assert len(sentences) == variants
        for text in sentences:
            assert HCOT.sentences[text] == (clause, value)
            assert hedge(text) == hedge(hedge(text)) == HEDGE + text
            assert len(text.split()) <= 9
            assert text.count(".") == 1
            assert text.endswith(".")


@settings(max_examples=100, deadline=None)
@given(some_values, st.integers(0, 2**63))
def test_a_caption_says_all_its_values_in_schema_order(values, seed):
    text = render_caption(HCOT, values, seed=seed)
    assert text == render_caption(HCOT, dict(reversed(values.items())), seed=seed)
    found = {clause: HCOT.sentences[sentence][1] for clause, sentence in said(text).items()}
    assert list(found.items()) == list(HCOT.in_order(values).items())


@settings(max_examples=50, deadline=None)
@given(some_values, st.integers(0, 1000))
def test_leaving_a_clause_out_changes_nothing_else(values, seed):
    whole = said(render_caption(HCOT, values, seed=seed))
    for clause in values if len(values) > 1 else ():
        rest = {c: v for c, v in values.items() if c != clause}
        assert said(render_caption(HCOT, rest, seed=seed)) == {c: t for c, t in whole.items() if c != clause}


def test_seeds_vary_the_wording():
    values = {clause: VOCABULARY[clause][1] for clause in CLAUSES}
    assert len({render_caption(HCOT, values, seed=seed) for seed in range(20)}) == 20


def test_strange_values_are_refused():
    with pytest.raises(SchemaError):
        render_clause(HCOT, "water", "ocean", variant=0)
    with pytest.raises(SchemaError):
        render_caption(HCOT, {}, seed=0)
    with pytest.raises(SchemaError, match="weather"):
        render_caption(HCOT, {"weather": "dry"}, seed=0)
