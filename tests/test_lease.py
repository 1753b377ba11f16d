"""Two drivers on one run directory: one wins, and a loser that wakes up changes nothing."""

import multiprocessing
import time

import pytest

from actors.fence import LeaseLost
from orchestrator.lease import LeaseHeld, LeaseKeeper


def test_the_second_driver_is_refused_and_told_who_holds_it(tmp_path):
    first = LeaseKeeper(tmp_path)
    first.acquire()
    before = (tmp_path / "lease.json").read_bytes()
    with pytest.raises(LeaseHeld, match="is working on"):
        LeaseKeeper(tmp_path).acquire()
    assert (tmp_path / "lease.json").read_bytes() == before
    first.check()
    first.release()


def test_a_released_lease_is_free_at_once_with_a_larger_token(tmp_path):
    first = LeaseKeeper(tmp_path)
    token = first.acquire()
    first.release()
    second = LeaseKeeper(tmp_path)
    assert second.acquire() > token
    second.release()


def test_a_paused_driver_finds_that_it_lost(tmp_path):
    paused = LeaseKeeper(tmp_path, lasts_s=0.3)
    paused.acquire()
    paused._stop.set()  # as if the whole process were stopped: it renews no more
    paused._thread.join()
    time.sleep(0.4)
    other = LeaseKeeper(tmp_path, lasts_s=0.3)
    other.acquire()
    with pytest.raises(LeaseLost, match="taken over"):
        paused.check()
    other.check()
    paused.release()
    other.check()
    other.release()


def test_a_living_driver_keeps_its_lease_by_renewing(tmp_path):
    keeper = LeaseKeeper(tmp_path, lasts_s=0.4)
    keeper.acquire()
    time.sleep(1.0)
    with pytest.raises(LeaseHeld):
        LeaseKeeper(tmp_path, lasts_s=0.4).acquire()
    keeper.release()


def _try(run_dir, results, over):
    try:
        LeaseKeeper(run_dir).acquire()
        results.put("won")
        over.wait()  # a driver that ended would leave the lease to the next one
    except LeaseHeld:
        results.put("lost")


def test_the_lease_of_a_killed_driver_is_free_at_once(tmp_path):
    context = multiprocessing.get_context("fork")
    driver = context.Process(target=_try, args=(tmp_path, context.Queue(), context.Event()))
    driver.start()
    while not (tmp_path / "lease.json").exists():
        time.sleep(0.01)
    driver.kill()
    driver.join()
    keeper = LeaseKeeper(tmp_path)
    assert keeper.acquire() == 2
    keeper.release()


def test_of_many_drivers_at_once_exactly_one_wins(tmp_path):
    context = multiprocessing.get_context("fork")
    results, over = context.Queue(), context.Event()
    drivers = [context.Process(target=_try, args=(tmp_path, results, over)) for _ in range(50)]
    for driver in drivers:
        driver.start()
    outcomes = [results.get(timeout=60) for _ in drivers]
    over.set()
    for driver in drivers:
        driver.join()
    assert sorted(outcomes) == ["lost"] * 49 + ["won"]
