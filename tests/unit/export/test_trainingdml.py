"""TrainingDML-AI: valid by the schemas of the standard, and a changeset says what each round of the loop did."""

import json
from pathlib import Path

import jsonschema
import pytest
from referencing import Registry, Resource

from corpus.annotations import AnnotationStore
from orchestrator.data.exported import open_source

SCHEMAS = Path(__file__).parents[2] / "support" / "schemas"
OGC = json.loads((SCHEMAS / "trainingdml" / "ogc-trainingdml-1.0.json").read_text())
"""File -> schema, of OGC 23-008 in its part that a data set of earth observation needs."""


def validate(content: dict, name: str) -> None:
    from pystac.validation.local_validator import get_local_schema_cache

    found = {schema["$id"]: schema for schema in OGC.values()} | get_local_schema_cache()
    registry = Registry().with_resources(
        (url, Resource.from_contents(schema, default_specification=_draft7())) for url, schema in found.items()
    )
    jsonschema.Draft7Validator(
        OGC[name], registry=registry, format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER
    ).validate(content)


def _draft7():
    from referencing.jsonschema import DRAFT7

    return DRAFT7


@pytest.fixture(scope="module", params=["simulated", "real"])
def made(request, export):
    """(folder, content of its data set, source) of a run."""
    run_dir = request.getfixturevalue(request.param)
    folder = export(run_dir, "trainingdml")
    return folder, json.loads((folder / "dataset.json").read_text()), open_source(run_dir)


def test_the_data_set_is_valid_by_the_standards_schema(made):
    _, content, _ = made
    validate(content, "ai_eoTrainingDataset.json")


def test_a_data_set_that_lacks_what_the_standard_demands_is_seen(made):
    _, content, _ = made
    with pytest.raises(jsonschema.ValidationError):
        validate({**content, "data": [{**content["data"][0], "trainingType": "exercise"}]}, "ai_eoTrainingDataset.json")


def test_labels_say_what_the_annotations_say(made):
    folder, content, source = made
    assert content["amountOfTrainingData"] == len(content["data"]) == len(source)
    for sample, data in zip(source.samples(), content["data"], strict=True):
        scene = [label for label in data["labels"] if label["type"] == "AI_SceneLabel"]
        assert [label["class"] for label in scene] == [f"{name}: {value}" for name, value in sample.values.items()]
        assert [label["confidence"] for label in scene] == list(sample.confidence.values())
        boxes = [label for label in data["labels"] if label["type"] == "AI_ObjectLabel"]
        assert len(boxes) == len(sample.boxes(source.schema))
        assert data["numberOfLabels"] == len(data["labels"])
        assert (folder / data["dataURL"][0]).exists()
        assert data["trainingType"] == {"train": "training", "held_out": "test"}[sample.tile.split]


def test_a_changeset_for_each_round_names_every_change_of_that_round_and_no_other(made):
    folder, content, source = made
    store = AnnotationStore(source.store.path)
    assert len(content["changesets"]) == source.round
    for number, changeset in enumerate(content["changesets"], start=1):
        alone = json.loads((folder / "changesets" / f"round-{number:04d}.json").read_text())
        assert alone == changeset
        validate(alone, "ai_tdChangeset.json")
        before, after = (
            {(row["tile_id"], row["clause"]): row["value"] for row in store.read(version).to_pylist()}
            for version in (number - 1, number)
        )
        wanted = {(key, before[key], value) for key, value in after.items() if before[key] != value}
        found = {
            ((data["id"], change["clause"]), change["from"], change["to"])
            for data in changeset["modify"]
            for change in data["changes"]
        }
        assert found == wanted
        assert changeset["changeCount"] == len(changeset["modify"])
    if source.simulated:  # of the few real tiles, whose ids depend on a processor's logarithm, none may have changed
        assert any(changeset["modify"] for changeset in content["changesets"])


def test_a_round_in_the_middle_has_the_changesets_up_to_it(simulated, export):
    folder = export(simulated, "trainingdml", round_=1)
    assert [path.name for path in (folder / "changesets").iterdir()] == ["round-0001.json"]
