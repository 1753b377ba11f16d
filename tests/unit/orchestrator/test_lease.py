"""Two drivers on one run directory: one wins, and a loser that wakes up changes nothing."""

import errno
import json
import multiprocessing
import os
import signal
import time
from collections import Counter
from pathlib import Path

import psutil
import pytest

from corpus.storage.lock import LeaseLost
from corpus.storage.rng import derive_seed
from corpus.storage.state_files import read_json
from corpus.storage.writer import UNGUARDED
from orchestrator.state import lease as lease_module
from orchestrator.state.lease import LeaseHeld, LeaseKeeper, killed_driver, read_lease
from orchestrator.state.run_directory import RunDirectory
from support import lease_drivers
from support.lease_drivers import State, acquire_once, write_until_over

linux = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="needs the /proc of Linux")


def test_the_second_driver_is_refused_and_told_who_holds_it(tmp_path):
    first = LeaseKeeper(RunDirectory(tmp_path))
    first.acquire()
    before = (tmp_path / "lease.json").read_bytes()
    with pytest.raises(LeaseHeld, match="is working on"):
        LeaseKeeper(RunDirectory(tmp_path)).acquire()
    assert (tmp_path / "lease.json").read_bytes() == before
    first.check()
    first.release()


def test_a_released_lease_is_free_at_once_with_a_larger_token(tmp_path):
    first = LeaseKeeper(RunDirectory(tmp_path))
    token = first.acquire()
    first.release()
    second = LeaseKeeper(RunDirectory(tmp_path))
    assert second.acquire() > token
    second.release()


def test_a_paused_driver_finds_that_it_lost(tmp_path):
    paused = LeaseKeeper(RunDirectory(tmp_path), lasts_s=0.3)
    paused.acquire()
    paused._stop.set()  # as if the whole process were stopped: it renews no more
    paused._thread.join()
    time.sleep(0.4)
    other = LeaseKeeper(RunDirectory(tmp_path), lasts_s=0.3)
    other.acquire()
    with pytest.raises(LeaseLost, match="taken over"):
        paused.check()
    other.check()
    paused.release()
    other.check()
    other.release()


def test_a_living_driver_keeps_its_lease_by_renewing(tmp_path):
    keeper = LeaseKeeper(RunDirectory(tmp_path), lasts_s=2.0)
    keeper.acquire()
    time.sleep(3.0)
    with pytest.raises(LeaseHeld):
        LeaseKeeper(RunDirectory(tmp_path), lasts_s=2.0).acquire()
    keeper.release()


def _leave_a_lease(run_dir: Path) -> None:
    """Of a driver that was killed."""
    context = multiprocessing.get_context("fork")
    driver = context.Process(target=acquire_once, args=(run_dir, context.Queue(), context.Event()))
    driver.start()
    while not (run_dir / "lease.json").exists():
        time.sleep(0.01)
    driver.kill()
    driver.join()


def _change_owner(run_dir: Path, **fields) -> None:
    """Change fields of whoever holds the lease; None removes one."""
    path = run_dir / "lease.json"
    content = json.loads(path.read_text())
    owner = {name: value for name, value in {**content["owner"], **fields}.items() if value is not None}
    path.write_text(json.dumps({**content, "owner": owner}))


def test_the_lease_of_a_killed_driver_is_free_at_once(tmp_path):
    _leave_a_lease(tmp_path)
    assert killed_driver(tmp_path) is not None
    keeper = LeaseKeeper(RunDirectory(tmp_path))
    assert keeper.acquire() == 2
    keeper.release()


def test_a_living_driver_is_not_taken_for_dead_when_the_clock_is_set(tmp_path, monkeypatch):
    first = LeaseKeeper(RunDirectory(tmp_path))
    first.acquire()
    started = psutil.Process.create_time  # boot time, which follows the clock, plus ticks
    monkeypatch.setattr(psutil.Process, "create_time", lambda process: started(process) + 60)
    with pytest.raises(LeaseHeld):
        LeaseKeeper(RunDirectory(tmp_path)).acquire()
    assert killed_driver(tmp_path) is None
    first.release()


@linux
def test_a_process_id_that_is_used_again_is_another_process(tmp_path):
    first = LeaseKeeper(RunDirectory(tmp_path))
    first.acquire()
    _change_owner(tmp_path, start_ticks=read_lease(tmp_path).owner.start_ticks - 1)
    second = LeaseKeeper(RunDirectory(tmp_path))
    assert second.acquire() == 2
    first.release()
    second.release()


@linux
@pytest.mark.parametrize(
    "elsewhere",
    [
        {"pid_namespace": "pid:[1]"},
        {"boot_id": "another start"},
        {"boot_id": None, "pid_namespace": None, "start_ticks": None},  # as a lease was written before
        {"pid_namespace": None},
        {"host": "another host"},
    ],
    ids=str,
)
def test_a_process_that_cannot_be_looked_up_keeps_its_lease_until_it_runs_out(tmp_path, elsewhere):
    """Its id is free here, and that says nothing of a container or a machine of the same name."""
    _leave_a_lease(tmp_path)
    _change_owner(tmp_path, **elsewhere)
    with pytest.raises(LeaseHeld):
        LeaseKeeper(RunDirectory(tmp_path)).acquire()
    assert killed_driver(tmp_path) is None
    time.sleep(0.3)
    second = LeaseKeeper(RunDirectory(tmp_path), lasts_s=0.3)
    assert second.acquire() == 2
    second.release()


def test_a_driver_of_before_a_reboot_is_known_to_be_killed_when_its_lease_has_run_out(tmp_path):
    _leave_a_lease(tmp_path)
    _change_owner(tmp_path, boot_id="before")
    path = tmp_path / "lease.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"renewed": time.time() - 3600}))
    assert killed_driver(tmp_path) == read_lease(tmp_path).owner


@linux
def test_where_proc_shows_another_namespace_no_process_is_called_dead(tmp_path, monkeypatch):
    for name, target in (("self", "1"), ("1/ns/pid", "pid:[7]")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).symlink_to(target)
    _leave_a_lease(tmp_path)
    _change_owner(tmp_path, pid_namespace="pid:[7]")
    (tmp_path / "sys" / "kernel" / "random").mkdir(parents=True)
    (tmp_path / "sys" / "kernel" / "random" / "boot_id").write_text(read_lease(tmp_path).owner.boot_id)
    monkeypatch.setattr(lease_module, "_PROC", tmp_path)
    assert not read_lease(tmp_path).owner.is_dead()


def test_without_proc_a_process_is_known_by_its_start_time(tmp_path, monkeypatch):
    """As on macOS."""
    monkeypatch.setattr(lease_module, "_PROC", tmp_path / "proc")
    _leave_a_lease(tmp_path)
    owner = read_lease(tmp_path).owner
    assert (owner.boot_id, owner.pid_namespace, owner.start_ticks) == (None, None, None)
    second = LeaseKeeper(RunDirectory(tmp_path))
    assert second.acquire() == 2
    _change_owner(tmp_path, started=read_lease(tmp_path).owner.started + 0.5)
    with pytest.raises(LeaseHeld):
        LeaseKeeper(RunDirectory(tmp_path)).acquire()
    _change_owner(tmp_path, started=read_lease(tmp_path).owner.started + 2)
    third = LeaseKeeper(RunDirectory(tmp_path))
    assert third.acquire() == 3
    second.release()
    third.release()


def test_of_many_drivers_at_once_exactly_one_wins(tmp_path):
    context = lease_drivers.context()
    results, over = context.Queue(), context.Event()
    drivers = [context.Process(target=acquire_once, args=(tmp_path, results, over)) for _ in range(50)]
    for driver in drivers:
        driver.start()
    outcomes = [results.get(timeout=60) for _ in drivers]
    over.set()
    for driver in drivers:
        driver.join()
    assert sorted(outcomes) == ["lost"] * 49 + ["won"]


def test_a_driver_that_is_stopped_anywhere_and_wakes_changes_nothing_fifty_times(tmp_path):
    """Really stopped, at moments drawn by seed: also in the middle of a write, which no successor overtakes."""
    context = lease_drivers.context()
    outcomes = Counter()
    for turn in range(50):
        run_dir = tmp_path / str(turn)
        run_dir.mkdir()
        results, first_over, second_over = context.Queue(), context.Event(), context.Event()
        first = context.Process(target=write_until_over, args=(run_dir, results, first_over), daemon=True)
        first.start()
        while not (run_dir / "state.json").exists():
            assert first.is_alive()
            time.sleep(0.001)
        time.sleep(derive_seed(turn, "stopped after") % 1000 / 50_000)
        os.kill(first.pid, signal.SIGSTOP)
        time.sleep(0.2)
        before = read_json(run_dir, run_dir / "state.json", State)
        second = context.Process(target=write_until_over, args=(run_dir, results, second_over), daemon=True)
        second.start()
        if read_when_changed(run_dir, before, second).token == 2:
            os.kill(first.pid, signal.SIGCONT)
            first.join()
            assert results.get(timeout=10) == ("LeaseLost", 1)
            second_over.set()
            second.join()
            assert results.get(timeout=10) == ("stopped", 2)
            assert read_json(run_dir, run_dir / "state.json", State).token == 2
            outcomes["taken over"] += 1
        else:  # the first was stopped in the middle of a write
            assert results.get(timeout=10) == ("LockHeld", 0)
            os.kill(first.pid, signal.SIGCONT)
            first_over.set()
            first.join()
            assert results.get(timeout=10) == ("stopped", 1)
            assert read_json(run_dir, run_dir / "state.json", State).token == 1
            outcomes["refused"] += 1
    assert outcomes["taken over"]
    assert sum(outcomes.values()) == 50


@pytest.fixture
def hands(tmp_path):
    """The writer of a driver that was paused, and a function that takes over and returns its successor's."""
    directories = [RunDirectory(tmp_path)]
    keepers = [LeaseKeeper(directories[0], lasts_s=0.1)]
    keepers[0].acquire()
    keepers[0]._stop.set()
    keepers[0]._thread.join()

    def take_over():
        time.sleep(0.15)
        directories.append(RunDirectory(tmp_path))
        keepers.append(LeaseKeeper(directories[-1], lasts_s=0.1))
        keepers[-1].acquire()
        return directories[-1].writer

    yield directories[0].writer, take_over
    for keeper in keepers[1:]:
        keeper.release()


@pytest.mark.parametrize("tidies_up", [False, True])
def test_a_driver_that_wakes_in_the_middle_of_a_file_has_not_its_successors_open(tmp_path, hands, tidies_up):
    first, take_over = hands
    final = tmp_path / "shard.parquet"
    with pytest.raises(LeaseLost, match="taken over"), first.place(final) as mine, open(mine, "w") as file:
        file.write("the first's, ")
        file.flush()
        second = take_over()
        if tidies_up:
            second.remove_unfinished(tmp_path)
        with second.place(final) as others:
            others.write_text("the second's")
        file.write("still the first's")
    assert final.read_text() == "the second's"
    assert not list(tmp_path.glob(".[rs]*.partial"))


def test_a_driver_that_wakes_in_the_middle_of_a_folder_changes_nothing(tmp_path, hands):
    first, take_over = hands
    final = tmp_path / "round-0001"
    with pytest.raises(LeaseLost, match="taken over"), first.place(final) as mine:
        mine.mkdir()
        second = take_over()
        second.remove_unfinished(tmp_path, "round-0001.")
        with second.place(final) as others:
            others.mkdir()
            (others / "model").write_text("the second's")
        (mine / "model").write_text("the first's")
    assert (final / "model").read_text() == "the second's"
    assert [path.name for path in final.iterdir()] == ["model"]


def test_what_a_killed_writer_left_is_removed_by_the_next_and_nothing_else_is(tmp_path, hands):
    first, take_over = hands
    (tmp_path / "round-0001").mkdir()
    second = take_over()  # which removes what lies there by then
    for name in ("round-0001", "round-0002", "round-00010"):
        (tmp_path / f".{name}.ab.partial").mkdir()
    with pytest.raises(LeaseLost):
        first.remove_unfinished(tmp_path)
    assert len(list(tmp_path.glob(".round*.partial"))) == 3
    second.remove_unfinished(tmp_path, "round-0001.")
    left = sorted(path.name for path in tmp_path.glob(".round*.partial"))
    assert left == [".round-00010.ab.partial", ".round-0002.ab.partial"]
    UNGUARDED.remove_unfinished(tmp_path)
    assert not list(tmp_path.glob(".[rs]*.partial"))
    assert (tmp_path / "round-0001").is_dir()


def test_a_volume_that_fails_for_a_moment_does_not_end_the_renewal(tmp_path, monkeypatch):
    keeper = LeaseKeeper(RunDirectory(tmp_path), lasts_s=2.0)
    write, failures = keeper._write, iter([OSError(errno.ESTALE, "stale"), OSError(errno.EIO, "input/output error")])
    keeper.acquire()

    def fail_twice():
        if failure := next(failures, None):
            raise failure
        write()

    monkeypatch.setattr(keeper, "_write", fail_twice)
    time.sleep(3.0)
    with pytest.raises(LeaseHeld):
        LeaseKeeper(RunDirectory(tmp_path), lasts_s=2.0).acquire()
    monkeypatch.undo()
    keeper.release()


def read_when_changed(run_dir, before: State, second) -> State:
    """The state once the second driver has written, or what it is when that one has given up."""
    while True:
        now = read_json(run_dir, run_dir / "state.json", State)
        if now != before or not second.is_alive():
            return now
        time.sleep(0.002)
