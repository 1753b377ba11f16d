"""Drivers that race for a run directory, in processes that start in a moment: they hold nothing but what they need."""

import multiprocessing
from multiprocessing.context import ForkServerContext
from pathlib import Path

from corpus.storage.lock import LeaseLost, LockHeld
from corpus.storage.models import FrozenModel
from corpus.storage.state_files import read_json
from orchestrator.state.lease import LeaseHeld, LeaseKeeper
from orchestrator.state.run_directory import RunDirectory


def context() -> ForkServerContext:
    """Processes forked from one that has imported what drivers need: one forked from pytest copies all it holds."""
    found = multiprocessing.get_context("forkserver")
    found.set_forkserver_preload(["pytest", "orchestrator.state.lease", "orchestrator.state.run_directory"])
    return found


class State(FrozenModel):
    """What drivers write: who, and for the how manieth time."""

    token: int
    count: int


def acquire_once(run_dir: Path, results, over) -> None:
    """Try to take the lease, and hold it until told to stop."""
    try:
        LeaseKeeper(RunDirectory(run_dir)).acquire()
        results.put("won")
        over.wait()  # a driver that ended would leave the lease to the next one
    except LeaseHeld:
        results.put("lost")


def write_until_over(run_dir: Path, results, over) -> None:
    """Take the lease and write under it until told to stop; what was written last must still be there."""
    directory = RunDirectory(run_dir)
    keeper = LeaseKeeper(directory, lasts_s=0.15)
    try:
        token = keeper.acquire()
    except (LeaseHeld, LockHeld) as error:
        results.put((type(error).__name__, 0))
        return
    count = 0
    try:
        while not over.is_set():
            count += 1
            directory.write_json("state.json", State(token=token, count=count))
            if read_json(run_dir, run_dir / "state.json", State) != State(token=token, count=count):
                directory.writer.check()
                results.put(("overwritten", token))
                return
        results.put(("stopped", token))
    except LeaseLost:
        results.put(("LeaseLost", token))
