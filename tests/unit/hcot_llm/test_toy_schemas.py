"""Schemas from outside the package: everything that is derived from a schema works with another one."""

import json
from itertools import pairwise

import numpy as np
import pytest
import yaml

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.aggregation.consistent_states import check_cost
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.aggregation.wholly_wrong import ways_to_be_wrong
from hcot_llm.initial.annotations import check_corruption, check_geography
from hcot_llm.initial.config import CorruptionConfig
from hcot_llm.initial.corruption import corrupt
from hcot_llm.prompts.prompts import answer_text, captioner_prompt, chat_prompt
from hcot_llm.prompts.tokenizer_texts import tokenizer_texts, tokenizer_words
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.answers import answer_json_schema, parse_answer
from hcot_llm.schema.errors import SchemaError, SchemaMismatch
from hcot_llm.schema.files import check_same, check_schema, load_schema, read_schema, write_schema
from hcot_llm.text.render import render_caption
from model.tokenizer import plain_ids, train_tokenizer
from support.hcot import HCOT
from support.toy_schemas import LANDSCAPE, VEHICLES, write_schema_file


@pytest.fixture(params=[LANDSCAPE, VEHICLES], ids=lambda content: content["name"])
def schema(request, tmp_path) -> AnnotationSchema:
    return load_schema(write_schema_file(tmp_path / "my.yaml", request.param))


def drawn(schema: AnnotationSchema, tiles: int, seed: int = 0) -> dict[str, dict[str, str]]:
    generator = np.random.default_rng(seed)
    return {
        f"t{tile:03d}": {clause: str(generator.choice(values)) for clause, values in schema.vocabulary.items()}
        for tile in range(tiles)
    }


def test_every_sentence_says_one_thing(schema):
    assert set(schema.sentences.values()) == {(c, v) for c, values in schema.vocabulary.items() for v in values}
    for values in drawn(schema, 20).values():
        assert render_caption(schema, values, seed=0).count(".") == len(schema)


def test_an_answer_is_held_to_the_vocabulary(schema):
    for values in drawn(schema, 20).values():
        text = answer_text(schema, values, schema.names)
        assert parse_answer(schema, text, schema.names) == values
    enums = [each["enum"] for each in answer_json_schema(schema, schema.names)["properties"].values()]
    assert enums == [list(values) for values in schema.vocabulary.values()]


def test_prompts_ask_for_its_clauses_and_no_others(schema):
    prompt = captioner_prompt(schema, {}, schema.names, "land urban", {})
    assert prompt == f"place land urban ask {' '.join(schema.names)}"
    chat = chat_prompt(schema, 1)
    assert schema.levels[0].instruction in chat
    assert all(f'"{clause}"' in chat for clause in schema.names)
    with pytest.raises(SchemaError, match="no clause"):
        chat_prompt(schema, 4)


def test_the_tokenizer_tells_values_by_their_first_token(schema):
    tokenizer = train_tokenizer(tokenizer_texts(schema), 1024, tokenizer_words(schema))
    for clause, values in schema.vocabulary.items():
        prefix = plain_ids(tokenizer, f'{{"{clause}": "')
        firsts = set()
        for value in values:
            ids = plain_ids(tokenizer, answer_text(schema, {clause: value}, [clause]))
            assert ids[: len(prefix)] == prefix
            firsts.add(ids[len(prefix)])
        assert len(firsts) == len(values)


def test_weighing_repairs_annotations_of_its_clauses(schema):
    generator = np.random.default_rng(1)
    sizes = np.asarray([len(values) for values in schema.vocabulary.values()])
    tiles = 300
    if schema.name == "landscape":  # consistent with its rule
        truth = np.stack([np.full(tiles, 3), generator.integers(1, 4, tiles)], axis=1)
        truth[::2, 0] = generator.integers(0, 3, len(truth[::2]))
    else:
        truth = generator.integers(0, sizes, size=(tiles, len(schema)))
    wrong = (truth + generator.integers(1, sizes, size=truth.shape)) % sizes
    annotated = np.where(generator.random(truth.shape) < 0.2, wrong, truth)
    initial = AnnotationMatrix(
        schema,
        tuple(f"t{tile:03d}" for tile in range(tiles)),
        annotated,
        np.full(truth.shape, 0.8, np.float32),
        np.full(truth.shape, "seed", object),
    )
    model = {
        clause: np.where(np.eye(size)[truth[:, column]] > 0, 0.8, 0.2 / (size - 1))
        for column, (clause, size) in enumerate(zip(schema.names, sizes, strict=True))
    }
    weighing = weigh([model], initial, np.arange(tiles) % 4 == 0, AcceptanceConfig())
    best = np.stack([weighing.posterior[clause].argmax(axis=1) for clause in schema.names], axis=1)
    assert (best == truth).mean() > (annotated == truth).mean() + 0.1
    assert ways_to_be_wrong(schema) == ("tile",)
    assert weighing.wholly_wrong.shape == (tiles, 1)


def test_a_rule_of_a_schema_names_its_clauses_and_values():
    landscape = AnnotationSchema.model_validate(LANDSCAPE)
    [found] = contradictions(landscape, {"terrain": "coast", "water": "none"})
    assert (found.rule, found.clauses) == ("coast_has_water", ("terrain", "water"))
    assert found.message == "A coast has water."
    assert contradictions(landscape, {"terrain": "plain", "water": "none"}) == []


def test_simulated_errors_are_as_frequent_as_the_schema_says():
    landscape = AnnotationSchema.model_validate(LANDSCAPE)
    truth = drawn(landscape, 1000)
    table = corrupt(landscape, truth, CorruptionConfig(), seed=0)
    right = [row["value"] == truth[row["tile_id"]][row["clause"]] for row in table.to_pylist()]
    assert np.mean(right) == pytest.approx(0.85, abs=0.02)
    assert len(matrix_from_table(landscape, table)) == 1000


def test_clauses_that_nobody_can_annotate_are_refused_by_name():
    vehicles = AnnotationSchema.model_validate(VEHICLES)
    with pytest.raises(SchemaError, match="no fact for 'vehicle'"):
        check_corruption(vehicles, {"water": ("none",)})
    with pytest.raises(SchemaError, match="no geography for 'vehicle'"):
        check_geography(vehicles)


def test_another_schema_is_refused_by_both_names(schema, tmp_path):
    write_schema(tmp_path, schema)
    assert read_schema(tmp_path) == schema
    with pytest.raises(
        SchemaMismatch, match=f"Weights are of .*'{schema.name}'.*, this run is of 'hcot' .* Take others."
    ):
        check_same("Weights", read_schema(tmp_path), HCOT, "Take others.")
    (tmp_path / "schema.json").unlink()
    with pytest.raises(SchemaMismatch, match="has no schema.json"):
        read_schema(tmp_path)


def changed(**changes) -> dict:
    content = json.loads(json.dumps(LANDSCAPE))
    content["clauses"][0] |= changes
    return content


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(values=["plain", "plain"]), "clause terrain: values: 'plain' stands there 2 times"),
        (changed(values=["open_land", "open_water"], phrases={}), "begin with the same word 'open'"),
        (changed(templates=["The terrain."]), "needs {v} once"),
        (changed(level=2), "level 2 is not among"),
        (changed(level=7), "'terrain'.level: Input should be less than or equal to 4"),
        (changed(confusions={"plain": {"jungle": 1}}), "name 'jungle', which is none of"),
        (changed(templates=["There is water: {v}."], values=["sea", "ice"], phrases={}), "says both"),
        (changed(group="training_targets"), "clause terrain: another metric than its group's is called"),
        (changed(name="tile_id"), "clause tile_id: tables have a column of that name"),
        (changed(templates=None), "clauses.'terrain'.templates: it has to be a list, not a null"),
        (changed(values=[1, True], phrases={}), "clauses.'terrain'.values.1: 1 is read as a number; put it in quotes"),
        (changed(values=[1, True], phrases={}), "values.2: true is read as a truth value; put it in quotes"),
        (changed(colour="red"), "clauses.'terrain'.colour: no such key"),
        (
            {**LANDSCAPE, "rules": [{"name": "r", "cases": [{"all_of": {"sky": ["x"]}, "message": "m"}]}]},
            "no clause 'sky'",
        ),
        (
            {
                **LANDSCAPE,
                "rules": [{"name": "r", "cases": [{"all_of": {"terrain": ["x"], "water": ["sea"]}, "message": "m"}]}],
            },
            "rule r: 'x' is no value of clause 'terrain'",
        ),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_words(content, said, tmp_path):
    problems, found = check_schema(write_schema_file(tmp_path / "my.yaml", content))
    assert found is None
    assert any(said in problem for problem in problems), problems


def edited(**changes) -> str:
    return yaml.safe_dump({**LANDSCAPE, **changes}, sort_keys=False)


BROKEN = {
    "a value twice": (
        yaml.safe_dump(changed(values=["plain", "hills", "plain"], phrases={})),
        "clause terrain: values: 'plain' stands there 2 times.",
    ),
    "an unknown key": (
        yaml.safe_dump(changed(colour="red")),
        "clauses.'terrain'.colour: no such key; configs/schema/hcot.yaml shows those that there are.",
    ),
    "no values": (
        yaml.safe_dump(changed(values=[], phrases={})),
        "clause terrain: it has 0 values; a clause takes 2 to 50.",
    ),
    "two values that begin alike": (
        yaml.safe_dump(changed(values=["open_land", "open_water"])),
        "clause terrain: values open_land and open_water begin with the same word 'open'; the first token of an answer "
        "has to tell the value, so rename one.",
    ),
    "a rule of an unknown clause": (
        edited(rules=[{"name": "r", "cases": [{"all_of": {"sky": ["x"], "water": ["sea"]}, "message": "No."}]}]),
        "rule r: there is no clause 'sky'.",
    ),
    "no wording": (
        yaml.safe_dump(changed()).replace("  templates:", "  phrase:", 1),
        "clauses.'terrain'.templates: it is missing.",
    ),
    "two clauses of one name": (
        edited(clauses=[LANDSCAPE["clauses"][1]] * 2),
        "clauses: 'water' stands there 2 times.",
    ),
    "no YAML": (
        "name: x\nlevels: [a, b\nclauses: []\n",
        "it is not YAML: line 3, column 8: expected ',' or ']', but got ':' (while parsing a flow sequence that begins "
        "in line 2).",
    ),
    "a list": ("- a\n- b\n", "it holds a list, but a schema has the keys name, levels, clauses, blocks, rules."),
    "an empty file": ("", "it is empty, but a schema has the keys name, levels, clauses, blocks, rules."),
}


@pytest.mark.parametrize("broken", BROKEN)
def test_a_broken_file_is_refused_in_sentences_with_status_1(broken, tmp_path, call):
    text, said = BROKEN[broken]
    path = tmp_path / "my.yaml"
    path.write_text(text)
    status, out, error = call("schema", "check", path)
    assert (status, error) == (1, "")
    first, *problems = out.splitlines()
    assert first == f"{path} cannot be used, {len(problems)} problem(s):"
    assert f"  {said}" in problems


def test_a_file_that_is_not_there_or_is_no_text_is_refused_with_status_1(tmp_path, call):
    status, out, error = call("schema", "check", tmp_path / "none.yaml")
    assert (status, error) == (1, "")
    assert "it cannot be read: No such file or directory." in out
    (tmp_path / "none.yaml").write_bytes(b"\xff\xfe\x00")
    status, out, error = call("schema", "check", tmp_path / "none.yaml")
    assert (status, error) == (1, "")
    assert "it is no text in UTF-8: invalid start byte at byte 0. Save it as UTF-8." in out


def test_a_schema_that_can_be_used_is_shown_with_what_it_can_be_used_for(tmp_path, call):
    status, out, error = call("schema", "check", write_schema_file(tmp_path / "my.yaml", LANDSCAPE))
    assert (status, error) == (0, "")
    assert "2 clauses with 9 values" in out
    assert "Simulated scenes can be annotated at first without a table." in out
    assert "Real tiles need a table:" in out


def test_rules_that_tie_too_much_together_are_refused():
    names = [f"clause_{letter}" for letter in "abcdef"]
    clauses = [
        {
            "name": name,
            "level": 1,
            "group": "all",
            "values": [f"{letter}{name[-1]}" for letter in "abcdefghijkl"],
            "templates": [f"The {name} is {{v}}."],
        }
        for name in names
    ]
    cases = [
        {"all_of": {one: [f"a{one[-1]}"], other: [f"b{other[-1]}"]}, "message": "No."} for one, other in pairwise(names)
    ]
    tied = AnnotationSchema.model_validate(
        {"name": "tied", "levels": LANDSCAPE["levels"], "clauses": clauses, "rules": [{"name": "r", "cases": cases}]}
    )
    with pytest.raises(SchemaError, match="2,985,984 ways"):
        check_cost(tied)
