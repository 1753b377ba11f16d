"""The journal of what MLflow is to get: order, back-off, and every way a crash can cut it."""

import json
import math
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.storage.state_files import RecordError
from orchestrator.tracking.outbox import JOURNAL, LOOP, Entry, Spool, StoreAway, open_runs, read_journal, waiting

POINTS = st.lists(st.tuples(st.text(max_size=8), st.floats(allow_nan=False), st.integers(0, 2**40)), max_size=3)


class Store:
    """Keeps entries by identity, as MLflow does; away as long as `away` is true."""

    def __init__(self, away: bool = False) -> None:
        self.away, self.refuses, self.calls, self.got = away, False, 0, []

    def __call__(self, entry: Entry) -> None:
        self.calls += 1
        if self.away:
            raise StoreAway("no answer")
        if self.refuses:
            raise ValueError("bad request")
        if entry not in self.got:
            self.got.append(entry)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@settings(max_examples=40)
@given(writes=st.lists(st.tuples(st.integers(0, 9), POINTS), min_size=1, max_size=6), data=st.data())
def test_whatever_a_crash_cuts_off_the_rest_arrives_once_and_in_order(tmp_path_factory, writes, data):
    run_dir = tmp_path_factory.mktemp("run")
    first = Spool(run_dir, Store(away=True))
    for number, (run, points) in enumerate(writes):
        # Numbered: two like writes within a millisecond are one entry to a store that goes by identity.
        first.write("metrics", run, {"number": number, "points": [list(point) for point in points]})
    written, whole = first.entries, (run_dir / JOURNAL).read_bytes()
    kept = data.draw(st.integers(0, len(whole)), label="bytes that reached the disk")
    (run_dir / JOURNAL).write_bytes(whole[:kept])

    store = Store()
    second = Spool(run_dir, store)
    second.write("tags", LOOP, {"tags": {"after": "the crash"}})
    survived = whole[:kept].count(b"\n")
    assert store.got[:-1] == written[:survived]
    assert store.got[-1].values == {"tags": {"after": "the crash"}}
    assert waiting(run_dir) == 0
    assert read_journal(run_dir) == store.got
    again = Store()
    assert Spool(run_dir, again).flush()
    assert again.calls == 0


def test_a_crash_between_delivery_and_its_mark_delivers_one_entry_twice_and_no_other(tmp_path):
    store = Store()

    def die_after_delivery(entry):
        store(entry)
        if entry.run == 2:
            raise KeyboardInterrupt

    spool = Spool(tmp_path, die_after_delivery)
    spool.write("open", 1, {})
    with pytest.raises(KeyboardInterrupt):
        spool.write("open", 2, {})
    Spool(tmp_path, store).flush()
    assert [entry.run for entry in store.got] == [1, 2]
    assert store.calls == 3


def test_a_dead_store_is_asked_ever_more_seldom_and_at_the_end(tmp_path):
    store, clock = Store(away=True), Clock()
    spool = Spool(tmp_path, store, clock=clock)
    asked = []
    for second in range(300):
        clock.now = float(second)
        calls = store.calls
        spool.write("tags", LOOP, {"tags": {"second": str(second)}})
        asked += [second] * (store.calls - calls)
    assert asked == [0, 5, 15, 35, 75, 135, 195, 255]
    assert not spool.flush()
    assert store.calls == len(asked) + 1
    store.away = False
    assert spool.flush()
    assert len(store.got) == 300
    assert spool.waiting == 0
    store.away = True
    spool.write("tags", LOOP, {"tags": {}})
    clock.now += 5  # the first pause again
    calls = store.calls
    spool.write("tags", LOOP, {"tags": {}})
    assert store.calls == calls + 1


def test_what_the_store_refuses_is_an_error_once_and_holds_up_nothing_else(tmp_path):
    store = Store()
    store.refuses = True
    spool = Spool(tmp_path, store)
    with pytest.raises(ValueError, match="bad request"):
        spool.write("open", LOOP, {})
    store.refuses = False
    spool.write("close", LOOP, {"status": "FAILED"})
    assert waiting(tmp_path) == 0
    assert [entry.kind for entry in store.got] == ["close"]


def test_a_driver_that_lost_the_run_directory_writes_nothing_more(tmp_path):
    store, lost = Store(), []

    def check():
        if lost:
            raise RuntimeError("lease lost")

    spool = Spool(tmp_path, store, check)
    spool.write("open", LOOP, {})
    before = (tmp_path / JOURNAL).read_bytes()
    lost.append(True)
    with pytest.raises(RuntimeError, match="lease lost"):
        spool.write("close", LOOP, {"status": "FAILED"})
    assert (tmp_path / JOURNAL).read_bytes() == before
    assert len(store.got) == 1


def test_files_are_kept_as_they_were_and_removed_once_delivered(tmp_path):
    figure = tmp_path / "gallery.png"
    store, seen = Store(away=True), []

    def deliver(entry):
        store(entry)
        seen.append([path.read_bytes() for path in spool.kept_files()])

    spool = Spool(tmp_path, deliver)
    for content in (b"round 1", b"round 2"):
        figure.write_bytes(content)
        spool.write("files", LOOP, {"folder": "figures"}, files=[figure])
    store.away = False
    assert spool.flush()
    assert seen == [[b"round 1"], [b"round 2"]]
    assert not list((tmp_path / "mlflow_files").iterdir())


def test_files_that_are_gone_are_named_and_hold_nothing_up(tmp_path):
    figure, store = tmp_path / "gallery.png", Store(away=True)
    figure.write_bytes(b"round 1")

    def deliver(entry):
        store(entry)
        if entry.kind == "files":
            spool.kept_files()

    spool = Spool(tmp_path, deliver)
    spool.write("files", LOOP, {"folder": "figures"}, files=[figure])
    spool.write("tags", LOOP, {"tags": {"a": "b"}})
    shutil.rmtree(tmp_path / "mlflow_files" / "0")
    store.away = False
    with pytest.raises(RecordError, match="mlflow_files/0 is gone.*run the same command again"):
        spool.flush()
    assert spool.flush()
    assert [entry.kind for entry in store.got] == ["files", "tags"]


def test_a_loss_that_is_not_a_number_survives_the_disk(tmp_path):
    Spool(tmp_path, Store(away=True)).write("metrics", 1, {"points": [["loss", math.nan, 1], ["loss", math.inf, 2]]})
    [entry] = read_journal(tmp_path)
    assert math.isnan(entry.values["points"][0][1])
    assert entry.values["points"][1][1] == math.inf


def test_a_damaged_or_shortened_journal_is_named(tmp_path):
    spool = Spool(tmp_path, Store())
    spool.write("open", LOOP, {})
    spool.write("open", 1, {})
    path = tmp_path / JOURNAL
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"{}\n" + lines[1])
    with pytest.raises(RecordError, match="line 1, is damaged"):
        Spool(tmp_path, Store())
    path.write_bytes(lines[0])
    with pytest.raises(RecordError, match="1 entries, but 2 were delivered"):
        Spool(tmp_path, Store())


def test_runs_left_open_are_those_without_an_end():
    entries = [
        Entry(kind, run, 0, {})
        for kind, run in [("open", 0), ("open", 1), ("close", 1), ("open", 2), ("close", 0), ("open", 0)]
    ]
    assert open_runs(entries) == {0, 2}


def test_the_journal_is_plain_json_lines(tmp_path):
    Spool(tmp_path, Store(away=True)).write("tags", 3, {"tags": {"a": "b"}})
    [line] = (tmp_path / JOURNAL).read_text().splitlines()
    assert {**json.loads(line), "at_ms": 0} == {"kind": "tags", "run": 3, "at_ms": 0, "values": {"tags": {"a": "b"}}}
