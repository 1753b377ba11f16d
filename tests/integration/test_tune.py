"""`knowlip tune` on a real Ray Tune; the runs are made up, their directories and records are real."""

import io
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from mlflow import MlflowClient
from rich.console import Console

from orchestrator.experiments.tune import SearchJob, print_search, run_search
from orchestrator.experiments.tune_config import SpaceConfig
from orchestrator.state.records import read_records
from support.paths import ROOT
from support.quick_run import BEST_RATE, SAVED

RATES = [1e-3, 2e-3, BEST_RATE, 8e-3]
SPACE = SpaceConfig(keys={"train.learning_rate": RATES}, trials=4, seeds=(0, 1), draw_seed=3)


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """A search of four trials with two seeds, and the same search given again."""
    folder = tmp_path_factory.mktemp("search")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests'}")
        program = (sys.executable, "-m", "support.quick_run")
        job = SearchJob(ROOT / "configs" / "smoke.yaml", ["rounds=4", "tracking.kind=none"], folder / "out", program)
        said = Console(file=io.StringIO(), width=200)
        found = run_search(job, SPACE, said)
        records = {path: len(read_records(folder / "out" / path)) for path in names(folder / "out")}
        again = run_search(job, SPACE, said)
    return folder / "out", found, records, again


def names(out) -> list[str]:
    return sorted(path.name for path in out.glob("trial-*") if path.is_dir())


def test_the_best_of_the_drawn_settings_comes_first_with_all_its_rounds(search):
    _, found, _, _ = search
    drawn = {trial.settings["train.learning_rate"] for trial in found.trials}
    best = min(drawn, key=lambda rate: abs(rate - BEST_RATE))
    assert found.trials[0].settings == {"train.learning_rate": best}
    assert found.trials[0].rounds == 4
    assert found.trials[0].metric == pytest.approx(-abs(best - BEST_RATE) - 1e-4 / 4 - 0.5e-6)


def test_every_trial_is_a_run_directory_of_its_own_for_each_seed(search):
    out, found, records, _ = search
    directories = {directory for trial in found.trials for directory in trial.directories}
    assert sorted(directories) == [str(out / name) for name in records]
    assert len(directories) == 2 * len(found.trials) == 2 * len(RATES)
    assert {record.seed for name in records for record in read_records(out / name)} == {0, 1}


def test_a_search_given_again_draws_the_same_and_goes_on(search):
    out, found, records, again = search
    assert [trial.settings for trial in again.trials] == [trial.settings for trial in found.trials]
    assert names(out) == sorted(records)
    console = Console(file=io.StringIO(), width=200)
    print_search(again, console)
    assert "train.learning_rate=" in console.file.getvalue()
    assert (out / "tune.json").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_search_that_is_told_to_end_lets_its_runs_save_and_can_go_on(tmp_path, number):
    (tmp_path / "space.yaml").write_text("{keys: {train.learning_rate: [0.001, 0.002]}, trials: 2, seeds: [0, 1]}")
    out, store = tmp_path / "out", f"sqlite:///{tmp_path / 'mlflow.db'}"
    search = subprocess.Popen(
        [
            *(sys.executable, "-m", "support.quick_search", "tune", ROOT / "configs" / "smoke.yaml"),
            *("--space", tmp_path / "space.yaml", "--out", out),
            *("--set", "rounds=400", "--set", "tracking.kind=mlflow"),
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}", "MLFLOW_TRACKING_URI": store},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + 600
        while sum(len(read_records(out / name)) > 1 for name in names(out)) < 2:
            assert search.poll() is None, search.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.5)
        started = psutil.Process(search.pid).children(recursive=True)
        os.kill(search.pid, number)
        said, _ = search.communicate(timeout=400)
    finally:
        search.kill()
    assert search.returncode == 3, said
    assert said.endswith("Interrupted; what is finished is kept. Go on with the same command.\n")
    assert [word for word in ("best first", "restore", "Traceback", "***") if word in said] == []
    assert [(out / name / SAVED).exists() for name in names(out)] == [True, True]
    assert not psutil.wait_procs(started, timeout=30)[1]
    client = MlflowClient(store)
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    assert [run.info.status for run in runs] == ["KILLED"]
