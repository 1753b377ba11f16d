"""What MLflow's own store holds after a driver was interrupted, or lost its lease, in the middle of telling it."""

import json

import pytest
from mlflow import MlflowClient

from corpus.storage.lock import LeaseLost
from orchestrator.tracking import outbox as outbox_module
from orchestrator.tracking.mlflow_store import tracking_uri
from support.trackers import lose_lease, tracker_in, under_lease, waiting


@pytest.fixture(autouse=True)
def in_the_run_directory(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def interrupt_behind_the_next_commit(patch) -> None:
    mark = outbox_module.Outbox._next

    def interrupted(outbox):
        if outbox.waiting:
            raise KeyboardInterrupt
        return mark(outbox)

    patch.setattr(outbox_module.Outbox, "_next", interrupted)


def test_a_round_whose_begin_is_interrupted_is_closed_at_the_end(tmp_path, monkeypatch):
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_behind_the_next_commit(patch)
        with tracker.round(1):
            pass
    tracker.finish("interrupted")
    runs = json.loads((tmp_path / "mlflow_runs.json").read_text())
    client = MlflowClient(tracking_uri(tmp_path))
    assert [client.get_run(run).info.status for run in (runs["parent"], runs["rounds"]["1"])] == ["KILLED", "KILLED"]


def test_an_id_that_was_not_saved_for_an_interrupt_is_saved_when_its_run_is_opened_again(tmp_path, monkeypatch):
    tracker = tracker_in(tmp_path)
    tracker.start({})

    def interrupted(runs) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tracker, "_save", interrupted)
        with tracker.round(1):
            pass
    tracker.finish("interrupted")
    assert list(json.loads((tmp_path / "mlflow_runs.json").read_text())["rounds"]) == ["1"]


def test_a_driver_that_loses_its_lease_inside_a_request_does_not_write_its_ids(tmp_path, monkeypatch):
    create = MlflowClient.create_run

    def create_slowly(*args, **options):
        run = create(*args, **options)
        lose_lease(tmp_path)
        (tmp_path / "mlflow_runs.json").write_text("the winner's")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", create_slowly)
    with pytest.raises(LeaseLost):
        tracker_in(under_lease(tmp_path)).start({})
    assert (tmp_path / "mlflow_runs.json").read_text() == "the winner's"
    assert waiting(tmp_path) == 1
