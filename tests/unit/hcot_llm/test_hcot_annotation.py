"""Whole annotations: boxes and relations in the schema, in language and back, as JSON and back."""

import json

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hcot_llm.instances import wording as instance_wording
from hcot_llm.instances.annotation_text import parse_annotation, render_annotation
from hcot_llm.instances.full_answer import (
    LONGEST_FULL_ANSWER,
    full_answer_json_schema,
    full_answer_text,
    parse_full_answer,
)
from hcot_llm.instances.wording import box_sentences, read_sentence, relation_sentence
from hcot_llm.schema.clauses import ABSENT, CLAUSES, VOCABULARY, Annotation, AnswerError, Clause, SchemaError
from hcot_llm.schema.instances import (
    ALL_TARGETS,
    CONTAINMENT,
    DIRECTIONS,
    MOST_BOXES,
    NEIGHBOURHOOD,
    PREDICATES,
    REGIONS,
    TARGET_REGIONS,
    Box,
    Relation,
)
from hcot_llm.text.render import UnknownSentenceError, render_caption
from hcot_llm.text.wording import every_sentence
from support.annotation_strategies import annotations

SHAPE = (64, 128)
SHIP = Box(category="ship", row_start=3, row_stop=10, col_start=100, col_stop=128)
PLANE = Box(category="aircraft", row_start=20, row_stop=21, col_start=0, col_stop=5, length_m=37.5, heading_deg=0.0)
WHOLE = Annotation(
    values={"target_count": "2", "water": "lake"},
    boxes=(SHIP, PLANE),
    tile_shape=SHAPE,
    hedged=("water",),
    relations=(
        Relation(subject=0, predicate="northeast_of", object=1),
        Relation(subject=1, predicate="on", object="apron"),
        Relation(subject="targets", predicate="near", object="buildings"),
    ),
)


def relation(subject=0, predicate="beside", to=1) -> dict:
    return {"subject": subject, "predicate": predicate, "object": to}


def box(**changes) -> dict:
    return SHIP.model_dump(exclude_none=True) | changes


# The schema


def test_vocabularies_are_closed_and_agree_with_the_clauses():
    assert VOCABULARY[Clause.TARGET_REGION] == (ABSENT, *TARGET_REGIONS)
    assert set(TARGET_REGIONS) < set(REGIONS)
    assert sorted(region for regions in CONTAINMENT.values() for region in regions) == sorted(TARGET_REGIONS)
    assert len(set(PREDICATES)) == len(PREDICATES) == 12 == len(CONTAINMENT) + len(NEIGHBOURHOOD) + len(DIRECTIONS)


def test_a_box_is_half_open():
    assert SHIP.sides == (7, 28)
    assert SHIP.centre == (6.0, 113.5)
    assert Annotation(boxes=(SHIP,), tile_shape=(10, 128)).boxes == (SHIP,), "the last row is 9"


def test_gaps_between_boxes_are_what_lies_between_them():
    touching = Box(category="ship", row_start=10, row_stop=12, col_start=100, col_stop=101)
    assert SHIP.gap_to(touching) == touching.gap_to(SHIP) == SHIP.gap_to(SHIP) == 0
    assert SHIP.gap_to(Box(category="ship", row_start=13, row_stop=14, col_start=95, col_stop=96)) == 5.0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"row_stop": 3}, r"row_stop \(3\) must be larger than row_start \(3\)"),
        ({"col_stop": 99}, "col_stop"),
        ({"row_start": -1}, "greater than or equal to 0"),
        ({"row_start": 3.5}, "valid integer"),
        ({"row_start": True}, "valid integer"),
        ({"row_start": "3"}, "valid integer"),
        ({"category": "car"}, "'ship' or 'aircraft'"),
        ({"length_m": 0.0}, "greater than 0"),
        ({"length_m": float("nan")}, "finite"),
        ({"heading_deg": 360.0}, "less than 360"),
        ({"colour": "red"}, "not permitted"),
    ],
)
def test_boxes_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Box(**box(**changes))


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (relation(predicate="in", to="apron"), "'in' goes with sea, harbour, channel, lake"),
        (relation(predicate="on", to="sea"), "'on' goes with apron, runway"),
        (relation(predicate="in", to=1), "goes with"),
        (relation(to=0), "related to itself"),
        (relation("targets", to=1), "cannot be related to one of them"),
        (relation(subject=-1, to="sea"), "-1 is none"),
        (relation(predicate="above"), "Input should be 'in'"),
        (relation(to="forest"), "'sea', 'harbour'"),
        (relation(subject=True, to="sea"), "valid integer"),
    ],
)
def test_relations_that_cannot_be_are_refused(parts, message):
    with pytest.raises(ValidationError, match=message):
        Relation(**parts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_shape": None}, "boxes need tile_shape"),
        ({"tile_shape": (64, 127)}, r"boxes\[0\] ends at row 10 and column 128"),
        ({"tile_shape": (9, 128)}, r"boxes\[0\]"),
        ({"tile_shape": (0, 128)}, "greater than 0"),
        ({"values": {"target_count": "1"}}, "target_count is 1, but there are 2 boxes"),
        ({"values": {"target_count": "0"}}, "target_count is 0"),
        ({"boxes": (SHIP,)}, r"relations\[0\] names target 1"),
        ({"relations": WHOLE.relations[:1] * 2}, "stated twice"),
        ({"boxes": (SHIP,) * (MOST_BOXES + 1)}, "at most 100"),
        ({"hedged": ("road",)}, "'road' is hedged, but has neither"),
    ],
)
def test_annotations_that_cannot_be_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        Annotation(**(dict(WHOLE) | changes))


def test_nine_means_nine_or_more_and_boxes_may_be_missing():
    for count in (9, 12):
        assert Annotation(values={"target_count": "9"}, boxes=(SHIP,) * count, tile_shape=SHAPE)
    assert Annotation(values={"target_count": "3"}).boxes == ()


@settings(max_examples=50)
@given(annotations())
def test_an_annotation_survives_its_own_json(annotation):
    assert Annotation.model_validate_json(annotation.model_dump_json()) == annotation


# Language


@settings(max_examples=200)
@given(annotations(), st.integers(0, 2**63))
def test_an_annotation_is_read_back_from_its_sentences(annotation, seed):
    text = render_annotation(annotation, seed=seed)
    assert parse_annotation(text) == annotation
    assert text == render_annotation(annotation, seed=seed)


def test_every_template_is_used_and_read_back():
    texts = [render_annotation(WHOLE, seed=seed) for seed in range(200)]
    assert all(parse_annotation(text) == WHOLE for text in texts)
    sentences = {sentence for variant in range(100) for sentence in box_sentences(1, PLANE, variant)}
    assert len(sentences) == 5 + 4 + 4
    assert all(len(getattr(instance_wording, name)) >= 4 for name in ("SHAPE", "BOX", "LENGTH", "HEADING", "RELATION"))
    assert len(set(texts)) > 150


def test_no_sentence_is_both_a_clause_and_a_relation():
    assert not [text for text in every_sentence() if read_sentence(text) is not None]
    said = {}
    for predicate in PREDICATES:
        for thing in (*(CONTAINMENT.get(predicate) or REGIONS), *([] if predicate in CONTAINMENT else [1])):
            for subject in (0, ALL_TARGETS) if thing != 1 else (0,):
                parts = Relation(subject=subject, predicate=predicate, object=thing)
                for variant in range(5):
                    assert said.setdefault(relation_sentence(parts, variant), parts) == parts
    assert not set(said) & set(every_sentence())


def test_boxes_only_add_to_the_caption():
    assert render_annotation(Annotation(values=WHOLE.values), seed=5) == render_caption(WHOLE.values, seed=5)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("Target 1 is a car at rows 1 to 2 and columns 1 to 2.", UnknownSentenceError, "No template wrote"),
        ("Target 1 is 30.0 m long.", SchemaError, "Target 1 has not been placed"),
        ("Target 2 is a ship at rows 1 to 2 and columns 1 to 2.", SchemaError, "Target 1 is the next"),
        ("Target 1 is a ship at rows 1 to 2 and columns 1 to 2.", SchemaError, "boxes need tile_shape"),
        ("The tile has 9 rows and 9 columns. The tile has 9 rows and 9 columns.", SchemaError, "twice"),
        (
            "The tile has 2 rows and 9 columns. Target 1 is a ship at rows 1 to 2 and columns 1 to 2.",
            SchemaError,
            "outside",
        ),
        (
            "The tile has 9 rows and 9 columns. Target 1 is a ship at rows 1 to 2 and columns 1 to 2. "
            "Target 1 is 3.0 m long. Target 1 is 4.0 m long.",
            SchemaError,
            "said twice",
        ),
        (
            "The tile has 9 rows and 9 columns. Target 1 is a ship at rows 1 to 2 and columns 1 to 2. "
            "Target 1 is 3.0.0 m long.",
            UnknownSentenceError,
            "is no number",
        ),
        ("The water is lake. There is no water.", SchemaError, "'water' twice"),
        ("All targets are in the apron.", SchemaError, "goes with"),
        ("", UnknownSentenceError, "No template wrote"),
    ],
)
def test_texts_that_cannot_be_read_are_named(text, error, message):
    with pytest.raises(error, match=message):
        parse_annotation(text)


def test_an_annotation_that_says_nothing_cannot_be_rendered():
    with pytest.raises(SchemaError, match="no value, box or relation"):
        render_annotation(Annotation(text={"water": "Perhaps a pond"}), seed=0)


# JSON


def stated(annotation: Annotation) -> Annotation:
    """What an answer can hold of it: a tile of known size, no hedges, a count that is that of the boxes."""
    count = {} if annotation.boxes or Clause.TARGET_COUNT not in annotation.values else {Clause.TARGET_COUNT: "0"}
    return annotation.model_copy(
        update={"hedged": (), "tile_shape": annotation.tile_shape or SHAPE, "values": annotation.values | count}
    )


@settings(max_examples=100)
@given(annotations())
def test_an_answer_is_read_back_from_its_json(annotation):
    annotation = stated(annotation)
    asked = list(annotation.values) or [Clause.WATER]
    annotation = annotation if annotation.values else annotation.model_copy(update={"values": {Clause.WATER: "lake"}})
    text = full_answer_text(annotation, asked)
    assert parse_full_answer(text, asked, annotation.tile_shape) == annotation
    schema = full_answer_json_schema(asked, annotation.tile_shape)
    jsonschema.validate(json.loads(text), schema)
    assert list(json.loads(text)) == schema["required"]
    assert len(text) < LONGEST_FULL_ANSWER


def answer(**changes) -> str:
    content = {
        "water": "lake",
        "target_count": "1",
        "boxes": [box()],
        "relations": [relation(predicate="in", to="lake")],
    }
    return json.dumps({key: value for key, value in (content | changes).items() if value is not ...})


@pytest.mark.parametrize(
    ("text", "reason", "message"),
    [
        ("", "empty", "no text"),
        ("[]", "wrong_type", "JSON object"),
        (answer()[:-5], "cut", "unfinished"),
        (answer(boxes=...), "missing_clause", "'boxes' was asked"),
        (answer(relations=...), "missing_clause", "'relations'"),
        (answer(water=...), "missing_clause", "'water'"),
        (answer(road="grid"), "out_of_vocabulary", "not asked: road"),
        (answer(boxes={}), "wrong_type", "'boxes' is a dict"),
        (answer(boxes=[3]), "wrong_type", r"boxes\[0\] is a int"),
        (answer(boxes=[box(row_start="3")]), "wrong_type", r"boxes\[0\]: row_start"),
        (answer(boxes=[{"category": "ship"}]), "missing_clause", r"boxes\[0\]: row_start: Field required"),
        (answer(boxes=[box(category="car")]), "out_of_vocabulary", r"boxes\[0\]: category"),
        (answer(boxes=[box(colour="red")]), "out_of_vocabulary", "colour"),
        (answer(boxes=[box(row_stop=1)]), "inconsistent", "must be larger"),
        (answer(boxes=[box(row_stop=65)]), "inconsistent", r"boxes\[0\] ends at row 65"),
        (answer(boxes=[box(length_m=1e999)]), "not_json", "Infinity"),
        (answer(boxes=[box(length_m=2000)]), "inconsistent", "less than or equal to 1000"),
        (answer(target_count="2"), "inconsistent", "target_count is 2, but there are 1 boxes"),
        (answer(boxes=[]), "inconsistent", "target_count is 1, but there are 0 boxes"),
        (answer(relations=[relation()]), "inconsistent", r"relations\[0\] names target 1"),
        (answer(relations=[relation(predicate="above")]), "out_of_vocabulary", r"relations\[0\]: predicate"),
        (answer(relations=[relation(predicate="in", to="apron")]), "inconsistent", "goes with"),
        (answer(relations=[relation(to=1.5)]), "out_of_vocabulary", "object"),
        ('{"water": ' + "1" * 5000 + "}", "not_json", "too many digits"),
        ('{"water": "' + "".join(map(str, range(12_000))) + '"}', "over_long", "at most 40000"),
        ('{"water": "lake", "boxes": [{"row_start": 1, "row_start": 2}]}', "wrong_type", "given twice"),
    ],
)
def test_bad_answers_name_reason_and_place(text, reason, message):
    with pytest.raises(AnswerError, match=message) as caught:
        parse_full_answer(text, [Clause.WATER, Clause.TARGET_COUNT], SHAPE)
    assert caught.value.reason == reason


def test_an_answer_needs_every_clause_and_the_right_count():
    with pytest.raises(SchemaError, match="no value of clause 'road'"):
        full_answer_text(WHOLE, [Clause.ROAD])
    with pytest.raises(SchemaError, match="0 boxes"):
        full_answer_text(Annotation(values={"target_count": "3"}), [Clause.TARGET_COUNT])


def test_the_json_schema_refuses_what_it_can():
    schema = full_answer_json_schema([Clause.WATER, Clause.TARGET_COUNT], SHAPE)
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(answer()), schema)
    for wrong in (
        answer(boxes=[box(row_stop=65)]),
        answer(boxes=[box(category="car")]),
        answer(boxes=[box(length_m=None)]),
        answer(relations=[relation(predicate="above")]),
        answer(relations=...),
        answer(water="ocean"),
        answer(relations=[relation(subject=-1)]),
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(wrong), schema)


def test_structured_output_can_follow_the_json_schema():
    """The grammar engine that vLLM uses compiles it, and lets a right answer through."""
    xgrammar = pytest.importorskip("xgrammar")
    schema = json.dumps(full_answer_json_schema(CLAUSES, SHAPE))
    grammar = xgrammar.Grammar.from_json_schema(schema, any_whitespace=False)
    vocabulary = [chr(code) for code in range(128)] + ["</s>"]
    tokens = xgrammar.TokenizerInfo(vocabulary, stop_token_ids=[128])
    compiled = xgrammar.GrammarCompiler(tokens).compile_grammar(grammar)
    values = {clause: VOCABULARY[clause][-1] for clause in CLAUSES} | {Clause.TARGET_COUNT: "2"}
    text = full_answer_text(WHOLE.model_copy(update={"values": values}), CLAUSES)
    matcher = xgrammar.GrammarMatcher(compiled, override_stop_tokens=[128])
    assert [index for index, character in enumerate(text) if not matcher.accept_token(ord(character))] == []
