"""YAML as configurations use it: the values of YAML 1.2, no key twice, and text that comes back as text."""

from __future__ import annotations

import math

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from corpus.storage.yaml import SAFE_DEPTH, dump_yaml, load_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1:30", "1:30"),
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("true", True),
        ("FALSE", False),
        ("1e5", 1e5),
        ("1e-4", 1e-4),
        (".5", 0.5),
        ("-.inf", -math.inf),
        ("1_000", "1_000"),
        ("2026-01-31", "2026-01-31"),
        ("2026-13-45", "2026-13-45"),
        ("~", None),
        ("null", None),
        ("", None),
        ("12.", 12.0),
        ("+7", 7),
        ("0b11", "0b11"),
    ],
)
def test_values_are_those_of_yaml_1_2(text, value):
    found = load_yaml(f"key: {text}")["key"]
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize("text", ["a: 1\na: 2", "a: 1\nb: 2\n'a': 3", "{a: 1, a: 1}", "x:\n  - a: 1\n    a: 2"])
def test_a_key_that_stands_twice_is_refused_with_its_lines(text):
    with pytest.raises(yaml.YAMLError, match="the key 'a' stands twice, in line"):
        load_yaml(text)


def test_a_merged_mapping_may_be_overridden():
    assert load_yaml("base: &base {a: 1, b: 2}\nmine:\n  <<: *base\n  a: 3")["mine"] == {"a": 3, "b": 2}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text()
        | st.from_regex(r"\A[0-9.eE_:xo+-]{1,8}\Z"),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=12,
    )
)
def test_what_is_written_is_read_back_as_it_was(content):
    assert load_yaml(dump_yaml(content)) == content


@pytest.mark.parametrize("text", ["yes", "1e5", "0o17", "1:30", "010", "2026-01-31", "null", "1_000", "=", "<<"])
def test_text_stays_text_for_readers_of_both_versions(text):
    written = dump_yaml({"key": text})
    assert load_yaml(written) == yaml.safe_load(written) == {"key": text}


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}"), ("- ", ""), ("? ", ""), ("]\n[", "]")])
@pytest.mark.parametrize("levels", [SAFE_DEPTH // 2 + 1, 100_000])
def test_a_document_of_many_levels_is_refused_and_ends_no_process(opening, closing, levels):
    with pytest.raises(yaml.YAMLError):
        load_yaml(opening * levels + "x" + closing * levels + " ]")


def test_a_document_indented_by_many_levels_is_refused_and_ends_no_process():
    text = "".join(f"{' ' * level}a:\n" for level in range(3_000))
    with pytest.raises(yaml.YAMLError, match="nested too deeply"):
        load_yaml(text)


def test_an_error_of_syntax_shows_the_line():
    with pytest.raises(yaml.YAMLError, match=r"line 2, column 4:\n +b: \[1, 2"):
        load_yaml("a: 1\nb: [1, 2\nc: 3")
