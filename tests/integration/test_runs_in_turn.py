"""Whole runs of the command line share one real cluster that has room for one of them at a time."""

import time

from chaos.compare import compare
from chaos.nodes import first_node
from orchestrator.cluster.admission import owner_in_words
from orchestrator.state.records import read_records
from support.smallest_run import PATIENCE_S, PLUGIN_PATH, start_run, status

NAMES = ("ada", "grace", "hedy")
CPUS = 4  # a trainer, a captioner, a scorer, and Ray Data's tasks: what one run claims


def waiting(run_dirs, drivers):
    """Name -> what `knowlip status` says of it, once all runs but one wait."""
    found, deadline = {}, time.monotonic() + PATIENCE_S
    while len(found) < len(NAMES) - 1:
        for name, driver in drivers.items():
            assert not driver.ended, f"the driver ended: {driver.said()[-4000:]}"
            if name not in found and (run_dirs[name] / "status.json").exists():
                said = status(run_dirs[name])
                if "held by" in (said["waiting_for"] or ""):  # and no longer for the first answer
                    found[name] = said
        assert time.monotonic() < deadline
        time.sleep(0.5)
    return found


def test_three_runs_on_a_cluster_with_room_for_one_all_finish_and_those_that_wait_say_for_whom(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", PLUGIN_PATH)
    run_dirs = {name: tmp_path / name / "run" for name in NAMES}
    with first_node(CPUS) as cluster:
        settings = ["rounds=1", f"cluster.address={cluster.address}", f"corpus.data_dir={tmp_path / 'data'}"]
        drivers = {}
        try:
            for name in NAMES:
                drivers[name] = start_run(tmp_path / name, run_dirs[name], settings)
            wait = waiting(run_dirs, drivers)
            [holder] = set(NAMES) - set(wait)
            for found in wait.values():
                assert (found["state"], found["phase"], found["resume"]) == ("waiting", "waiting", None)
                assert found["phase_s"] < 60
                assert found["waiting_for"].startswith(f"room on the cluster for {CPUS} CPUs; held by ")
                assert f"{owner_in_words(run_dirs[holder])} ({CPUS} CPUs, since " in found["waiting_for"]
            last, earlier = sorted(
                wait, key=lambda name: "asked for before by" in wait[name]["waiting_for"], reverse=True
            )
            assert wait[last]["waiting_for"].endswith(f"asked for before by {owner_in_words(run_dirs[earlier])}")
            assert [driver.wait() for driver in drivers.values()] == [0, 0, 0], {
                name: driver.said()[-2000:] for name, driver in drivers.items()
            }
        finally:
            for driver in drivers.values():
                driver.clear()
    assert [len(read_records(run_dir)) for run_dir in run_dirs.values()] == [1, 1, 1]
    for name in wait:
        assert compare(run_dirs[name], run_dirs[holder]).different == (), "a run comes out as it does alone"
        said = drivers[name].said()
        assert said.count("Waiting for room on the cluster") == said.count("for room on the cluster. ") == 1
