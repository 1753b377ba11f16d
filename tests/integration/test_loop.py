"""One whole run from the command line: what it leaves behind is complete, agrees with itself and can be used."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient

from corpus.annotations import AnnotationStore
from corpus.digest import annotation_digest
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.prompts.prompts import prompt_sha256
from model.checkpoint import load_captioner, load_encoder, weights_sha256
from orchestrator.state.loss_history import read_losses
from orchestrator.state.records import PHASES
from orchestrator.state.run_directory import RunDirectory
from orchestrator.tracking.mlflow_store import tracking_uri
from support.hcot import CLAUSES, HCOT, VOCABULARY
from support.shared_run import knowlip

REPORT_KEYS = {"rounds", "seed_accuracy", "final_accuracy", "accuracy_by_clause", "peak_rss_bytes", "quarantined"}
REPORT_KEYS |= {"false_repair_share", "ece", "flag_precision", "hint_follow_rate"}


@pytest.fixture(scope="module")
def directory(smoke_run) -> RunDirectory:
    return RunDirectory(smoke_run.run_dir)


@pytest.fixture(scope="module")
def store(directory) -> AnnotationStore:
    return AnnotationStore(directory.annotations)


@pytest.fixture(scope="module")
def tiles(smoke_run) -> pa.Table:
    return pq.read_table(smoke_run.corpus_dir / "tiles.parquet")


@pytest.fixture(scope="module")
def training_tiles(tiles) -> set[str]:
    return {row["tile_id"] for row in tiles.select(["tile_id", "split"]).to_pylist() if row["split"] == "train"}


def shard_rows(directory: RunDirectory, round_: int) -> list[dict]:
    paths = sorted(directory.shards(round_).glob("shard-*.parquet"))
    return [row for path in paths for row in pq.read_table(path).to_pylist()]


def values_of(table: pa.Table) -> dict[tuple[str, str], str]:
    rows = table.select(["tile_id", "clause", "value"]).to_pylist()
    return {(row["tile_id"], row["clause"]): row["value"] for row in rows}


def contents(path: Path) -> dict[str, str]:
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def test_records_are_complete_and_in_order(smoke_run):
    files = sorted((smoke_run.run_dir / "rounds").iterdir())
    assert [path.name for path in files] == ["0001.json", "0002.json"]
    for number, path in enumerate(files, start=1):
        record = json.loads(path.read_text())
        assert record["round"] == number
        assert record["run_id"] == "run"
        assert record["seed"] == 0
        assert set(record["counts"]) == {"scored", "flagged", "regenerated", "accepted", "rejected", "invalid"}
        assert set(record["timings"]) == {"startup_s", *(f"{phase}_s" for phase in PHASES), "total_s", "unaccounted_s"}
        assert 0 < record["metrics"]["annotation_accuracy"] < 1
        assert len(record["corpus_digest"]) == len(record["weights_sha256"]) == 64


def test_counts_agree_with_one_another(smoke_run, training_tiles):
    for record in smoke_run.records:
        counts = record.counts
        assert counts.scored == len(training_tiles) * len(CLAUSES)
        assert 0 < counts.regenerated <= counts.flagged <= counts.scored
        assert counts.accepted + counts.rejected <= counts.flagged


def test_time_is_accounted_for_and_start_up_is_paid_once(smoke_run):
    first, *later = [record.timings for record in smoke_run.records]
    assert first.startup_s > 0
    assert all(timings.startup_s == 0 for timings in later)
    for timings in (first, *later):
        assert all(getattr(timings, f"{phase}_s") > 0 for phase in PHASES)
        assert abs(timings.unaccounted_s) <= 0.05 * timings.total_s


def test_every_version_of_the_corpus_can_be_read_again(smoke_run, store, tiles):
    versions = [0] + [record.corpus_version for record in smoke_run.records]
    assert versions == sorted(set(versions))
    for record in smoke_run.records:
        table = store.read(record.corpus_version)
        assert annotation_digest(table) == record.corpus_digest
        assert table.num_rows == tiles.num_rows * len(CLAUSES)
        assert set(table["weights_sha256"].to_pylist()) == {record.weights_sha256}
        assert set(table["prompt_sha256"].to_pylist()) == {prompt_sha256()}
        assert set(table["round"].to_pylist()) == {record.round}
        for row in table.to_pylist():
            assert row["value"] in VOCABULARY[row["clause"]]
            assert row["level"] == HCOT.level[row["clause"]]


def test_the_corpus_begins_with_the_initial_annotations(smoke_run, store):
    assert values_of(store.read(0)) == values_of(pq.read_table(smoke_run.corpus_dir / "seed.parquet"))


def test_recorded_weights_are_those_on_disk(smoke_run, directory):
    hashes = [record.weights_sha256 for record in smoke_run.records]
    assert len({*hashes, weights_sha256(directory.weights(0))}) == len(hashes) + 1
    for record in smoke_run.records:
        assert weights_sha256(directory.weights(record.round)) == record.weights_sha256
    assert load_encoder(directory.weights(2))
    assert load_captioner(directory.weights(2))


def test_every_regenerated_clause_was_generated_by_the_engine(smoke_run, directory, store, training_tiles):
    """What the record counts, and what the corpus now says, lies in a shard."""
    for record in smoke_run.records:
        before = values_of(store.read(record.corpus_version - 1))
        after = store.read(record.corpus_version)
        valid = [row for row in shard_rows(directory, record.round) if row["error"] is None]
        # Of the other clauses of a queried tile it is read what the captioner makes of them.
        unasked = [row for row in valid if row["value"] is None]
        assert {(row["candidate"], len(row["distribution"])) for row in unasked} <= {
            (0, len(w)) for w in VOCABULARY.values()
        }
        answered = [row for row in valid if row["value"] is not None]
        assert not {(row["tile_id"], row["clause"]) for row in unasked} & {
            (row["tile_id"], row["clause"]) for row in answered
        }
        assert len(unasked) + len({(row["tile_id"], row["clause"]) for row in answered}) == len(VOCABULARY) * len(
            {row["tile_id"] for row in answered}
        )
        proposed: dict[tuple[str, str], set[str]] = {}
        for row in answered:
            proposed.setdefault((row["tile_id"], row["clause"]), set()).add(row["value"])
            if row["candidate"] == 0:
                assert len(row["distribution"]) == len(VOCABULARY[row["clause"]])
                assert np.isclose(sum(row["distribution"]), 1, atol=1e-4)
                # What the captioner finds probable is proposed as well.
                proposed[row["tile_id"], row["clause"]].update(
                    value
                    for value, share in zip(VOCABULARY[row["clause"]], row["distribution"], strict=True)
                    if share >= AcceptanceConfig().minimum_proposal
                )
            else:
                assert row["distribution"] is None
        greedy = {(row["tile_id"], row["clause"]) for row in answered if row["candidate"] == 0}
        assert sum(tile_id in training_tiles for tile_id, _ in greedy) == record.counts.regenerated
        changed = 0
        for row in after.select(["tile_id", "clause", "value", "source"]).to_pylist():
            key = row["tile_id"], row["clause"]
            if row["value"] != before[key]:
                changed += 1
                assert row["tile_id"] in training_tiles
                assert key in proposed
                assert row["source"] == "seed" or row["value"] in proposed[key]
            if row["source"] == "captioner":
                assert row["value"] in proposed[key]
        assert changed == record.counts.accepted


def test_mlflow_holds_one_run_with_a_child_for_every_round(smoke_run, directory):
    client = MlflowClient(tracking_uri(smoke_run.run_dir))
    experiment = client.get_experiment_by_name("smoke")
    runs = client.search_runs([experiment.experiment_id])
    [parent] = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = [client.get_run(record.tracking_id) for record in smoke_run.records]
    assert len(runs) == 1 + len(children)
    assert parent.info.status == "FINISHED"
    assert parent.data.params["rounds"] == "2"
    assert parent.data.params["corpus.simulated.tiles"] == "128"
    assert "model.encoder.vision.width" in parent.data.params

    steps = 0
    for record, child in zip(smoke_run.records, children, strict=True):
        assert child.info.status == "FINISHED"
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        history = client.get_metric_history(child.info.run_id, "detail/loss/total")
        assert [point.step for point in history] == list(range(steps + 1, steps + 1 + len(history)))
        assert history
        kept = read_losses(RunDirectory(smoke_run.run_dir), record.round)[record.round]
        assert [(row["step"], row["total"]) for row in kept] == [(point.step, point.value) for point in history]
        steps += len(history)
        assert child.data.metrics["at a glance/annotation_accuracy"] == record.metrics["annotation_accuracy"]
        assert child.data.metrics["detail/count/accepted"] == record.counts.accepted
        trained_on, made = sorted(
            (json.loads(each.dataset.source)["delta_table_version"], each.dataset.digest, each.tags[0].value)
            for each in child.inputs.dataset_inputs
        )
        assert trained_on[0] == record.corpus_version - 1
        assert trained_on[2] == "training"
        assert made == (record.corpus_version, record.corpus_digest[:32], "output")
        [output] = child.outputs.model_outputs
        logged = client.get_logged_model(output.model_id)
        assert logged.status == "READY"
        assert logged.params["weights_sha256"] == record.weights_sha256
        figures = {item.path for item in client.list_artifacts(child.info.run_id, "figures")}
        assert figures >= {"figures/gallery.png", "figures/losses.png", "figures/accuracy_by_clause.png"}
    assert len(client.get_metric_history(parent.info.run_id, "detail/loss/total")) == steps
    accuracies = client.get_metric_history(parent.info.run_id, "at a glance/annotation_accuracy")
    assert [point.step for point in accuracies] == [0, 1, 2], "the initial annotations are step 0"
    parents = {item.path for item in client.list_artifacts(parent.info.run_id, "figures")}
    assert "figures/time_per_phase.png" in parents
    assert [item.path for item in client.list_artifacts(parent.info.run_id, "gallery")] == ["gallery/gallery.html"]


def test_without_a_terminal_a_run_prints_lines_and_no_bars_or_escapes(smoke_run):
    """Where it is, a line a round, the report and where to look: no bars, no escapes, no warnings."""
    out = " ".join(smoke_run.stdout.split())
    assert f"run directory {smoke_run.run_dir}" in out
    assert "round 1: annotation accuracy" in out
    assert "round 2: annotation accuracy" in out
    assert f"mlflow ui --backend-store-uri sqlite:///{smoke_run.run_dir}/mlflow.db" in out
    assert "\r" not in smoke_run.stdout
    assert "\x1b" not in smoke_run.stdout
    assert "Traceback" not in smoke_run.stdout + smoke_run.stderr


def test_latest_points_to_the_run(smoke_run):
    assert (smoke_run.cwd / "runs" / "latest").resolve() == smoke_run.run_dir


def test_the_report_is_one_object(smoke_run, call, monkeypatch):
    monkeypatch.chdir(smoke_run.cwd)
    status, out, _ = call("report", "runs/latest", "--json")
    report = json.loads(out)
    assert status == 0
    assert set(report) == REPORT_KEYS
    assert [each["round"] for each in report["rounds"]] == [1, 2]
    assert report["final_accuracy"] == report["rounds"][-1]["metrics"]["annotation_accuracy"]
    assert 0.5 < report["seed_accuracy"] < 1
    assert report["quarantined"] == 0
    assert set(report["accuracy_by_clause"]) == {str(clause) for clause in CLAUSES}
    assert report["peak_rss_bytes"] > 2**28


def test_status_says_how_far_the_run_is(smoke_run, call, monkeypatch):
    monkeypatch.chdir(smoke_run.cwd)
    status, out, _ = call("status", "runs/latest")
    assert status == 0
    assert "2 of 2 recorded" in out
    assert "knowlip resume" not in out


def test_resuming_a_finished_run_changes_nothing(smoke_run, call, monkeypatch):
    monkeypatch.chdir(smoke_run.cwd)
    before = contents(smoke_run.run_dir)
    status, out, _ = call("resume", smoke_run.run_dir)
    assert status == 0
    assert "nothing is left to do" in " ".join(out.split())
    assert contents(smoke_run.run_dir) == before


def test_a_geotiff_is_captioned_with_a_valid_annotation(smoke_run, tiles):
    tile = tiles.slice(0, 1).to_pylist()[0]
    done = knowlip("caption", smoke_run.corpus_dir / tile["path"], "--run", "runs/latest", "--json", cwd=smoke_run.cwd)
    assert done.returncode == 0, done.stderr[-3000:]
    annotation = json.loads(done.stdout)
    assert [clause["clause"] for clause in annotation["clauses"]] == [str(clause) for clause in CLAUSES]
    for clause in annotation["clauses"]:
        assert clause["value"] in VOCABULARY[clause["clause"]]
        assert clause["text"]
        assert 0 < clause["confidence"] <= 1
    values = {clause["clause"]: clause["value"] for clause in annotation["clauses"]}
    assert annotation["contradictions"] == [each.message for each in contradictions(HCOT, values, gsd_m=tile["gsd_m"])]
    assert annotation["weights"] == "round-0002"
    assert annotation["crs"] == tile["crs"]
    assert annotation["lon"] == pytest.approx(tile["lon"], abs=0.01)
    assert annotation["lat"] == pytest.approx(tile["lat"], abs=0.01)
