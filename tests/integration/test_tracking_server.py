"""MLflow tracking against a real server that is killed and comes back."""

import json
import shutil
from pathlib import Path

import pytest
import stamina
from mlflow import MlflowClient

from orchestrator.run.preflight import PreflightError, preflight_tracking
from orchestrator.tracking.mlflow_store import local_uri, tracking_uri
from support.ports import free_port
from support.tracked_runs import content, losses, write_round
from support.trackers import started, tracker_in, waiting
from support.tracking_server import server


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


def test_a_server_that_goes_away_gets_all_of_it_once_when_it_is_back(tmp_path, monkeypatch):
    """Killed in round 1, still away at a restart of the run, back after its end."""
    folder, run_dir, port = tmp_path / "server", tmp_path / "run", free_port()
    folder.mkdir()
    run_dir.mkdir()
    (tmp_path / "mlflow.db").rename(folder / "mlflow.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    with stamina.set_testing(True), pytest.raises(PreflightError, match="does not answer"):
        preflight_tracking(tracker_in(run_dir))

    first = tracker_in(run_dir)
    with server(folder, port):
        preflight_tracking(tracker_in(run_dir))
        parent = started(first, {"rounds": 3})
        with first.round(1) as child:
            first.log_losses(child, losses(0, 20))
        child_id = child.run_id
    assert parent
    assert child_id
    assert first.undelivered is None
    write_round(first, run_dir, 2)  # nobody listens
    assert waiting(run_dir) > 0
    del first  # killed: no end is written

    second = tracker_in(run_dir)
    assert started(second, {"rounds": 3}) == parent
    assert write_round(second, run_dir, 3).run_id is None
    second.finish("finished")
    assert f"knowlip resume {run_dir}" in second.undelivered

    with server(folder, port):
        later = tracker_in(run_dir)
        later.deliver()
        assert later.undelivered is None
        assert waiting(run_dir) == 0
        found = content(MlflowClient(tracking_uri(run_dir)), "e")["runs"]
        artifact = MlflowClient(tracking_uri(run_dir)).download_artifacts(
            json.loads((run_dir / "mlflow_runs.json").read_text())["rounds"]["2"], "figures/losses.png", str(tmp_path)
        )
    assert Path(artifact).read_bytes() == b"round 2"
    runs = json.loads((run_dir / "mlflow_runs.json").read_text())
    assert runs["parent"] == parent
    assert runs["rounds"]["1"] == child_id
    assert set(found) == {parent, *runs["rounds"].values()}
    assert len(found) == 4
    assert {status for status, *_ in found.values()} == {"FINISHED"}
    steps = [point[0] for point in found[parent][3]["detail/loss/itc"]]
    assert steps == [*range(0, 20), *range(40, 60), *range(60, 80)]
    for number in (2, 3):
        _, _, _, points, digests, models, figures = found[runs["rounds"][str(number)]]
        assert [point[0] for point in points["detail/loss/itc"]] == list(range(20 * number, 20 * number + 20))
        assert [point[:2] for point in points["at a glance/annotation_accuracy"]] == [(number, 0.91)]
        assert digests == [f"{number}" * 32]
        assert len(models) == 1
        assert figures == ["figures/losses.png"]
