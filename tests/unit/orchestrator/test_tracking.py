"""MLflow tracking against a real SQLite store."""

import errno
import json
import re
import shutil
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from safetensors.numpy import save_file

from corpus.storage.disk import DiskFull
from corpus.storage.errors import UserError
from corpus.storage.redaction import without_user
from corpus.storage.state_files import RecordError, StateFolder
from orchestrator.state.records import InitialSummary, write_record
from orchestrator.tracking.base import TrackedRun, TrackerAway
from orchestrator.tracking.charts import HEADLINES
from orchestrator.tracking.mlflow import MlflowTracker
from orchestrator.tracking.mlflow_store import local_store, local_uri, tracking_uri, ui_command
from orchestrator.tracking.outbox import Entry, Outbox, RunGone
from support.records import record
from support.tracked_runs import content, losses, write_round
from support.trackers import started, tracker_in, undeliver, waiting
from support.unguarded import unguarded

PARAMS = {
    "seed": 0,
    "train.learning_rate": 1e-4,
    "corpus.cities": ["Lagos", "Lima"],
    "captioner.api_key": "hunter2",
    "captioner.max_new_tokens": 160,
    "cluster.address": "ray://me:hunter2@head:10001",
    "train.note": None,
}


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


def test_one_run_is_tracked_from_its_parameters_to_its_model(tmp_path):
    run_dir = tmp_path / "a run"
    run_dir.mkdir()
    (tmp_path / "mlflow.db").rename(run_dir / "mlflow.db")
    weights = run_dir / "weights" / "round-0001"
    (weights / "encoder").mkdir(parents=True)
    save_file({"w": np.arange(4, dtype=np.float32)}, weights / "encoder" / "model.safetensors")
    (weights / "config.json").write_text("{}")
    figure = run_dir / "losses.png"
    figure.write_bytes(b"png")

    tracker = tracker_in(run_dir, "default", "default-1")
    parent = started(tracker, PARAMS)
    with tracker.round(1) as child:
        tracker.log_losses(child, losses(0, 1200))
        tracker.log_corpus(child, run_dir / "annotations", 2, "c" * 64, "training")
        tracker.log_corpus(child, run_dir / "annotations", 3, "d" * 64, "output")
        tracker.log_checkpoint(child, weights, "a" * 64)
        tracker.log_files(child, [figure], "figures")
        tracker.log_record(child, record(1))
    tracker.finish("finished")

    client = MlflowClient(tracking_uri(run_dir))
    run = client.get_run(parent)
    assert run.info.status == "FINISHED"
    assert json.loads(run.data.params["corpus.cities"]) == ["Lagos", "Lima"]
    assert run.data.params["captioner.max_new_tokens"] == "160"
    assert "hunter2" not in str(run.data.params)
    assert run.data.metrics["at a glance/annotation_accuracy"] == 0.91
    assert datasets(run) == {"training": (2, "c" * 32), "output": (3, "d" * 32)}

    round_run = client.get_run(child.run_id)
    assert round_run.info.status == "FINISHED"
    assert round_run.data.tags["mlflow.parentRunId"] == parent
    assert len(client.get_metric_history(child.run_id, "detail/loss/itc")) == 1200
    assert round_run.data.metrics["detail/count/accepted"] == 12
    assert round_run.data.metrics["detail/time/train_s"] == 1.0
    assert round_run.data.metrics["detail/accuracy/terrain"] == 0.9
    assert datasets(round_run) == {"training": (2, "c" * 32), "output": (3, "d" * 32)}
    [output] = round_run.outputs.model_outputs
    assert [each.model_id for each in run.outputs.model_outputs] == [output.model_id]
    model = client.get_logged_model(output.model_id)
    assert model.status == "READY"
    shown = {metric.key: (metric.value, metric.step) for metric in model.metrics}
    assert shown["at a glance/annotation_accuracy"] == (0.91, 1)
    assert all(key.startswith("at a glance/") for key in shown)
    assert round_run.data.tags["mlflow.note.content"].startswith("Annotation accuracy **0.9100** after this round.")
    assert model.params["weights_sha256"] == "a" * 64
    assert model.params["directory"] == str(weights)
    assert not list((run_dir / "mlartifacts").rglob("*.safetensors")), "weights are kept once, in the run directory"
    assert [each.path for each in client.list_artifacts(child.run_id, "figures")] == ["figures/losses.png"]


def datasets(run) -> dict[str, tuple[int, str]]:
    """(version of the Delta table, digest) by context of the datasets of a run."""
    return {
        each.tags[0].value: (json.loads(each.dataset.source)["delta_table_version"], each.dataset.digest)
        for each in run.inputs.dataset_inputs
    }


def test_the_initial_annotations_are_step_0_of_every_chart_that_has_an_initial_value(tmp_path):
    summary = InitialSummary(
        annotation_accuracy=0.8,
        accuracy_by_clause={"terrain": 0.7, "road": None},
        metrics={"annotation_kappa": 0.6, "annotation_accuracy_stated": 0.75, "expected_calibration_error": None},
        tiles=8,
        quarantined=0,
        simulated=True,
    )
    tracker = tracker_in(tmp_path)
    parent = started(tracker, {})
    for _ in range(2):  # every start tells it
        tracker.log_initial(summary)
    with tracker.round(1) as child:
        tracker.log_record(child, record(1, metrics={"annotation_accuracy": 0.91, "annotation_kappa": 0.7}))
    client = MlflowClient(tracking_uri(tmp_path))

    def history(key):
        return [(point.step, point.value) for point in client.get_metric_history(parent, key)]

    assert history("at a glance/annotation_accuracy") == [(0, 0.8), (1, 0.91)]
    assert history("at a glance/annotation_kappa") == [(0, 0.6), (1, 0.7)]
    assert history("detail/accuracy/terrain") == [(0, 0.7), (1, 0.9)]
    assert history("detail/accuracy of a share/stated") == [(0, 0.75)]
    assert history("at a glance/false_repair_rate") == [(0, 0.0)]
    assert history("at a glance/expected_calibration_error") == history("detail/accuracy/road") == []


def test_few_headlines_stand_in_the_first_group_and_all_else_below_detail(tmp_path):
    tracker = tracker_in(tmp_path)
    parent = started(tracker, {})
    metrics = dict.fromkeys((*HEADLINES[:6], "source_weight_encoder_road", "true_repairs"), 0.5)
    with tracker.round(1) as child:
        tracker.log_losses(child, losses(0, 2))
        cost = {"cpu_s": {"train": 3600.0, "score": 1800.0}, "trained_tiles": 640, "generated_tokens": 900}
        told = record(1, metrics=metrics, **cost)
        tracker.log_record(child, told)
    found = MlflowClient(tracking_uri(tmp_path)).get_run(parent).data.metrics
    assert 5 <= len(HEADLINES) <= 8
    groups = sorted({name.rpartition("/")[0] for name in found}, key=str.casefold)  # as MLflow sorts them
    assert groups[0] == "at a glance"
    assert {name for name in found if name.startswith(groups[0])} == {f"at a glance/{name}" for name in HEADLINES}
    assert {name.partition("/")[0] for name in groups[1:]} == {"detail"}
    assert found["detail/weight of the encoder/road"] == 0.5
    assert found["detail/cpu/train_hours"] == 1.0
    assert found["detail/cpu/total_hours"] == 1.5
    assert found["at a glance/accepted_share"] == pytest.approx(12 / 19)
    assert found["detail/speed/scored_clauses_per_s"] == 100.0
    assert found["detail/speed/trained_tiles_per_s"] == 640 / told.timings.train_s
    assert found["detail/speed/generated_tokens_per_s"] == 900 / told.timings.label_s


def test_losses_that_came_while_training_keep_their_times_and_are_not_told_again(tmp_path):
    tracker = tracker_in(tmp_path)
    parent = started(tracker, {})
    with tracker.round(1) as child:
        tracker.log_losses(child, losses(0, 3))
        told = time.time() * 1000
        time.sleep(0.05)
        rows = losses(0, 5)
        rows[1] = {**rows[1], "itc": 9.0}  # trained again by a group of another size
        tracker.log_losses(child, rows)
    client = MlflowClient(tracking_uri(tmp_path))
    for run in (parent, child.run_id):
        points = sorted(client.get_metric_history(run, "detail/loss/itc"), key=lambda point: point.step)
        assert [(point.step, point.value) for point in points] == [(row["step"], row["itc"]) for row in losses(0, 5)]
        assert all((point.timestamp <= told) == (point.step < 3) for point in points)


def test_the_facts_of_a_run_are_tags_by_which_mlflow_shows_them(tmp_path):
    facts = {"user": "me", "source": "knowlip run smoke", "git_commit": "c0ffee", "schedule": "folds 2"}
    tracker = MlflowTracker(TrackedRun(StateFolder(tmp_path), "e", "r", facts=facts))
    tracker.describe("not started yet")
    tracker.start({})
    tracker.describe("**round 1 of 3, train**")
    tracker.describe("**finished**")
    tags = MlflowClient(tracking_uri(tmp_path)).get_run(tracker.run_id()).data.tags
    assert tags["mlflow.user"] == "me"
    assert tags["mlflow.source.name"] == "knowlip run smoke"
    assert tags["mlflow.source.git.commit"] == "c0ffee"
    assert tags["knowlip.schedule"] == "folds 2"
    assert tags["mlflow.note.content"] == "**finished**"


def champion(client: MlflowClient) -> tuple[str | None, str | None]:
    """(run, round) of the version of the registered model that the alias names."""
    version = client.get_model_version_by_alias("e", "champion")
    return version.run_id, version.tags["knowlip.round"]


def test_the_champion_moves_only_when_the_held_out_metric_improves_also_from_run_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    client, ids = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db"), []
    for name, values in (("first", [-0.9, -0.5, -0.7]), ("second", [-0.6, -0.4])):
        run_dir = tmp_path / name
        run_dir.mkdir()
        tracker = tracker_in(run_dir)
        tracker.start({})
        for number, value in enumerate(values, start=1):
            ids.append(write_round(tracker, run_dir, number).run_id)
            tracker.log_champion(number, value)
            best = max(range(len(ids)), key=lambda index: [-0.9, -0.5, -0.7, -0.6, -0.4][index])
            assert champion(client)[0] == ids[best]
        tracker.log_deletion(1)
        tracker.finish("finished")
    versions = client.search_model_versions("name = 'e'")
    assert len(versions) == 5
    deleted = {each.run_id for each in versions if each.tags.get("knowlip.weights") == "deleted by retention"}
    assert deleted == {ids[0], ids[3]}
    for each in versions:
        model = client.get_logged_model(each.tags["knowlip.model_id"])
        assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "e", "version": str(each.version)}]
        for description in (each.description, model.tags.get("mlflow.note.content", "")):
            assert ("deleted by retention" in description) == (each.run_id in deleted)
    assert all(client.get_logged_model(each.tags["knowlip.model_id"]).source_run_id == each.run_id for each in versions)
    undeliver(tmp_path / "second", tmp_path / "second" / "losses.png")
    tracker_in(tmp_path / "second").deliver()
    assert waiting(tmp_path / "second") == 0
    assert len(client.search_model_versions("name = 'e'")) == 5
    assert champion(client) == (ids[4], "2")


def test_runs_below_a_folder_runs_share_its_store_and_those_of_an_ablation_are_its_children(tmp_path, empty_store):
    runs = tmp_path / "runs"
    for name in ("one", "two", "ablation/none-seed0", "deep/er/run"):
        (runs / name).mkdir(parents=True)
    shutil.copy(empty_store, runs / "mlflow.db")
    above = MlflowTracker(TrackedRun(StateFolder(runs / "ablation"), "e", "ablation", kind="ablation"))
    parents = [started(tracker, {}) for tracker in (above, *(tracker_in(runs / name) for name in ("one", "two")))]
    child = started(tracker_in(runs / "ablation" / "none-seed0"), {})
    client = MlflowClient(f"sqlite:///{runs}/mlflow.db")
    found = {run.info.run_id: run.data.tags.get("mlflow.parentRunId") for run in client.search_runs(["1"])}
    assert found == {**dict.fromkeys(parents), child: parents[0]}
    assert local_store(runs / "deep" / "er" / "run") == runs / "deep" / "er" / "run"
    (runs / "one" / "mlflow.db").touch()  # it began when every run had a store of its own
    assert local_store(runs / "one") == runs / "one"


def test_a_crash_is_marked_and_the_restart_goes_on_with_the_same_runs(tmp_path):
    first = tracker_in(tmp_path, "default", "r")
    parent = started(first, {"rounds": 3})
    with pytest.raises(RuntimeError), first.round(1) as child:
        first.log_losses(child, losses(0, 2))
        raise RuntimeError("a worker died")
    first.finish("failed")
    client = MlflowClient(tracking_uri(tmp_path))
    assert client.get_run(parent).info.status == client.get_run(child.run_id).info.status == "FAILED"

    second = tracker_in(tmp_path, "default", "r")
    assert started(second, {"rounds": 5, "new": 1}) == parent
    assert client.get_run(parent).info.status == "RUNNING"
    with second.round(1) as again:
        assert again.run_id == child.run_id
    second.finish("finished")
    run = client.get_run(parent)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"rounds": "3", "new": "1"}
    assert run.data.tags["knowlip.changed.rounds"] == "5"
    assert len(client.search_runs([run.info.experiment_id])) == 2


def test_a_restart_at_another_server_is_refused(tmp_path, monkeypatch):
    tracker_in(tmp_path).start({})
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/elsewhere.db")
    with pytest.raises(RecordError, match="elsewhere.db"):
        tracker_in(tmp_path).start({})


def test_pickles_are_not_tracked(tmp_path):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "model.pt").write_bytes(b"")
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with tracker.round(1) as child, pytest.raises(ValueError, match="model.pt"):
        tracker.log_checkpoint(child, tmp_path / "weights", "a" * 64)


def test_numbers_that_are_unknown_are_left_out(tmp_path):
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with tracker.round(1) as child:
        tracker.log_record(child, record(1, metrics={"annotation_accuracy": None}, accuracy_by_clause=None))
    metrics = MlflowClient(tracking_uri(tmp_path)).get_run(child.run_id).data.metrics
    assert not [name for name in metrics if name.endswith("/annotation_accuracy")]


def test_the_command_to_look_at_a_run_holds_no_password(tmp_path, monkeypatch):
    assert f"ui --backend-store-uri 'sqlite:///{tmp_path}/a b/mlflow.db'" in ui_command(tmp_path / "a b")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://me:hunter2@mlflow.example/x")
    assert ui_command(tmp_path) == "open https://mlflow.example/x"
    assert without_user("a://b:c@d and e://f@g") == "a://d and e://g"


def test_a_run_says_what_is_other_than_in_the_run_before_it(tmp_path):
    told = {}
    for name, params in {
        "a": {"rounds": 2, "seed": 0, "captioner.api_key": "hunter2"},
        "b": {"rounds": 5, "seed": 0, "plugins": ["mine"], "captioner.api_key": "hunter3"},
        "c": {"rounds": 5, "seed": 0, "plugins": ["mine"]},
    }.items():
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        tracker = tracker_in(folder, name=name)
        run_id = started(tracker, params)
        tags = MlflowClient(tracking_uri(folder)).get_run(run_id).data.tags
        told[name] = tags.get("knowlip.differs_from_run_before")
        tracker.finish("finished")
    assert told == {"a": None, "b": 'a: plugins unset → ["mine"]; rounds 2 → 5', "c": "b: nothing"}


def test_the_command_to_look_at_a_run_names_its_page_once_there_is_one(tmp_path, monkeypatch):
    tracker = tracker_in(tmp_path)
    assert "#" not in tracker.view
    parent = started(tracker, {})
    page = f"/#/experiments/1/runs/{parent}/model-metrics?workflowType=machine_learning"
    assert tracker.view.endswith(f"  # then open http://127.0.0.1:5000{page}")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example")  # which knows nothing of this run
    assert ui_command(tmp_path) == "open https://mlflow.example"


def test_delivering_all_twice_and_forgetting_the_ids_changes_nothing(tmp_path):
    tracker = tracker_in(tmp_path)
    tracker.start({"rounds": 1})
    write_round(tracker, tmp_path, 1)
    client = MlflowClient(tracking_uri(tmp_path))
    before, entries = content(client, "e"), len(Outbox(StateFolder(tmp_path), lambda entry: None).entries())
    assert before["models"]
    assert len(before["runs"]) == 2

    runs = json.loads((tmp_path / "mlflow_runs.json").read_text())
    (tmp_path / "mlflow_runs.json").write_text(json.dumps({**runs, "parent": None, "rounds": {}}))
    undeliver(tmp_path, tmp_path / "losses.png")
    assert waiting(tmp_path) == entries
    tracker_in(tmp_path).start({"rounds": 1})
    assert waiting(tmp_path) == 0
    assert content(client, "e") == before
    assert json.loads((tmp_path / "mlflow_runs.json").read_text()) == runs


def test_a_round_that_runs_again_enters_equal_losses_once(tmp_path):
    first = tracker_in(tmp_path)
    first.start({})
    with first.round(1) as child:
        first.log_losses(child, [*losses(0, 3), {"step": 3, "itc": float("nan")}])
    second = tracker_in(tmp_path)
    second.start({})
    with second.round(1) as child:
        second.log_losses(child, [*losses(0, 3), {"step": 3, "itc": float("nan")}])
        second.log_losses(child, losses(4, 1))
    history = MlflowClient(tracking_uri(tmp_path)).get_metric_history(child.run_id, "detail/loss/itc")
    assert [point.step for point in history] == [0, 1, 2, 3, 4]


def test_rounds_and_run_of_a_killed_driver_are_closed_at_the_end(tmp_path):
    killed = tracker_in(tmp_path)
    parent = started(killed, {})
    recorded, interrupted = killed.round(1), killed.round(2)
    ids = [each.__enter__().run_id for each in (recorded, interrupted)]
    write_record(unguarded(tmp_path), record(1))
    client = MlflowClient(tracking_uri(tmp_path))
    assert {client.get_run(run).info.status for run in (parent, *ids)} == {"RUNNING"}

    after = tracker_in(tmp_path)
    after.start({})
    after.finish("failed")
    assert [client.get_run(run).info.status for run in (parent, *ids)] == ["FAILED", "FINISHED", "FAILED"]


def test_a_driver_that_is_ended_behind_a_record_leaves_that_round_finished(tmp_path):
    tracker = tracker_in(tmp_path)
    tracker.start({})
    with pytest.raises(KeyboardInterrupt), tracker.round(1) as recorded:
        write_record(unguarded(tmp_path), record(1))
        raise KeyboardInterrupt
    with pytest.raises(KeyboardInterrupt), tracker.round(2) as interrupted:
        raise KeyboardInterrupt
    client = MlflowClient(tracking_uri(tmp_path))
    assert [client.get_run(each.run_id).info.status for each in (recorded, interrupted)] == ["FINISHED", "KILLED"]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_proxy_that_refuses_everything_is_a_server_that_is_away(status, tmp_path, monkeypatch):
    """A token that ran out, or a proxy without its server: the run goes on, and nothing is given up."""

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.send_header("Content-Length", "12")
            self.end_headers()
            self.wfile.write(b"<html></html"[:12])

        do_POST = do_GET

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=http.serve_forever, daemon=True, args=(0.02,)).start()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{http.server_port}")
    try:
        tracker = tracker_in(tmp_path)
        assert started(tracker, {}) is None
        with tracker.round(1) as child:
            tracker.log_losses(child, losses(0, 2))
        tracker.finish("finished")
    finally:
        http.shutdown()
        http.server_close()
    assert waiting(tmp_path) == 6
    assert str(status) in tracker.undelivered


def test_times_of_a_round_that_runs_again_are_entered_once(tmp_path):
    """A driver that is killed between the entries and the record writes them again, with other times."""
    tracker = tracker_in(tmp_path)
    parent = started(tracker, {})
    for train_s in (1.0, 2.0):
        with tracker.round(1) as child:
            timings = record(1).timings.model_copy(update={"train_s": train_s})
            tracker.log_record(child, record(1).model_copy(update={"timings": timings}))
    client = MlflowClient(tracking_uri(tmp_path))
    for run in (parent, child.run_id):
        assert [point.value for point in client.get_metric_history(run, "detail/time/train_s")] == [1.0]
        assert len(client.get_metric_history(run, "detail/count/accepted")) == 1


def test_a_run_that_was_deleted_in_mlflow_ends_nothing_and_gets_all_once_it_is_restored(tmp_path):
    tracker = tracker_in(tmp_path)
    client, parent = MlflowClient(tracking_uri(tmp_path)), started(tracker, {})
    client.delete_run(parent)
    with tracker.round(1) as child:
        tracker.log_losses(child, losses(0, 1))
    tracker.finish("finished")
    assert parent in tracker.undelivered
    assert "active" in tracker.undelivered

    client.restore_run(parent)
    tracker_in(tmp_path).deliver()
    assert waiting(tmp_path) == 0
    assert client.get_run(parent).info.status == "FINISHED"
    assert [point.step for point in client.get_metric_history(parent, "detail/loss/total")] == [0]


def delete_for_good(client: MlflowClient, run_id: str) -> None:
    """As `mlflow gc` does: it cannot be restored."""
    client.delete_run(run_id)
    client._tracking_client.store._hard_delete_run(run_id)


@pytest.mark.parametrize("lost", ["parent", "round 2", "all", "all, by a store with other experiments"])
def test_what_the_store_has_lost_ends_the_run_and_is_entered_again_by_the_next_start(
    lost, tmp_path, monkeypatch, empty_store, capsys
):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    MlflowClient(uri).create_experiment("e", artifact_location=f"{tmp_path}/artifacts")
    tracker = tracker_in(run_dir)
    parent = started(tracker, {"rounds": 2})
    write_round(tracker, run_dir, 1)

    def lose() -> None:
        if lost == "parent":
            delete_for_good(MlflowClient(uri), parent)
        elif lost == "round 2":
            delete_for_good(MlflowClient(uri), tracker.run_id(2))
        else:
            shutil.copy(empty_store, tmp_path / "mlflow.db")
            if lost != "all":
                MlflowClient(uri).create_experiment("another's")

    with pytest.raises(RunGone, match=f"has no run [0-9a-f]+ any more.*resume {run_dir}") as error:
        write_round(tracker, run_dir, 2, meanwhile=lose)
    assert uri in str(error.value)
    assert isinstance(error.value, UserError)
    with pytest.raises(RunGone):
        tracker.finish("failed")
    assert f"knowlip resume {run_dir}" in tracker.undelivered

    again = tracker_in(run_dir)
    entered = started(again, {"rounds": 2})
    assert "any more: it was deleted for good" in capsys.readouterr().err
    assert (entered == parent) == (lost == "round 2")
    write_round(again, run_dir, 2)
    again.log_deletion(1)  # of a round that is over
    again.finish("finished")
    assert waiting(run_dir) == 0
    found = content(MlflowClient(uri), "e")["runs"]
    runs = json.loads((run_dir / "mlflow_runs.json").read_text())
    ids = {runs["parent"], *runs["rounds"].values()}
    assert len(ids) == 3
    assert ids <= set(found)
    assert all(found[run][0] == "FINISHED" for run in ids)
    assert [point[0] for point in found[entered][3]["detail/loss/itc"]] == list(range(20, 60))
    assert found[entered][2] == {"rounds": "2"}
    for number in (1, 2):
        _, _, _, points, digests, models, figures = found[runs["rounds"][str(number)]]
        assert [point[0] for point in points["detail/loss/itc"]] == list(range(20 * number, 20 * number + 20))
        assert digests == [f"{number}" * 32]
        assert len(models) == 1
    assert figures == ["figures/losses.png"]  # that were not sent before
    tracker_in(run_dir).start({"rounds": 2})
    assert capsys.readouterr().err == ""


def test_the_rest_of_an_ended_run_goes_to_a_store_that_lost_it(tmp_path, empty_store):
    tracker = tracker_in(tmp_path)
    tracker.start({})
    shutil.copy(empty_store, tmp_path / "mlflow.db")
    with pytest.raises(RunGone):
        tracker.finish("finished")
    tracker_in(tmp_path).deliver()
    [(status, *_)] = content(MlflowClient(tracking_uri(tmp_path)), "e")["runs"].values()
    assert status == "FINISHED"
    assert waiting(tmp_path) == 0


def test_an_experiment_that_another_run_makes_at_the_same_moment_is_taken(tmp_path, monkeypatch):
    look = MlflowClient.get_experiment_by_name
    made = []

    def too_early(client: MlflowClient, name: str):
        found = look(client, name)
        if not made:
            made.append(client.create_experiment(name))
        return found

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    parent = started(tracker_in(tmp_path), {})
    assert [MlflowClient(tracking_uri(tmp_path)).get_run(parent).info.experiment_id] == made


class Artifacts(BaseHTTPRequestHandler):
    """Takes files, or answers with `status`."""

    status = 200

    def do_PUT(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(type(self).status)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"said")

    def log_message(self, *_):
        pass


@pytest.fixture
def artifacts():
    class Handler(Artifacts):
        pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http.serve_forever, daemon=True, args=(0.02,)).start()
    yield f"http://127.0.0.1:{http.server_port}/files", Handler
    http.shutdown()
    http.server_close()


def tracker_with_artifacts_at(location: str, tmp_path, monkeypatch) -> MlflowTracker:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    MlflowClient().create_experiment("e", artifact_location=location)
    (tmp_path / "run").mkdir()
    (tmp_path / "figure.png").write_bytes(b"png")
    tracker = tracker_in(tmp_path / "run")
    tracker.start({})
    return tracker


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503, 507])
def test_a_place_for_artifacts_that_refuses_us_is_away_and_gets_them_once_it_is_back(
    status, tmp_path, monkeypatch, artifacts
):
    location, handler = artifacts
    tracker = tracker_with_artifacts_at(location, tmp_path, monkeypatch)
    handler.status = status
    tracker.log_files(None, [tmp_path / "figure.png"], "figures")
    tracker.finish("finished")
    assert waiting(tmp_path / "run") == 2
    assert tracker.undelivered is not None
    handler.status = 200
    tracker_in(tmp_path / "run").deliver()
    assert waiting(tmp_path / "run") == 0


def test_a_place_for_artifacts_that_does_not_take_a_file_is_named_once_and_holds_nothing_up(
    tmp_path, monkeypatch, artifacts, capsys
):
    location, handler = artifacts
    tracker = tracker_with_artifacts_at(location, tmp_path, monkeypatch)
    handler.status = 413
    for _ in range(2):  # rounds
        tracker.log_files(None, [tmp_path / "figure.png"], "figures")
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(f"Warning: figure.png cannot be put.*{location}/[0-9a-f]+/artifacts .*413", said)
    assert said.count("Warning") == 1
    tracker.finish("finished")
    assert waiting(tmp_path / "run") == 0
    assert tracker.undelivered is None


def test_a_place_for_artifacts_on_the_servers_machine_is_named(tmp_path, monkeypatch, capsys):
    (tmp_path / "there").write_text("a file, so that nobody can make a folder in it")
    tracker = tracker_with_artifacts_at(f"file://{tmp_path}/there/files", tmp_path, monkeypatch)
    tracker.log_files(None, [tmp_path / "figure.png"], "figures")
    said = " ".join(capsys.readouterr().err.split())
    assert re.search(f"{tmp_path}/there/files/.*NotADirectoryError.*--serve-artifacts", said)
    tracker.finish("finished")
    assert waiting(tmp_path / "run") == 0


def test_a_place_for_artifacts_that_fails_for_a_moment_gets_its_files_later(tmp_path, monkeypatch):
    tracker = tracker_with_artifacts_at(f"file://{tmp_path}/files", tmp_path, monkeypatch)

    def stale(*_, **__):
        raise OSError(errno.ESTALE, "Stale file handle")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="Stale"):
        patch.setattr(LocalArtifactRepository, "log_artifact", stale)
        tracker.log_files(None, [tmp_path / "figure.png"], "figures")
    tracker.finish("finished")
    assert waiting(tmp_path / "run") == 0
    assert list(tmp_path.glob("files/*/artifacts/figures/figure.png"))


def test_a_full_disk_under_artifacts_stays_a_full_disk_and_the_files_wait(tmp_path, monkeypatch):
    tracker = tracker_with_artifacts_at(f"file://{tmp_path}/files", tmp_path, monkeypatch)

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(DiskFull):
        patch.setattr(LocalArtifactRepository, "log_artifact", full)
        tracker.log_files(None, [tmp_path / "figure.png"], "figures")
    tracker.finish("finished")
    assert waiting(tmp_path / "run") == 0
    assert list(tmp_path.glob("files/*/artifacts/figures/figure.png"))


@pytest.mark.parametrize("kind", ["find_or_create", "find_or_create_experiment", "_init__", "reboot", ""])
def test_a_kind_of_entry_that_there_is_not_calls_nothing(tmp_path, kind):
    def away(entry: Entry) -> None:
        raise TrackerAway("no answer")

    Outbox(StateFolder(tmp_path), away).write(kind, 0, {})
    with pytest.raises(RecordError, match=f"mlflow_outbox.db is damaged: an entry is of the unknown kind '{kind}'"):
        tracker_in(tmp_path).deliver()


def test_a_round_that_cannot_be_closed_keeps_the_error_of_its_body_and_is_closed_at_the_end(tmp_path, monkeypatch):
    tracker = tracker_in(tmp_path)
    tracker.start({})

    def refuse(*arguments) -> None:
        raise DiskFull("no room for the end of a round")

    with monkeypatch.context() as patch, pytest.raises(ValueError, match="the body's own"), tracker.round(1) as child:
        patch.setattr(Outbox, "write", refuse)
        raise ValueError("the body's own")
    tracker.finish("failed")
    assert MlflowClient(tracking_uri(tmp_path)).get_run(child.run_id).info.status == "FAILED"
