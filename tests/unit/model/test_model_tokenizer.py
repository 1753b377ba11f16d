"""The tokenizer: deterministic, lossless, and readable at the first token of a slot's value."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.tokenizer import encode_texts, plain_ids, train_tokenizer
from support.hcot import CLAUSES, VOCABULARY

WORDS = sorted({value for clause in CLAUSES for value in VOCABULARY[clause]} | {str(clause) for clause in CLAUSES})
TEXTS = [f"The {clause} of this area is {value}, seen at 10 m." for clause in CLAUSES for value in VOCABULARY[clause]]
TOKENIZER = train_tokenizer(TEXTS, 1024, WORDS)


def test_training_is_deterministic_in_any_order():
    again = train_tokenizer(reversed(TEXTS), 1024, list(reversed(WORDS)))
    assert again.backend_tokenizer.to_str() == TOKENIZER.backend_tokenizer.to_str()


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60))
def test_any_text_survives(text):
    assert TOKENIZER.decode(plain_ids(TOKENIZER, text), skip_special_tokens=False) == text


@pytest.mark.parametrize("clause", CLAUSES)
def test_first_token_tells_the_value(clause):
    for context in (f'{{"{clause}": "', f'{{"terrain": "plain", "{clause}": "', '{"clause": "'):
        prefix, first = plain_ids(TOKENIZER, context), set()
        for value in VOCABULARY[clause]:
            whole = plain_ids(TOKENIZER, f'{context}{value}"')
            assert whole[: len(prefix)] == prefix
            assert len(whole) == len(prefix) + 2  # the value is one token, then the quote
            first.add(whole[len(prefix)])
        assert len(first) == len(VOCABULARY[clause])


def test_prefix_is_stable_for_an_unknown_value():
    context = '{"terrain": "'
    for value in ("x", "northern_plain", "_", "3rd"):
        assert plain_ids(TOKENIZER, f'{context}{value}"')[: len(plain_ids(TOKENIZER, context))] == plain_ids(
            TOKENIZER, context
        )


def test_a_whole_answer_is_short():
    answer = json.dumps({str(clause): VOCABULARY[clause][0] for clause in CLAUSES})
    assert len(plain_ids(TOKENIZER, answer)) == 4 * len(CLAUSES) + 1


def test_too_small_a_vocabulary_is_named():
    with pytest.raises(ValueError, match="Raise vocab_size"):
        train_tokenizer(TEXTS, 270, WORDS)


def test_encode_texts_pads_and_cuts():
    ids, mask = encode_texts(TOKENIZER, ["plain", "plain hills coast sea lake"], 4)
    assert ids.shape == mask.shape == (2, 4)
    assert mask.tolist() == [[True, True, True, False], [True] * 4]
    assert ids[0, 0] == TOKENIZER.cls_token_id
    assert ids[1, -1] == TOKENIZER.sep_token_id
