"""The whole loop on other schemas: two clauses without targets, and a single clause of ten values."""

import json
from collections import Counter

import numpy as np
import pytest
import shapely
from affine import Affine
from mlflow import MlflowClient

from corpus.annotations import AnnotationStore
from corpus.storage.parquet import read_parquet
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import read_schema
from hcot_llm.text.render import render_clause
from orchestrator.state.evidence import read_evidence
from orchestrator.state.run_directory import RunDirectory
from orchestrator.tracking.mlflow_store import tracking_uri
from support.geoparquet import write_geoparquet
from support.geotiffs import speckled_dn, write_geotiff
from support.shared_run import Run, knowlip, run_loop_once
from support.toy_schemas import LANDSCAPE, VEHICLES, write_schema_file

ONE_SHORT_ROUND = (
    "rounds=1",
    "train.first_round_epochs=1",
    "train.max_workers=1",
    "score.max_workers=1",
    "captioner.tiles_per_shard=32",
)
landscape, vehicles = (AnnotationSchema.model_validate(content) for content in (LANDSCAPE, VEHICLES))
CHIPS = 40


@pytest.fixture(scope="module")
def landscape_run(tmp_path_factory) -> Run:
    """Simulated scenes of which only terrain and water are annotated; their truth is known. Classifiers speak, too."""
    cwd = tmp_path_factory.mktemp("landscape")
    schema = write_schema_file(cwd / "landscape.yaml", LANDSCAPE)
    small = ("corpus.simulated.tiles=48", "corpus.simulated.cities=8", "statistics.enabled=true", "statistics.turns=1")
    return run_loop_once(cwd, cwd / "data", f"schema={schema}", *small, *ONE_SHORT_ROUND)


@pytest.fixture(scope="module")
def vehicles_run(tmp_path_factory) -> Run:
    """GeoTIFFs in a folder for each vehicle, annotated by polygons of their ground; nothing else is known of them."""
    cwd = tmp_path_factory.mktemp("vehicles")
    schema = write_schema_file(cwd / "vehicles.yaml", VEHICLES)
    grounds, found = [], []
    for number in range(CHIPS):
        vehicle = vehicles.vocabulary["vehicle"][number % 10]
        path = cwd / "chips" / vehicle / f"{number:03d}.tif"
        corner = Affine(10, 0, 400_000 + number % 8 * 20_000, 0, -10, 5_300_000 + number // 8 * 20_000)
        write_geotiff(path, speckled_dn(seed=number), transform=corner)
        grounds.append(shapely.box(corner.c - 50, corner.f - 1330, corner.c + 1330, corner.f + 50))
        found.append(vehicle)
    sure = [0.75 if number % 2 else None for number in range(CHIPS)]
    utm = {"id": {"authority": "EPSG", "code": 32633}}
    write_geoparquet(cwd / "labels.parquet", {"vehicle": found, "confidence": sure}, grounds, crs=utm)
    return run_loop_once(
        cwd,
        cwd / "data",
        f"schema={schema}",
        "corpus.kind=geotiff",
        f"corpus.tiles={cwd / 'chips'}",
        f"corpus.initial={cwd / 'labels.parquet'}",
        *ONE_SHORT_ROUND,
    )


def check_what_every_run_leaves(run: Run, schema: AnnotationSchema) -> None:
    directory = RunDirectory(run.run_dir)
    [record] = run.records
    assert record.schema_sha256 == schema.digest
    assert record.counts.scored % len(schema) == 0
    assert record.counts.accepted + record.counts.rejected <= record.counts.regenerated <= record.counts.scored
    assert record.counts.regenerated > 0, "the captioner was asked nothing"
    assert read_schema(directory.weights(1)) == read_schema(run.corpus_dir) == schema
    rows = AnnotationStore(directory.annotations).read(record.corpus_version).to_pylist()
    assert {row["clause"] for row in rows} == set(schema.names)
    for row in rows:
        assert row["value"] in schema.vocabulary[row["clause"]]
    first = rows[0]
    wordings = [render_clause(schema, first["clause"], first["value"], variant=number) for number in range(2)]
    assert any(wording in first["text"] for wording in wordings)
    for name in ("gallery.png", "losses.png", "time_per_phase.png"):
        assert (directory.figures / name).stat().st_size > 5000, name
    assert schema.digest in json.dumps(MlflowClient(tracking_uri(run.run_dir)).get_run(parent_of(run)).data.params)


def parent_of(run: Run) -> str:
    return json.loads((run.run_dir / "mlflow_runs.json").read_text())["parent"]


def check_caption(run: Run, schema: AnnotationSchema) -> None:
    tile = next(run.corpus_dir.rglob("*.tif"))
    done = knowlip("caption", tile, "--run", run.run_dir, "--json", cwd=run.cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    annotation = json.loads(done.stdout)
    assert [each["clause"] for each in annotation["clauses"]] == list(schema.names)
    for each in annotation["clauses"]:
        assert each["value"] in schema.vocabulary[each["clause"]]


def test_a_run_annotates_the_clauses_of_another_schema_and_no_others(landscape_run):
    check_what_every_run_leaves(landscape_run, landscape)


def test_what_classifiers_on_statistics_say_is_kept_and_told(landscape_run):
    evidence = read_evidence(RunDirectory(landscape_run.run_dir).evidence(1), landscape)
    assert evidence is not None
    assert evidence.weights.models == ("encoder", "captioner", "statistics")
    assert not np.isnan(evidence.distributions["statistics"]["water"]).any()
    done = knowlip("history", landscape_run.run_dir, evidence.tile_ids[0], "water", cwd=landscape_run.cwd)
    assert "statistics" in done.stdout, done.stderr[-3000:]


def test_metrics_of_another_schema_are_of_its_clauses_and_groups(landscape_run):
    [record] = landscape_run.records
    assert set(record.accuracy_by_clause or {}) == {"terrain", "water"}
    accuracies = {name for name in record.metrics if name.startswith("annotation_accuracy_")}
    assert {"annotation_accuracy_land", "annotation_accuracy_water", "annotation_accuracy_stated"} <= accuracies
    assert not any("target_" in name.removeprefix("training_target_") or "building" in name for name in record.metrics)
    assert 0 <= (record.metrics["held_out_slot_accuracy"] or 0) <= 1
    assert record.metrics["held_out_count_mae"] is None, "no clause counts"
    assert (RunDirectory(landscape_run.run_dir).figures / "accuracy_by_clause.png").exists()


def test_the_report_names_the_clauses_of_another_schema(landscape_run, call):
    status, out, _ = call("report", landscape_run.run_dir, "--json")
    assert status == 0
    assert set(json.loads(out)["accuracy_by_clause"]) == {"terrain", "water"}
    assert "terrain" in landscape_run.stdout
    assert "target" not in landscape_run.stdout


def test_mlflow_is_told_the_accuracy_of_every_clause(landscape_run):
    client = MlflowClient(tracking_uri(landscape_run.run_dir))
    [experiment] = [each for each in client.search_experiments() if each.name == "smoke"]
    told = {name for run in client.search_runs([experiment.experiment_id]) for name in run.data.metrics}
    assert "at a glance/annotation_accuracy" in told


def test_a_tile_is_captioned_in_another_schema(landscape_run):
    check_caption(landscape_run, landscape)


def test_a_run_begins_with_what_a_file_says_of_the_ground_of_its_tiles(vehicles_run):
    first = read_parquet(vehicles_run.corpus_dir / "seed.parquet").to_pylist()
    assert Counter(row["value"] for row in first) == dict.fromkeys(vehicles.vocabulary["vehicle"], CHIPS // 10)
    assert Counter(round(row["confidence"], 4) for row in first) == {0.75: CHIPS // 2, 0.9: CHIPS // 2}
    assert f"{CHIPS} of {CHIPS} initial annotations come from labels.parquet" in vehicles_run.stdout


def test_a_run_of_a_single_clause_on_files_and_a_table_comes_to_its_end(vehicles_run):
    check_what_every_run_leaves(vehicles_run, vehicles)
    [record] = vehicles_run.records
    assert record.accuracy_by_clause is None
    assert record.metrics["annotation_accuracy"] is None


def test_without_truth_the_report_of_a_single_clause_has_its_record(vehicles_run, call):
    status, out, _ = call("report", vehicles_run.run_dir, "--json")
    assert status == 0
    found = json.loads(out)
    assert len(found["rounds"]) == 1
    assert found["rounds"][0]["schema_sha256"] == vehicles.digest
    assert found["accuracy_by_clause"] is None
    assert found["seed_accuracy"] is None
    assert found["quarantined"] == 0


def test_a_tile_is_captioned_with_a_single_clause(vehicles_run):
    check_caption(vehicles_run, vehicles)
