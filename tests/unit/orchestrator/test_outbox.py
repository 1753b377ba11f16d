"""The outbox: order, waiting, and every moment at which a driver can be killed or interrupted."""

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from corpus.storage.disk import DiskFull
from corpus.storage.lock import LeaseLost, LockHeld
from corpus.storage.state_files import RecordError, StateFolder
from orchestrator.tracking import outbox as outbox_module
from orchestrator.tracking.base import TrackerAway
from orchestrator.tracking.outbox import LOOP, OUTBOX, Entry, Outbox, RunGone, open_runs
from support.paths import ROOT
from support.trackers import lose_lease, under_lease

SYNCHRONOUS = outbox_module._OPEN


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch):
    """A killed process loses nothing of what the system has in memory, so tests need not wait for the disk."""
    monkeypatch.setattr(outbox_module, "_OPEN", SYNCHRONOUS.replace("synchronous = EXTRA", "synchronous = OFF"))


class Store:
    """Keeps entries by identity, as MLflow does; away as long as `away` is true."""

    def __init__(self, away: bool = False) -> None:
        self.away, self.refuses, self.calls = away, None, 0
        self.got: list[Entry] = []

    def __call__(self, entry: Entry) -> None:
        self.calls += 1
        if self.away:
            raise TrackerAway("no answer")
        if self.refuses is not None:
            raise self.refuses
        if entry not in self.got:
            self.got.append(entry)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def nobody(entry: Entry) -> None:
    raise TrackerAway("nobody listens")


def written(run_dir: Path) -> list[Entry]:
    return Outbox(StateFolder(run_dir), nobody).entries()


def test_what_waits_is_delivered_once_and_in_order_by_a_later_outbox(tmp_path):
    first = Outbox(StateFolder(tmp_path), nobody)
    for number in range(5):
        first.write("metrics", number, {"points": [["loss", number / 3, number]]})
    assert first.waiting == 5
    store = Store()
    second = Outbox(StateFolder(tmp_path), store)
    second.write("tags", LOOP, {"tags": {"after": "the crash"}})
    assert store.got == written(tmp_path)
    assert [entry.run for entry in store.got] == [0, 1, 2, 3, 4, LOOP]
    assert second.waiting == 0
    again = Store()
    assert Outbox(StateFolder(tmp_path), again).flush()
    assert again.calls == 0


def test_a_crash_between_delivery_and_its_mark_delivers_one_entry_twice_and_no_other(tmp_path):
    store = Store()

    def die_after_delivery(entry: Entry) -> None:
        store(entry)
        if entry.run == 2:
            raise KeyboardInterrupt

    outbox = Outbox(StateFolder(tmp_path), die_after_delivery)
    outbox.write("open", 1, {})
    with pytest.raises(KeyboardInterrupt):
        outbox.write("open", 2, {})
    Outbox(StateFolder(tmp_path), store).flush()
    assert [entry.run for entry in store.got] == [1, 2]
    assert store.calls == 3


def test_a_dead_store_is_asked_ever_more_seldom_and_at_the_end(tmp_path):
    store, clock = Store(away=True), Clock()
    outbox = Outbox(StateFolder(tmp_path), store, clock=clock)
    asked = []
    for second in range(300):
        clock.now = float(second)
        calls = store.calls
        outbox.write("tags", LOOP, {"tags": {"second": str(second)}})
        asked += [second] * (store.calls - calls)
    assert asked == [0, 5, 15, 35, 75, 135, 195, 255]
    assert not outbox.flush()
    assert store.calls == len(asked) + 1
    store.away = False
    assert outbox.flush()
    assert len(store.got) == 300
    assert outbox.waiting == 0
    store.away = True
    outbox.write("tags", LOOP, {"tags": {}})
    clock.now += 5  # the first pause again
    calls = store.calls
    outbox.write("tags", LOOP, {"tags": {}})
    assert store.calls == calls + 1


def test_what_the_store_refuses_is_an_error_once_and_holds_up_nothing_else(tmp_path):
    store = Store()
    store.refuses = ValueError("bad request")
    outbox = Outbox(StateFolder(tmp_path), store)
    with pytest.raises(ValueError, match="bad request"):
        outbox.write("open", LOOP, {})
    store.refuses = None
    outbox.write("close", LOOP, {"status": "FAILED"})
    assert outbox.waiting == 0
    assert [entry.kind for entry in store.got] == ["close"]


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (OSError("a stale file handle"), OSError),
        (RunGone("The store has lost it.", "Resume."), RunGone),
        (sqlite3.OperationalError("database or disk is full"), DiskFull),
    ],
)
def test_what_can_be_made_good_is_an_error_and_its_entry_stays(tmp_path, error, raised):
    store = Store()
    store.refuses = error
    outbox = Outbox(StateFolder(tmp_path), store)
    with pytest.raises(raised):
        outbox.write("open", LOOP, {})
    assert outbox.waiting == 1
    store.refuses = None
    assert outbox.flush()
    assert [entry.kind for entry in store.got] == ["open"]


def test_a_driver_without_a_lease_writes_nothing(tmp_path):
    store = Store()
    outbox = Outbox(under_lease(tmp_path), store)
    outbox.write("open", LOOP, {})
    before = (tmp_path / OUTBOX).read_bytes()
    lose_lease(tmp_path)
    for change in (lambda: outbox.write("close", LOOP, {"status": "FAILED"}), outbox.begin_again):
        with pytest.raises(LeaseLost):
            change()
    assert (tmp_path / OUTBOX).read_bytes() == before
    assert len(store.got) == 1


def test_a_driver_that_loses_its_lease_inside_a_request_takes_back_no_mark_of_its_successor(tmp_path):
    def deliver(entry: Entry) -> None:
        if entry.kind == "metrics":  # meanwhile the winner delivers that, and more
            lose_lease(tmp_path)
            winner = Outbox(StateFolder(tmp_path), Store())
            winner.write("close", LOOP, {"status": "FINISHED"})

    outbox = Outbox(under_lease(tmp_path), deliver)
    outbox.write("open", LOOP, {})
    with pytest.raises(LeaseLost):
        outbox.write("metrics", LOOP, {"points": []})
    assert outbox.waiting == 0


def test_files_are_kept_as_they_were_and_removed_once_delivered(tmp_path):
    figure, store = tmp_path / "gallery.png", Store(away=True)
    outbox = Outbox(StateFolder(tmp_path), store)
    for content in (b"round 1", b"round 2"):
        figure.write_bytes(content)
        outbox.write("files", LOOP, {"folder": "figures"}, files=[figure])
    figure.unlink()
    store.away = False
    assert outbox.flush()
    assert [entry.files for entry in store.got] == [{"gallery.png": b"round 1"}, {"gallery.png": b"round 2"}]
    assert kept_files(tmp_path) == 0


def kept_files(run_dir: Path) -> int:
    with closing(sqlite3.connect(run_dir / OUTBOX)) as db:
        return db.execute("SELECT count(*) FROM files").fetchone()[0]


def test_what_is_delivered_once_more_comes_without_the_files_that_were_sent_before(tmp_path):
    figure, first, store = tmp_path / "gallery.png", Store(), Store()
    figure.write_bytes(b"round 1")
    outbox = Outbox(StateFolder(tmp_path), first)
    outbox.write("open", LOOP, {})
    outbox.write("files", LOOP, {"folder": "figures"}, files=[figure])
    first.away = True
    outbox.write("files", LOOP, {"folder": "figures"}, files=[figure])
    outbox.begin_again()
    assert Outbox(StateFolder(tmp_path), store).flush()
    assert [entry.kind for entry in store.got] == ["open", "files", "files"]
    assert [dict(entry.files) for entry in store.got] == [{}, {}, {"gallery.png": b"round 1"}]


def test_a_loss_that_is_not_a_number_survives_the_disk(tmp_path):
    Outbox(StateFolder(tmp_path), nobody).write(
        "metrics", 1, {"points": [["loss", math.nan, 1], ["loss", math.inf, 2]]}
    )
    [entry] = written(tmp_path)
    assert math.isnan(entry.values["points"][0][1])
    assert entry.values["points"][1][1] == math.inf


def test_an_outbox_that_was_damaged_is_named(tmp_path):
    (tmp_path / OUTBOX).write_bytes(b"no database at all" * 100)
    with pytest.raises(RecordError, match=f"{OUTBOX} cannot be used: file is not a database"):
        Outbox(StateFolder(tmp_path), Store()).write("open", LOOP, {})


def test_a_run_that_was_told_of_nothing_has_nothing_waiting_and_no_file(tmp_path):
    assert Outbox(StateFolder(tmp_path), nobody).waiting == 0
    assert Outbox(StateFolder(tmp_path), nobody).flush()
    assert written(tmp_path) == []
    assert not (tmp_path / OUTBOX).exists()


def test_a_process_that_was_stopped_in_the_middle_of_a_write_is_named_as_such(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox_module, "_LOCK_PATIENCE_S", 0.1)
    outbox = Outbox(StateFolder(tmp_path), Store())
    outbox.write("open", LOOP, {})
    with closing(sqlite3.connect(tmp_path / OUTBOX, isolation_level=None)) as stopped:
        stopped.execute("BEGIN EXCLUSIVE")
        with pytest.raises(LockHeld, match="stopped in the middle of a write"):
            outbox.write("close", LOOP, {})


def test_runs_left_open_are_those_without_an_end():
    entries = [
        Entry(kind, run, 0, {})
        for kind, run in [("open", 0), ("open", 1), ("close", 1), ("open", 2), ("close", 0), ("open", 0)]
    ]
    assert open_runs(entries) == {0, 2}


def test_a_commit_is_on_the_disk_when_a_write_returns(tmp_path, monkeypatch):
    """By SQLite's own promise: a rollback journal, each file and folder synchronised before and after it."""
    monkeypatch.setattr(outbox_module, "_OPEN", SYNCHRONOUS)
    outbox = Outbox(StateFolder(tmp_path), Store())
    outbox.write("open", LOOP, {})
    with outbox._connected() as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("delete",)
        assert db.execute("PRAGMA synchronous").fetchone() == (3,)


def trace_outbox(at_line: Callable[[], None]) -> Callable:
    """A trace function that calls `at_line` before every line of the outbox's own code."""

    def trace(frame, event, _):
        if frame.f_code.co_filename != outbox_module.__file__:
            return None
        if event == "line":
            at_line()
        return trace

    return trace


def write_and_deliver(outbox: Outbox, figure: Path, trace: Callable | None) -> None:
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        outbox.write("files", LOOP, {"folder": "figures"}, files=[figure])
        outbox.write("tags", LOOP, {"tags": {}})
    finally:
        sys.settrace(before)


def check_nothing_is_lost(run_dir: Path, store: Store, survived: Store) -> None:
    """After the end of a driver: what the store had got before, and what it has now."""
    assert [(each.kind, each.run, each.values) for each in store.got] == [
        (each.kind, each.run, each.values) for each in written(run_dir)
    ]
    assert Outbox(StateFolder(run_dir), nobody).waiting == 0
    assert store.got[: len(survived.got)] == survived.got
    assert store.got[0].kind == "open"
    assert store.got[-1].kind == "close"
    assert [len(entry.files) for entry in store.got] == [int(entry.kind == "files") for entry in store.got]
    assert kept_files(run_dir) == 0


def test_an_interrupt_at_any_line_loses_nothing(tmp_path):
    figure = tmp_path / "figure.png"
    figure.write_bytes(b"png")

    def is_there(interrupted_line: int) -> bool:
        """Whether there is such a line, counted over all that are passed."""
        run_dir, store, passed = tmp_path / str(interrupted_line), Store(), 0
        run_dir.mkdir()

        def interrupt() -> None:
            nonlocal passed
            passed += 1
            if passed == interrupted_line:
                raise KeyboardInterrupt

        outbox = Outbox(StateFolder(run_dir), store)
        outbox.write("open", LOOP, {})
        with suppress(KeyboardInterrupt):
            write_and_deliver(outbox, figure, trace_outbox(interrupt))
        survived = Store()
        survived.got = list(store.got)
        outbox.write("close", LOOP, {"status": "KILLED"})  # as the end of a driver does
        assert outbox.flush()
        check_nothing_is_lost(run_dir, store, survived)
        return passed >= interrupted_line

    line = 1
    while is_there(line):
        line += 1
    assert line > 40, "the lines of write, delivery and mark were passed"


def test_a_kill_at_any_line_loses_nothing(tmp_path):
    """What a killed process leaves is a copy of its files at that moment, and what the store has got by then."""
    run_dir, figure, store = tmp_path / "run", tmp_path / "figure.png", Store()
    run_dir.mkdir()
    figure.write_bytes(b"png")
    left: list[tuple[Path, Store]] = []

    def keep() -> None:
        copy, survived = tmp_path / f"killed-{len(left)}", Store()
        shutil.copytree(run_dir, copy)
        survived.got = list(store.got)
        left.append((copy, survived))

    outbox = Outbox(StateFolder(run_dir), store)
    outbox.write("open", LOOP, {})
    write_and_deliver(outbox, figure, trace_outbox(keep))
    assert len(left) > 40, "the lines of write, delivery and mark were passed"
    for copy, survived in left:
        after = Store()
        after.got = list(survived.got)
        successor = Outbox(StateFolder(copy), after)
        successor.write("close", LOOP, {"status": "KILLED"})
        check_nothing_is_lost(copy, after, survived)


WRITER = """
import sys
from pathlib import Path
from corpus.storage.state_files import StateFolder
from orchestrator.tracking.outbox import Outbox
figure = Path(sys.argv[1]) / "figure.png"
outbox = Outbox(StateFolder(Path(sys.argv[1])), lambda entry: None)
number = 0
while True:
    outbox.write("files" if number % 2 else "tags", 0, {"number": number}, [figure] if number % 2 else [])
    print(number, flush=True)
    number += 1
"""


@pytest.mark.parametrize("said", [1, 4, 13])
def test_a_killed_process_has_lost_nothing_that_it_had_written(tmp_path, said):
    (tmp_path / "figure.png").write_bytes(os.urandom(300_000))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as writer:
        for _ in range(said):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        last = max([last, *(int(line) for line in writer.stdout.read().splitlines())])
    store = Store()
    outbox = Outbox(StateFolder(tmp_path), store)
    assert outbox.waiting <= 2
    assert outbox.flush()
    numbers = [entry.values["number"] for entry in outbox.entries()]
    assert numbers == list(range(len(numbers)))
    assert len(numbers) in (last + 1, last + 2)
    assert all(len(entry.files) == entry.values["number"] % 2 for entry in store.got)


def test_entries_can_be_read_while_another_process_writes(tmp_path):
    outbox = Outbox(StateFolder(tmp_path), nobody)
    outbox.write("tags", 3, {"tags": {"a": "b"}})
    with closing(sqlite3.connect(tmp_path / OUTBOX, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("UPDATE entries SET delivered = 1")
        assert outbox.waiting == 1
        other.execute("COMMIT")
    assert outbox.waiting == 0
    [entry] = outbox.entries()
    assert json.dumps(entry.values) == '{"tags": {"a": "b"}}'
