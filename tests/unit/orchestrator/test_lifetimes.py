"""The order in which the services of a run end, and what each end does, by how the run's body ended."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from orchestrator.config.load import load_config
from orchestrator.monitoring.progress import Progress
from orchestrator.run import lifetimes
from orchestrator.run.session import Session
from orchestrator.state.run_directory import RunDirectory
from support.paths import ROOT


class Service:
    """Writes down what it is told. Every call is an end; `trouble` is what each of them raises."""

    def __init__(self, name: str, ends: list[str], trouble: Exception | None = None) -> None:
        self._name, self._ends, self._trouble = name, ends, trouble

    def __getattr__(self, call: str) -> Callable:
        def end(*_arguments, **_settings) -> None:
            self._ends.append(f"{self._name}.{call}")
            if self._trouble is not None:
                raise self._trouble

        return end


@pytest.fixture
def session(tmp_path, monkeypatch):
    """A session that holds a trainer and a captioner, and the ends of its services in their order."""
    monkeypatch.chdir(tmp_path)
    config = load_config(ROOT / "configs" / "smoke.yaml", [])
    directory = RunDirectory.create(config, tmp_path / "run")
    session = Session(config, directory, None, Progress(Console(file=io.StringIO())))
    ends: list[str] = []
    session.tracker = Service("tracker", ends)
    monkeypatch.setattr(lifetimes, "leave", Service("cluster", ends).leave)
    for name, service, method in (
        ("watchdog", session.watchdog, "stop"),
        ("lease", session.lease, "release"),
    ):
        monkeypatch.setattr(service, method, both(getattr(service, method), Service(name, ends), method))
    return session, ends


def both(original: Callable, service: Service, method: str) -> Callable:
    def end():
        getattr(service, method)()
        return original()

    return end


def run(session: Session, ends: list[str], error: BaseException | None, trouble: Exception | None = None) -> list[str]:
    with session:
        session.hold_trainer(Service("trainer", ends, trouble))
        session.hold_captioner(Service("captioner", ends))
        ends.clear()
        if error is not None:
            raise error
    return ends


TOLD = ["tracker.describe", "tracker.finish"]
LAST = ["cluster.leave", "lease.release", "watchdog.stop"]


def test_a_run_that_finished_closes_every_service_and_leaves_the_cluster_before_the_lease(session):
    assert run(*session, None) == [*TOLD, "captioner.shutdown", "trainer.close", *LAST]


def test_after_an_error_the_workers_are_let_go_and_not_waited_for(session):
    with pytest.raises(ValueError, match="the run's own"):
        run(*session, ValueError("the run's own"))
    assert session[1] == [*TOLD, "captioner.shutdown", "trainer.let_go", *LAST]


def test_after_an_interruption_the_workers_save_their_state_before_anything_else_ends(session):
    with pytest.raises(KeyboardInterrupt):
        run(*session, KeyboardInterrupt())
    assert session[1] == ["trainer.stop", *TOLD, "captioner.shutdown", *LAST]


def test_an_end_that_fails_keeps_no_other_service_from_ending(session):
    with pytest.raises(ConnectionError, match="Ray is gone"):
        run(*session, None, ConnectionError("Ray is gone"))
    assert session[1] == [*TOLD, "captioner.shutdown", "trainer.close", *LAST]


def test_a_later_end_goes_by_how_the_run_ended_and_not_by_what_failed_meanwhile(session):
    """The trainer's end fails after an interruption; the tracker is still told that it was interrupted."""
    told = []
    session[0].tracker.finish = told.append
    with pytest.raises(KeyboardInterrupt):
        run(*session, KeyboardInterrupt(), ConnectionError("Ray is gone"))
    assert told == ["interrupted"]
