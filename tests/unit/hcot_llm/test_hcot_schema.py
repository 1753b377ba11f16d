"""The annotation schema, the answer's JSON schema and the answer's parser."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hcot_llm.prompts.prompts import answer_text
from hcot_llm.schema.answers import answer_json_schema, parse_answer
from hcot_llm.schema.errors import AnswerError, SchemaError
from support.hcot import CLAUSES, HCOT, NO_TARGETS, VOCABULARY

annotations = st.fixed_dictionaries({clause: st.sampled_from(VOCABULARY[clause]) for clause in CLAUSES})
clause_sets = st.lists(st.sampled_from(CLAUSES), min_size=1, unique=True)


def test_every_clause_has_distinct_values():
    assert len(CLAUSES) == 16
    assert set(VOCABULARY) == set(HCOT.group) == set(HCOT.level) == set(CLAUSES)
    assert set(HCOT.group.values()) == {"landform", "function", "target", "relation"}
    assert set(HCOT.level.values()) == {1, 2, 3, 4}
    for clause in CLAUSES:
        assert len(set(VOCABULARY[clause])) == len(VOCABULARY[clause]) > 1
    assert all(NO_TARGETS[clause] in VOCABULARY[clause] for clause in NO_TARGETS)


def test_values_outside_the_vocabulary_are_refused():
    HCOT.check_value("water", "lake")
    with pytest.raises(SchemaError, match="it takes: none, channel, lake, sea"):
        HCOT.check_value("water", "ocean")
    with pytest.raises(SchemaError, match="There is no clause 'weather'"):
        HCOT.check_value("weather", "none")


@settings(max_examples=50, deadline=None)
@given(annotations, clause_sets)
def test_an_answer_is_read_back_as_its_values(values, asked):
    text = answer_text(HCOT, values, asked)
    parsed = parse_answer(HCOT, text, asked)
    assert parsed == {clause: values[clause] for clause in asked}
    assert list(parsed) == [clause for clause in CLAUSES if clause in asked]
    schema = answer_json_schema(HCOT, asked)
    assert list(json.loads(text)) == schema["required"] == list(schema["properties"])


def test_answer_text_is_what_structured_output_generates():
    xgrammar = pytest.importorskip("xgrammar")
    values = {clause: VOCABULARY[clause][-1] for clause in CLAUSES}
    schema = json.dumps(answer_json_schema(HCOT, CLAUSES))
    grammar = xgrammar.Grammar.from_json_schema(schema, any_whitespace=False)
    vocabulary = [chr(code) for code in range(128)] + ["</s>"]
    compiled = xgrammar.GrammarCompiler(xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[128])).compile_grammar(
        grammar
    )
    for text, fits in ((answer_text(HCOT, values, CLAUSES), True), (json.dumps(values, separators=(",", ":")), False)):
        matcher = xgrammar.GrammarMatcher(compiled, override_stop_tokens=[128])
        assert all(matcher.accept_token(ord(character)) for character in text) is fits


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        ("{}", "empty"),
        ('{"water": "la', "cut"),
        ('{"water": "lake"', "cut"),
        ("the water is a lake", "not_json"),
        ("[", "not_json"),
        ('{"water": lake}', "not_json"),
        ('{"water": NaN}', "not_json"),
        ('["lake"]', "wrong_type"),
        ('"lake"', "wrong_type"),
        ('{"water": 3}', "wrong_type"),
        ('{"water": null}', "wrong_type"),
        ('{"water": "lake", "water": "sea"}', "wrong_type"),
        ('{"water": "ocean"}', "out_of_vocabulary"),
        ('{"water": "lake", "road": "none"}', "out_of_vocabulary"),
        ('{"road": "none"}', "out_of_vocabulary"),
        ('{"water": "lake"} and so on', "over_long"),
        ('{"water": "' + "a" * 3000 + '"}', "over_long"),
        ("[" * 1999 + "1", "not_json"),
        ("[" * 1999, "repetition"),
        ('{"water": "' + "la" * 40, "repetition"),
        ('{"water": "lake"}' * 9, "repetition"),
        ('{"water":' + "\n" * 60, "repetition"),
        ("the water is the " * 300, "repetition"),
        ('{"water": "la' + "ke" * 9, "cut"),
    ],
)
def test_bad_answers_name_their_reason(text, reason):
    with pytest.raises(AnswerError) as caught:
        parse_answer(HCOT, text, ["water"])
    assert caught.value.reason == reason


def test_a_missing_clause_is_named():
    with pytest.raises(AnswerError, match="missing_clause: clause 'road'"):
        parse_answer(HCOT, '{"water": "lake"}', ["water", "road"])


def reason_of(text: str, clauses) -> str | None:
    """Why an answer is refused; None where it is read."""
    try:
        parse_answer(HCOT, text, clauses)
    except AnswerError as error:
        return error.reason
    return None


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_an_answer_error_or_values(text):
    assert reason_of(text, CLAUSES) in (None, *AnswerError.REASONS)


def test_a_question_needs_a_clause():
    with pytest.raises(SchemaError, match="at least one clause"):
        answer_json_schema(HCOT, [])
    with pytest.raises(SchemaError, match="no clause 'weather'"):
        answer_json_schema(HCOT, ["weather"])
