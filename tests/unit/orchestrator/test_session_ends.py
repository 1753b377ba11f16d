"""How a session ends when its disk is full or a phase hangs: real session, lease, MLflow store; needs no cluster."""

import io
import os
import signal
import threading
import time
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from rich.console import Console

from corpus.storage.disk import DiskFull
from corpus.storage.errors import Interrupted
from corpus.storage.lock import LeaseLost
from orchestrator import start as running
from orchestrator.config.load import load_config
from orchestrator.monitoring.progress import Progress
from orchestrator.monitoring.status import read_status
from orchestrator.monitoring.watchdog import RunStalled
from orchestrator.run.session import Session
from orchestrator.state.lease import read_lease
from orchestrator.state.records import read_records, write_record
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.run_end import read_end, was_cut_off
from orchestrator.tracking.mlflow_store import tracking_uri
from support.json_lines_tracker import told
from support.paths import ROOT
from support.records import record
from support.small_disk import CannotMount, small_disk
from support.unguarded import unguarded


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
    return client.get_run(session.tracker.run_id())


def test_a_phase_that_hangs_ends_the_run_as_failed_and_says_why(tmp_path):
    session, said = session_in(tmp_path / "run", "watchdog.warn_after_s=0.3", "watchdog.give_up_after_s=4")
    with pytest.raises(RunStalled, match="Nothing has moved in score of round 1 for .*knowlip resume"), session:
        round_ = next(session.remaining_rounds())
        with session.recording(round_), round_.phase("score"):
            time.sleep(100)
    assert said.getvalue().count("Warning: Nothing has moved in score of round 1") == 1
    run = parent_run(session)
    assert run.info.status == "FAILED"
    assert run.data.tags["knowlip.stalled"].startswith("Nothing has moved in score of round 1")
    end = read_end(session.directory.path)
    assert end.status == "failed"
    assert end.error.startswith("RunStalled: Nothing has moved in score of round 1 for ")
    assert read_lease(session.directory.path).released
    assert read_status(session.directory.path).phase == "ended"


def test_the_first_full_disk_is_the_error_and_a_later_session_goes_on(tmp_path):
    try:
        with small_disk(tmp_path / "disk", 16) as disk:
            session, _ = session_in(disk.path / "run")
            write_record(unguarded(session.directory.path), record(1))
            with pytest.raises(DiskFull, match="0002.json could not be written"), session:
                round_ = next(session.remaining_rounds())
                with session.recording(round_), round_.phase("evaluate"):
                    disk.fill()
                    write_record(session.directory, record(2))
            assert [each.round for each in read_records(session.directory.path)] == [1]
            disk.empty()
            session.lease.release()  # as the end of its process does
            again, _ = session_in(session.directory.path)
            with again:
                assert next(again.remaining_rounds()).number == 2
                again.retain()
            run = parent_run(again)
            assert run.info.status == "FINISHED"
            assert run.data.tags["knowlip.champion_round"] == "1"
            assert again.tracker.run_id() == session.tracker.run_id()
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
        run = client.get_run(session.tracker.run_id(number))
        [output] = run.outputs.model_outputs
        model = client.get_logged_model(output.model_id)
        deleted = number <= 2
        assert session.directory.weights(number).exists() != deleted
        for tags in (run.data.tags, model.tags):
            assert (tags.get("knowlip.weights") == "deleted by retention") == deleted
    assert parent_run(session).data.tags["knowlip.champion_round"] == "4"


@pytest.mark.parametrize(("error", "status"), [(RuntimeError("refused"), "FAILED"), (KeyboardInterrupt(), "KILLED")])
def test_a_session_that_does_not_come_to_its_begin_leaves_nothing_open(tmp_path, monkeypatch, error, status):
    session, _ = session_in(tmp_path / "run")

    start = session.tracker.start

    def fail(params):
        start(params)
        raise error

    monkeypatch.setattr(session.tracker, "start", fail)  # the run is open by then
    with pytest.raises(type(error)), session:
        pytest.fail("it has not begun")
    assert parent_run(session).info.status == status
    assert read_end(session.directory.path).status == {"FAILED": "failed", "KILLED": "interrupted"}[status]
    assert read_lease(session.directory.path).released
    assert read_status(session.directory.path).phase == "ended"


def test_a_tracker_that_is_added_from_outside_is_told_what_a_session_does(tmp_path):
    session, _ = session_in(tmp_path / "run", "tracking.kind=json_lines")
    with session:
        with session.tracker.round(1) as round_:
            session.tracker.log_record(round_, record(1))
        session.records = [record(1)]
        session.retain()
    found = told(session.directory.path)
    what = ["start", "prompts", "begin", "record", "end", "tags", "describe", "finish"]
    assert [each["what"] for each in found] == what
    assert found[-2]["text"].startswith("**finished** after 1 of 2 rounds")
    assert "unknown → 0.9100 after round 1" in found[-2]["text"]
    assert found[0] == {"what": "start", "experiment": "smoke", "seed": 0}
    assert found[-1] == {"what": "finish", "status": "finished"}
    assert not list(session.directory.path.glob("mlflow*"))
    assert not was_cut_off(session.directory.path)


def test_a_run_whose_tracker_cannot_be_told_its_end_has_failed(tmp_path, monkeypatch):
    session, _ = untracked(tmp_path / "run")

    def refuse(status) -> None:
        raise ValueError("refused")

    monkeypatch.setattr(session.tracker, "finish", refuse)
    with pytest.raises(ValueError, match="refused"), session:
        pass
    assert read_end(session.directory.path).error == "ValueError: refused"
    assert was_cut_off(session.directory.path)


class Captioner:
    """Says how it was told to end; `end` is what happens then."""

    def __init__(self, end=lambda: None) -> None:
        self._end, self.told = end, []

    def shutdown(self, **how) -> None:
        self.told.append(how)
        self._end()


def untracked(path) -> tuple[Session, io.StringIO]:
    session, said = session_in(path)
    session.tracker.start = lambda params: None
    return session, said


def test_the_captioner_is_shut_down_however_the_run_ends(tmp_path):
    session, _ = untracked(tmp_path / "run")
    with session:
        captioner = session.hold_captioner(Captioner())
    assert captioner.told == [{}]
    for error in (ValueError, KeyboardInterrupt):
        again, _ = untracked(session.directory.path)
        with pytest.raises(error), again:
            captioner = again.hold_captioner(Captioner())
            raise error
        assert captioner.told == [{"wait": False}]


@pytest.mark.parametrize("hangs", [True, False])
def test_a_captioner_that_cannot_be_shut_down_hides_no_error(tmp_path, monkeypatch, hangs):
    monkeypatch.setattr("orchestrator.run.lifetimes._CAPTIONER_PATIENCE_S", 0.2)
    session, said = untracked(tmp_path / "run")
    over = threading.Event()

    def end():
        over.wait(60) if hangs else ray_is_gone()

    def ray_is_gone():
        raise ConnectionError("Ray is gone")

    with pytest.raises(ValueError, match="the run's own"), session:
        session.hold_captioner(Captioner(end))
        raise ValueError("the run's own")
    over.set()
    assert ("The captioner was not shut down: Ray is gone" in said.getvalue()) != hangs
    assert read_lease(session.directory.path).released


def test_a_driver_that_lost_its_lease_leaves_the_captioner_of_its_successor(tmp_path, monkeypatch):
    """It has the same name on a shared cluster."""
    session, _ = untracked(tmp_path / "run")

    def lost():
        raise LeaseLost("another driver has taken over")

    with pytest.raises(LeaseLost), session:
        captioner = session.hold_captioner(Captioner())
        monkeypatch.setattr(session.lease, "check", lost)
        session.lease.check()
    assert captioner.told == []
    assert read_status(session.directory.path) is None


class Workers:
    """A training group whose end fails."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def stop(self, grace_s: float) -> None:
        raise self._error

    let_go = stop


@pytest.mark.parametrize("own", [ValueError("the run's own"), KeyboardInterrupt()])
def test_what_fails_in_the_end_hides_no_error_and_no_interruption(tmp_path, own):
    session, said = untracked(tmp_path / "run")
    with pytest.raises(type(own)) as raised, session:
        session.hold_trainer(Workers(ConnectionError("Ray is gone")))
        raise own
    assert raised.value is own
    assert "did not come to a clean end: ConnectionError: Ray is gone" in said.getvalue()
    assert read_lease(session.directory.path).released
    assert read_status(session.directory.path).phase == "ended"


def test_an_interrupted_run_that_could_not_save_its_state_says_so(tmp_path):
    session, _ = untracked(tmp_path / "run")
    with pytest.raises(DiskFull), session:
        session.hold_trainer(Workers(DiskFull("the checkpoint did not fit")))
        raise KeyboardInterrupt


def test_start_weights_are_written_under_the_lease(tmp_path, monkeypatch):
    """By whichever process makes them: a rank, or the driver where they come from files."""
    session, _ = untracked(tmp_path / "run")
    given = []

    def stop(*arguments, start, **settings):
        given.append(start.writer)
        raise StopIteration

    copied = []
    monkeypatch.setattr("actors.weights.copy_weights", lambda *arguments: copied.append(arguments[-1]))
    monkeypatch.setattr("orchestrator.run.actors.TrainerGroup", stop)
    monkeypatch.setattr(
        "orchestrator.run.actors.Reservation", lambda *arguments: SimpleNamespace(close=lambda cancel: None)
    )
    with session:
        for source in (None, tmp_path / "earlier"):
            session.config = session.config.model_copy(update={"start_weights": source})
            with pytest.raises(StopIteration):
                session.start_actors(None)
        assert given == [session.directory.writer] * 2
        assert copied == [session.directory.writer], "weights that are copied are copied by the driver"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_resume_that_is_ended_before_its_loop_begins_says_how_to_go_on(tmp_path, monkeypatch, number):
    """While it checks and opens the corpus; the real signal, sent by this process to itself."""
    directory = RunDirectory.create(load_config(ROOT / "configs" / "smoke.yaml"), tmp_path / "run")
    monkeypatch.setattr("orchestrator.open_corpus.make_data", lambda config, console: os.kill(os.getpid(), number))
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP)}
    said = io.StringIO()
    try:
        with pytest.raises(Interrupted) as end:
            running.resume_run(directory.path, Console(file=said, width=1000))
        assert end.value.exit_status == 3, "a scheduler that takes 0 for success would not go on with the run"
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
    assert f"Interrupted; what is finished is kept. Resume with: knowlip resume {directory.path}" in said.getvalue()
    assert not (directory.path / "corpus.json").exists()
    assert read_lease(directory.path) is None


def test_losses_and_the_phase_reach_the_tracker_while_a_round_goes_on(tmp_path):
    session, _ = session_in(tmp_path / "run", "tracking.kind=json_lines")
    with pytest.raises(ValueError, match="the body's own"), session:
        round_ = next(session.remaining_rounds())
        with session.recording(round_), round_.phase("train"):
            round_.phases.losses_trained(0, [{"step": 4, "itc": 2.0}])
            assert told(session.directory.path)[-1] == {"what": "losses", "round": 1, "steps": [4]}
            raise ValueError("the body's own")
    texts = [each["text"] for each in told(session.directory.path) if each["what"] == "describe"]
    assert texts[0].startswith("**round 1 of 2, train**")
    assert texts[-1].startswith("**failed** after 0 of 2 rounds, in round 1 of 2, train; go on with `knowlip resume ")
