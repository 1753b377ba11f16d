"""How a session ends when its disk is full or a phase hangs: real session, lease, MLflow store; no cluster is needed."""

import io
import os
import signal
import time

import pytest
from mlflow import MlflowClient
from rich.console import Console
from shared_run import ROOT
from small_disk import CannotMount, small_disk
from test_records import record

from corpus.disk import DiskFull
from orchestrator import running
from orchestrator.config import load_config
from orchestrator.lease import read_lease
from orchestrator.now import read_now
from orchestrator.progress import Progress
from orchestrator.records import read_records, write_record
from orchestrator.run_directory import RunDirectory
from orchestrator.session import Session
from orchestrator.tracking import tracking_uri
from orchestrator.watchdog import RunStalled


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def session_in(path, *settings) -> tuple[Session, io.StringIO]:
    config = load_config(ROOT / "configs" / "smoke.yaml", list(settings))
    directory = RunDirectory.open(path)[0] if path.exists() else RunDirectory.create(config, path)
    said = io.StringIO()
    return Session(config, directory, None, Progress(Console(file=said, width=1000))), said


def parent_run(session: Session):
    client = MlflowClient(tracking_uri(session.directory.path))
    return client.get_run(session.tracker.parent_run_id)


def test_a_phase_that_hangs_ends_the_run_as_failed_and_says_why(tmp_path):
    session, said = session_in(tmp_path / "run", "watchdog.warn_after_s=0.3", "watchdog.give_up_after_s=4")
    with pytest.raises(RunStalled, match="Nothing has moved in score of round 1 for .*knowlip resume"):
        with session, session.round(1) as this, this.phase("score"):
            time.sleep(100)
    assert said.getvalue().count("Warning: Nothing has moved in score of round 1") == 1
    run = parent_run(session)
    assert run.info.status == "FAILED"
    assert run.data.tags["knowlip.stalled"].startswith("Nothing has moved in score of round 1")
    assert read_lease(session.directory.path).released and read_now(session.directory.path).phase == "ended"


def test_the_first_full_disk_is_the_error_and_a_later_session_goes_on(tmp_path):
    try:
        with small_disk(tmp_path / "disk", 16) as disk:
            session, _ = session_in(disk.path / "run")
            write_record(session.directory.path, record(1))
            with pytest.raises(DiskFull, match="0002.json could not be written"):
                with session, session.round(2) as this, this.phase("evaluate"):
                    disk.fill()
                    write_record(session.directory.path, record(2), session.lease.fence)
            assert [each.round for each in read_records(session.directory.path)] == [1]
            disk.empty()
            session.lease.release()  # as the end of its process does
            again, _ = session_in(session.directory.path)
            with again:
                assert again.last_round == 1
                again.retain()
            run = parent_run(again)
            assert run.info.status == "FINISHED" and run.data.tags["knowlip.champion_round"] == "1"
            assert again.tracker.parent_run_id == session.tracker.parent_run_id
    except CannotMount as error:
        pytest.skip(str(error))


def test_deleted_weights_are_marked_in_mlflow(tmp_path):
    session, _ = session_in(tmp_path / "run", "retention.champion=last")
    with session:
        for number in range(1, 5):
            weights = session.directory.weights(number)
            weights.mkdir(parents=True)
            (weights / "model.safetensors").write_bytes(b"x")
            with session.tracker.round(number) as child:
                session.tracker.log_checkpoint(child, weights, f"{number}" * 64)
        session.records = [record(number) for number in range(1, 5)]
        session.retain()
    client = MlflowClient(tracking_uri(session.directory.path))
    for number in range(1, 5):
        run = client.get_run(session.tracker._opened[0].run_id(number))
        [output] = run.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        deleted = number <= 2
        assert session.directory.weights(number).exists() != deleted
        for tags in (run.data.tags, model.tags):
            assert (tags.get("knowlip.weights") == "deleted by retention") == deleted
    assert parent_run(session).data.tags["knowlip.champion_round"] == "4"


def test_a_resume_that_is_terminated_before_its_loop_begins_says_how_to_go_on(tmp_path, monkeypatch):
    """While it checks and opens the corpus; the real signal, sent by this process to itself."""
    directory = RunDirectory.create(load_config(ROOT / "configs" / "smoke.yaml"), tmp_path / "run")
    monkeypatch.setattr(running, "make_data", lambda config, console: os.kill(os.getpid(), signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    said = io.StringIO()
    try:
        running.resume_run(directory.path, Console(file=said, width=1000))
    finally:
        signal.signal(signal.SIGTERM, before)
    assert f"Interrupted; the state is saved. Resume with: knowlip resume {directory.path}" in said.getvalue()
    assert not (directory.path / "corpus.json").exists() and read_lease(directory.path) is None
