"""Annotations against a reference made by hand: read, found again among the tiles, scored."""

import csv
import io
import json
from pathlib import Path

import pyarrow as pa
import pytest
from rich.console import Console

from actors.weights import create_weights
from benchmark.reference import (
    FIELDS,
    ReferenceFileError,
    ReferenceWindow,
    agreement,
    most_frequent,
    read_reference,
    score,
)
from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.annotations import AnnotationStore
from orchestrator.config.load import load_config
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.data.prepare import prepare_corpus
from orchestrator.report.reference import compare_with_reference
from orchestrator.report.reference_table import print_reference_report
from orchestrator.state.run_directory import RunDirectory
from support.geotiffs import speckled_dn, write_geotiff
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.paths import SHARED
from support.training_job import toy_model

LOS_ANGELES = SHARED / "sar" / "sentinel1_los_angeles"
BY_NAME = {field.clause: field for field in FIELDS}
ROW = {
    "file": "a.tif",
    "row_off": 0,
    "col_off": 0,
    "size": 64,
    "terrain": "plain",
    "function": "residential",
    "building": "dense",
    "road": "grid",
    "water": "none",
    "layout": "regular",
    "boundary": "sharp",
    "ships": 0,
    "confidence": "high",
    "note": "seen",
}


def write_csv(path: Path, *changes: dict) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ROW)
        writer.writeheader()
        writer.writerows({**ROW, **change} for change in changes)
    return path


def windows(**columns) -> list[ReferenceWindow]:
    count = len(next(iter(columns.values())))
    return [
        ReferenceWindow.model_validate(
            {**ROW, "row_off": row, **{name: values[row] for name, values in columns.items()}}
        )
        for row in range(count)
    ]


def test_scores_of_a_hand_made_case_are_those_counted_by_hand():
    found = score(BY_NAME["water"], ["sea", "sea", "none", "none"], windows(water=["sea", "none", "none", "none"]))
    assert (found.windows, found.accuracy) == (4, 0.75)
    assert found.balanced_accuracy == pytest.approx((1 + 2 / 3) / 2)
    assert found.kappa == pytest.approx((0.75 - 0.5) / (1 - 0.5))


def test_medium_and_dense_building_count_as_one():
    assert score(BY_NAME["building"], ["medium", "sparse"], windows(building=["dense", "medium"])).accuracy == 0.5


def test_more_ships_than_an_annotation_can_state_count_as_its_largest():
    assert score(BY_NAME["target_count"], ["9", "3"], windows(ships=[30, 4])).accuracy == 0.5


def test_agreement_is_over_the_windows_read_twice():
    first = windows(road=["grid", "none", "grid"])
    second = windows(road=["grid", "grid"])
    found = agreement(BY_NAME["road"], first, second)
    assert (found.windows, found.accuracy) == (2, 0.5)
    assert agreement(BY_NAME["road"], first, []) is None


def test_the_most_frequent_value_is_found_and_ties_are_always_settled_alike():
    assert most_frequent(BY_NAME["road"], windows(road=["none", "grid", "grid"])) == "grid"
    assert most_frequent(BY_NAME["road"], windows(road=["none", "grid"])) == "grid"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([{"terrain": "swamp"}], "line 2: 'swamp' is no value of terrain; it takes: plain"),
        ([{}, {"row_off": -1}], "line 3: row_off"),
        ([{"ships": "many"}], "line 2: ships"),
        ([{"file": "../a.tif"}], "line 2: file"),
        ([{"confidence": "sure"}], "line 2: confidence"),
        ([{}, {}], "lists window 0, 0 of a.tif twice"),
        ([], "lists no window"),
    ],
)
def test_a_bad_reference_is_refused_by_line(tmp_path, changes, said):
    with pytest.raises(ReferenceFileError, match=said):
        read_reference(write_csv(tmp_path / "r.csv", *changes), VOCABULARY)


def test_a_missing_reference_and_a_missing_column_are_named(tmp_path):
    with pytest.raises(ReferenceFileError, match="There is no reference .*none.csv"):
        read_reference(tmp_path / "none.csv", VOCABULARY)
    (tmp_path / "r.csv").write_text("file,row_off\n")
    with pytest.raises(ReferenceFileError, match="lacks the column.*terrain"):
        read_reference(tmp_path / "r.csv", VOCABULARY)


def test_a_spreadsheets_byte_order_mark_is_no_column(tmp_path):
    path = write_csv(tmp_path / "r.csv", {})
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert [window.file for window in read_reference(path, VOCABULARY)] == ["a.tif"]


@pytest.mark.parametrize(
    "content",
    [b"\0\xff\xfe,", b'"a.tif,0\n', b"\xe9.tif,0\n"],
    ids=["binary", "quotation mark never closed", "Latin-1"],
)
def test_what_is_no_csv_in_utf8_is_said(tmp_path, content):
    header = ",".join(ROW).encode() + b"\n"
    (tmp_path / "r.csv").write_bytes(header + content)
    with pytest.raises(ReferenceFileError, match="no CSV in UTF-8|line [23]"):
        read_reference(tmp_path / "r.csv", VOCABULARY)


def test_a_row_of_too_many_fields_is_read_and_one_of_too_few_named(tmp_path):
    path = write_csv(tmp_path / "r.csv", {})
    path.write_text(path.read_text().rstrip() + ",more,and more\n")
    assert len(read_reference(path, VOCABULARY)) == 1
    path.write_text(path.read_text() + "a.tif,1,2\n")
    with pytest.raises(ReferenceFileError, match="line 3: size"):
        read_reference(path, VOCABULARY)


@pytest.fixture
def finished_run(tmp_path) -> Path:
    """A run of no rounds on one scene of four windows, with its initial annotations; it lies beside the reference."""
    scenes = tmp_path / "scenes"
    scenes.mkdir()
    write_geotiff(scenes / "a.tif", speckled_dn())
    (tmp_path / "config.yaml").write_text("name: real\ncorpus: {kind: geotiff}\n")
    config = load_config(
        tmp_path / "config.yaml",
        [
            f"corpus.tiles={scenes}",
            f"corpus.data_dir={tmp_path / 'data'}",
            "corpus.ingest.tile_px=64",
            "corpus.ingest.held_out_share=0",
        ],
    )
    directory = RunDirectory.create(config, tmp_path / "run", tmp_path)
    prepared = prepare_corpus(config.corpus, HCOT, run_seed=0)
    keep_or_check_inputs(directory.path, prepared)
    initial = prepared.initial
    count = initial.num_rows
    rows = pa.table(
        {
            **{name: initial[name] for name in ("tile_id", "clause", "value", "text")},
            "level": pa.array([1] * count),
            "confidence": pa.array([0.5] * count),
            "source": pa.array(["seed"] * count),
            "round": pa.array([0] * count),
            "weights_sha256": pa.array([""] * count),
            "prompt_sha256": pa.array([""] * count),
        }
    )
    AnnotationStore(directory.annotations).commit(
        rows.select(ANNOTATION_SCHEMA.names).cast(ANNOTATION_SCHEMA), run_id=directory.run_id, round_=0
    )
    return directory.path


def test_windows_are_found_again_among_the_tiles(finished_run, tmp_path):
    table = AnnotationStore(finished_run / "annotations").read()
    initial_terrain = table["value"].to_pylist()[table["clause"].to_pylist().index("terrain")]
    other = next(value for value in VOCABULARY[CLAUSES[0]] if value != initial_terrain)
    reference = write_csv(
        tmp_path / "scenes/reference.csv",
        {"terrain": initial_terrain},
        {"col_off": 64, "terrain": other},
        {"row_off": 64, "terrain": initial_terrain},
        {"row_off": 64, "col_off": 64, "terrain": other, "confidence": "low"},
        {"row_off": 32},
    )
    report = compare_with_reference(finished_run, reference)
    assert (report.windows, report.not_found, report.rounds) == (4, 1, 0)
    by_clause = {field.clause: field for field in report.by_group["training tiles"]}
    assert by_clause["terrain"].scores["initial"].windows == 3
    for answer in ("initial", "final", "geography", "majority"):
        assert by_clause["terrain"].scores[answer].accuracy == pytest.approx(2 / 3)
    (low,) = [
        field for field in report.by_group["training tiles, reference of low confidence"] if field.clause == "terrain"
    ]
    assert low.scores["initial"].accuracy == 0

    # A scene that came later, and one that is gone, change nothing of what the run was made of.
    write_geotiff(tmp_path / "scenes/later.tif", speckled_dn(seed=9))
    assert compare_with_reference(finished_run, reference) == report

    console = Console(file=io.StringIO(), width=80)
    print_reference_report(report, console)
    said = console.file.getvalue()
    assert "…" not in said
    assert "training tiles, 3 windows" in said
    assert "66.7 (" in said
    assert "[target count]" in said


def test_a_second_reading_is_printed_beside_the_scores(finished_run, tmp_path):
    """Of the water: sea, none, none and sea, none, sea are 2 of 3 alike; by chance 4 of 9 would be: kappa 0.4."""
    places = ({}, {"col_off": 64}, {"row_off": 64})
    reference = write_csv(
        tmp_path / "scenes/reference.csv",
        *({**place, "water": water} for place, water in zip(places, ("sea", "none", "none"), strict=True)),
    )
    write_csv(
        tmp_path / "scenes/second_reading.csv",
        *(
            {**place, "water": water, "road": "none"}
            for place, water in zip(places, ("sea", "none", "sea"), strict=True)
        ),
    )
    report = compare_with_reference(finished_run, reference)
    console = Console(file=io.StringIO(), width=80)
    print_reference_report(report, console)
    lines = {line.split()[0]: line.rstrip() for line in console.file.getvalue().splitlines() if line.strip()}
    assert lines["water"].endswith(" 66.7 (.40)")
    assert lines["road"].endswith(" 0.0 (.00)")
    assert lines["terrain"].endswith(" 100.0 (1.00)")


def test_weights_that_saw_no_tile_are_scored_on_scenes_beside_geography(call, tmp_path):
    scenes, weights = tmp_path / "scenes", tmp_path / "weights"
    scenes.mkdir()
    write_geotiff(scenes / "a.tif", speckled_dn())
    create_weights(HCOT, weights, toy_model(), seed=0)
    reference = write_csv(
        scenes / "reference.csv", *({"row_off": row, "col_off": col} for row in (0, 64) for col in (0, 64))
    )
    (tmp_path / "real.yaml").write_text(
        f"name: real\ncorpus: {{kind: geotiff, data_dir: {tmp_path / 'data'}, ingest: {{tile_px: 64}}}}\n"
    )
    settings = (tmp_path / "real.yaml", "--tiles", scenes, "--weights", weights)
    status, out, error = call("data", "score", *settings, "--reference", reference, "--json")
    assert status == 0, error
    found = json.loads(out)
    assert (found["windows"], found["not_found"]) == (4, 0)
    scores = {field["clause"]: field["scores"] for field in found["by_group"]["all tiles"]}
    assert {"weights", "geography", "majority"} <= set(scores["terrain"])
    assert all(0 <= of_clause["weights"]["accuracy"] <= 1 for of_clause in scores.values())
    status, out, error = call("data", "score", *settings, "--reference", reference)
    assert status == 0, error
    assert "all tiles, 4 windows" in out
    status, _, error = call("data", "score", *settings, "--reference", tmp_path / "none.csv")
    assert status == 2
    assert "There is no reference" in error


def test_a_reference_of_other_scenes_or_windows_is_refused(finished_run, tmp_path):
    for changes, said in (
        ({"size": 128}, "windows of 128 px; the run cut windows of 64"),
        ({"file": "b.tif"}, "b.tif of the reference does not lie beside it"),
        ({"row_off": 1}, "None of the 1 windows"),
    ):
        with pytest.raises(ReferenceFileError, match=said):
            compare_with_reference(finished_run, write_csv(tmp_path / "scenes/reference.csv", changes))


@pytest.mark.skipif(not LOS_ANGELES.is_dir(), reason="needs the Sentinel-1 scenes of Los Angeles in ../shared/sar")
def test_the_agreement_of_two_real_readings_is_the_published_one():
    first, second = (
        read_reference(LOS_ANGELES / name, VOCABULARY) for name in ("reference_annotations.csv", "second_reading.csv")
    )
    assert len(first) == len(second) == 136
    kappa = {field.clause: round(agreement(field, first, second).kappa, 2) for field in FIELDS}
    assert {
        name: kappa[name] for name in ("terrain", "functionality", "road", "water", "layout", "building", "boundary")
    } == {
        "terrain": 0.90,
        "functionality": 0.74,
        "road": 0.78,
        "water": 0.87,
        "layout": 0.89,
        "building": 0.83,
        "boundary": 0.50,
    }
    assert {field.clause for field in FIELDS if not field.scored} == {"boundary", "target_count"}
