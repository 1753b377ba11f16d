"""What MLflow is told by a driver that is interrupted, or loses its lease, in the middle of telling it."""

import json
import shutil
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from corpus.storage.lock import LeaseLost
from orchestrator.tracking import outbox as spool_module
from orchestrator.tracking.mlflow import Tracker, tracking_uri
from orchestrator.tracking.outbox import LOOP, Entry, Spool, read_delivered, read_journal, waiting


class Store:
    """Keeps entries by identity, as MLflow does, and how many files came with each."""

    def __init__(self) -> None:
        self.got: list[Entry] = []
        self.files: list[int] = []
        self.spool: Spool | None = None

    def __call__(self, entry: Entry) -> None:
        files = len(self.spool.kept_files()) if entry.kind == "files" else 0
        if entry not in self.got:
            self.got.append(entry)
            self.files.append(files)


def spool_with_store(run_dir: Path, store: Store) -> Spool:
    store.spool = Spool(run_dir, store)
    return store.spool


@pytest.fixture(autouse=True)
def in_the_run_directory(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.mark.parametrize("whole", [True, False])
def test_a_write_that_is_interrupted_behind_its_line_is_delivered_before_the_next(tmp_path, monkeypatch, whole):
    store, append = Store(), spool_module._append
    spool = spool_with_store(tmp_path, store)
    spool.write("open", LOOP, {})

    def interrupted(path: Path, line: bytes) -> None:
        append(path, line if whole else line[: len(line) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(spool_module, "_append", interrupted)
        spool.write("metrics", LOOP, {"points": []})
    spool.write("close", LOOP, {"status": "KILLED"})
    expected = ["open", "metrics", "close"] if whole else ["open", "close"]
    assert [entry.kind for entry in store.got] == [entry.kind for entry in read_journal(tmp_path)] == expected
    assert read_delivered(tmp_path) == len(expected)


def test_an_interrupt_at_any_line_of_the_spool_loses_nothing(tmp_path):
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"png")

    def run(run_dir: Path, interrupted_line: int) -> bool:
        """Returns whether there was such a line, counted over all that are passed."""
        store, passed = Store(), 0

        def trace(frame, event, _):
            nonlocal passed
            if frame.f_code.co_filename != spool_module.__file__:
                return None
            if event == "line":
                passed += 1
                if passed == interrupted_line:
                    raise KeyboardInterrupt
            return trace

        spool = spool_with_store(run_dir, store)
        spool.write("open", LOOP, {})
        before = sys.gettrace()
        sys.settrace(trace)
        try:
            spool.write("files", LOOP, {"folder": "figures"}, files=[figure])
            spool.write("tags", LOOP, {"tags": {}})
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(before)
        spool.write("close", LOOP, {"status": "KILLED"})  # as the end of a driver does
        assert spool.flush()
        assert store.got == read_journal(run_dir)
        assert waiting(run_dir) == 0
        assert store.got[0].kind == "open"
        assert store.got[-1].kind == "close"
        assert store.files == [int(entry.kind == "files") for entry in store.got]
        spool_with_store(run_dir, Store())
        assert not list((run_dir / "mlflow_files").glob("*"))
        return passed >= interrupted_line

    line = 1
    while run(_made(tmp_path / str(line)), line):
        line += 1
    assert line > 40, "the lines of write, append, keep and delivery were passed"


def test_an_interrupt_while_delivered_files_are_removed_leaves_them_delivered(tmp_path, monkeypatch):
    store, remove = Store(), shutil.rmtree
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"png")
    spool = spool_with_store(tmp_path, store)

    def interrupted(path: Path, **options) -> None:
        remove(path, **options)
        if store.got:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", interrupted)
        spool.write("files", LOOP, {"folder": "figures"}, files=[figure])
    assert spool.flush()
    assert store.files == [1]
    assert read_delivered(tmp_path) == 1


def test_a_round_whose_begin_is_interrupted_is_closed_at_the_end(tmp_path, monkeypatch):
    tracker, append = Tracker(tmp_path, experiment="e", run_name="r"), spool_module._append
    tracker.start({})

    def interrupted(path: Path, line: bytes) -> None:
        append(path, line)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(spool_module, "_append", interrupted)
        with tracker.round(1):
            pass
    tracker.finish("KILLED")
    runs = json.loads((tmp_path / "mlflow_runs.json").read_text())
    client = MlflowClient(tracking_uri(tmp_path))
    assert [client.get_run(run).info.status for run in (runs["parent"], runs["rounds"]["1"])] == ["KILLED", "KILLED"]


def test_an_id_that_was_not_saved_for_an_interrupt_is_saved_when_its_run_is_opened_again(tmp_path, monkeypatch):
    tracker = Tracker(tmp_path, experiment="e", run_name="r")
    tracker.start({})

    def interrupted() -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(tracker._spool._deliver, "_save", interrupted)
        with tracker.round(1):
            pass
    tracker.finish("KILLED")
    assert list(json.loads((tmp_path / "mlflow_runs.json").read_text())["rounds"]) == ["1"]


def test_a_driver_that_loses_its_lease_inside_a_request_does_not_set_the_number_back(tmp_path):
    lost = []

    def check() -> None:
        if lost:
            raise LeaseLost("another driver has taken over")

    def deliver(entry: Entry) -> None:
        if entry.kind == "metrics":  # meanwhile the winner delivers that, and more
            lost.append(True)
            (tmp_path / "mlflow_delivered.json").write_text('{"entries": 5}')

    spool = Spool(tmp_path, deliver, check)
    spool.write("open", LOOP, {})
    with pytest.raises(LeaseLost):
        spool.write("metrics", LOOP, {"points": []})
    assert read_delivered(tmp_path) == 5


def test_a_driver_that_loses_its_lease_inside_a_request_does_not_write_its_ids(tmp_path, monkeypatch):
    lost, create = [], MlflowClient.create_run

    def check() -> None:
        if lost:
            raise LeaseLost("another driver has taken over")

    def create_slowly(*args, **options):
        run = create(*args, **options)
        lost.append(True)
        (tmp_path / "mlflow_runs.json").write_text("the winner's")
        return run

    monkeypatch.setattr(MlflowClient, "create_run", create_slowly)
    with pytest.raises(LeaseLost):
        Tracker(tmp_path, experiment="e", run_name="r", check=check).start({})
    assert (tmp_path / "mlflow_runs.json").read_text() == "the winner's"
    assert read_delivered(tmp_path) == 0


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
