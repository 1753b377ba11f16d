"""MLflow tracking against a real SQLite store."""

import json
import shutil

import numpy as np
import pytest
from mlflow import MlflowClient
from safetensors.numpy import load_file, save_file
from test_records import record

from orchestrator.records import RecordError
from orchestrator.tracking import Tracker, local_uri, tracking_uri, ui_command, without_user

PARAMS = {"seed": 0, "train.learning_rate": 1e-4, "corpus.cities": ["Lagos", "Lima"], "captioner.api_key": "hunter2",
          "captioner.max_new_tokens": 160, "cluster.address": "ray://me:hunter2@head:10001", "train.note": None}


@pytest.fixture(scope="module")
def empty_store(tmp_path_factory):
    """A store with its tables; making them takes a second, so it is done once."""
    folder = tmp_path_factory.mktemp("store")
    MlflowClient(local_uri(folder)).search_experiments()
    return folder / "mlflow.db"


@pytest.fixture(autouse=True)
def store(monkeypatch, tmp_path, empty_store):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copy(empty_store, tmp_path / "mlflow.db")


def losses(first: int, steps: int) -> list[dict]:
    return [{"step": first + i, "itc": 2.0 - 0.001 * i, "total": 3.0} for i in range(steps)]


def test_one_run_from_its_parameters_to_its_model(tmp_path):
    run_dir = tmp_path / "a run"
    run_dir.mkdir()
    (tmp_path / "mlflow.db").rename(run_dir / "mlflow.db")
    weights = run_dir / "weights" / "round-0001"
    (weights / "encoder").mkdir(parents=True)
    save_file({"w": np.arange(4, dtype=np.float32)}, weights / "encoder" / "model.safetensors")
    (weights / "config.json").write_text("{}")
    figure = run_dir / "losses.png"
    figure.write_bytes(b"png")

    tracker = Tracker(run_dir, experiment="default", run_name="default-1")
    parent = tracker.start(PARAMS)
    with tracker.round(1) as child:
        tracker.log_losses(child, losses(0, 1200))
        tracker.log_corpus(child, run_dir / "annotations", 3, "d" * 64)
        tracker.log_checkpoint(child, weights, "a" * 64)
        tracker.log_files(child, [figure], "figures")
        tracker.log_record(child, record(1))
    tracker.finish("FINISHED")

    client = MlflowClient(tracking_uri(run_dir))
    run = client.get_run(parent)
    assert run.info.status == "FINISHED"
    assert json.loads(run.data.params["corpus.cities"]) == ["Lagos", "Lima"]
    assert run.data.params["captioner.max_new_tokens"] == "160"
    assert "hunter2" not in str(run.data.params)
    assert run.data.metrics["annotation_accuracy"] == 0.91

    round_run = client.get_run(child.run_id)
    assert round_run.info.status == "FINISHED"
    assert round_run.data.tags["mlflow.parentRunId"] == parent
    assert len(client.get_metric_history(child.run_id, "loss/itc")) == 1200
    assert round_run.data.metrics["count/accepted"] == 12 and round_run.data.metrics["time/train_s"] == 1.0
    assert round_run.data.metrics["accuracy/terrain"] == 0.9
    [dataset] = round_run.inputs.dataset_inputs
    assert dataset.dataset.digest == "d" * 32
    assert json.loads(dataset.dataset.source)["delta_table_version"] == 3
    [output] = round_run.outputs.model_outputs
    model = client.get_logged_model(output.model_id)
    assert model.status == "READY" and model.params["weights_sha256"] == "a" * 64
    [stored] = (run_dir / "mlartifacts").rglob("model.safetensors")
    assert load_file(stored)["w"].tolist() == [0, 1, 2, 3]
    assert [each.path for each in client.list_artifacts(child.run_id, "figures")] == ["figures/losses.png"]


def test_a_crash_is_marked_and_the_restart_goes_on_with_the_same_runs(tmp_path):
    first = Tracker(tmp_path, experiment="default", run_name="r")
    parent = first.start({"rounds": 3})
    with pytest.raises(RuntimeError), first.round(1) as child:
        first.log_losses(child, losses(0, 2))
        raise RuntimeError("a worker died")
    first.finish("FAILED")
    client = MlflowClient(tracking_uri(tmp_path))
    assert client.get_run(parent).info.status == client.get_run(child.run_id).info.status == "FAILED"

    second = Tracker(tmp_path, experiment="default", run_name="r")
    assert second.start({"rounds": 5, "new": 1}) == parent
    assert client.get_run(parent).info.status == "RUNNING"
    with second.round(1) as again:
        assert again.run_id == child.run_id
    second.finish("FINISHED")
    run = client.get_run(parent)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"rounds": "3", "new": "1"} and run.data.tags["knowlip.changed.rounds"] == "5"
    assert len(client.search_runs([run.info.experiment_id])) == 2


def test_a_restart_at_another_server_is_refused(tmp_path, monkeypatch):
    Tracker(tmp_path, experiment="e", run_name="r").start({})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    with pytest.raises(RecordError, match="elsewhere.db"):
        Tracker(tmp_path, experiment="e", run_name="r").start({})


def test_pickles_are_not_tracked(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.pt").write_bytes(b"")
    tracker = Tracker(tmp_path, experiment="e", run_name="r")
    tracker.start({})
    with tracker.round(1) as child, pytest.raises(ValueError, match="model.pt"):
        tracker.log_checkpoint(child, tmp_path / "weights", "a" * 64)


def test_numbers_that_are_unknown_are_left_out(tmp_path):
    tracker = Tracker(tmp_path, experiment="e", run_name="r")
    tracker.start({})
    with tracker.round(1) as child:
        tracker.log_record(child, record(1, metrics={"annotation_accuracy": None}, accuracy_by_clause=None))
    assert "annotation_accuracy" not in MlflowClient(tracking_uri(tmp_path)).get_run(child.run_id).data.metrics


def test_the_command_to_look_at_a_run(tmp_path, monkeypatch):
    assert f"ui --backend-store-uri 'sqlite:///{tmp_path}/a b/mlflow.db'" in ui_command(tmp_path / "a b")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@mlflow.example/x")
    assert ui_command(tmp_path) == "open https://mlflow.example/x"
    assert without_user("a://b:c@d and e://f@g") == "a://d and e://g"
