"""What `knowlip status` says of a run in each of its states, and that it costs little to ask."""

import json
import os
import subprocess
import sys

import pytest

from corpus.storage.errors import ConfigError
from orchestrator.config.load import load_config
from orchestrator.monitoring.status import PhaseStatus, read_status, write_status
from orchestrator.policies.time_left import Position, phase_left_s, run_left_s
from orchestrator.report.status import status_as_json
from orchestrator.state.format import FORMAT
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.records import PHASES, write_record
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.run_end import write_end
from support.paths import ROOT
from support.records import record

HEAVY = ("deltalake", "jinja2", "matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "ray", "scipy", "torch")


@pytest.fixture
def directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return RunDirectory.create(load_config(ROOT / "configs" / "smoke.yaml"), tmp_path / "run")


@pytest.fixture
def working(directory):
    """A driver, this process, works on the run."""
    keeper = LeaseKeeper(directory)
    keeper.acquire()
    yield directory
    keeper.release()


@pytest.mark.parametrize("arguments", [("--json",), ()])
def test_status_imports_nothing_that_takes_time(directory, arguments):
    code = (
        "import sys; from orchestrator.cli import main; sys.argv[1:] = sys.argv[2:]\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "print(sorted(set(sys.modules) & set(HEAVY)), file=sys.stderr)"
    ).replace("HEAVY", repr(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", code, "", "status", directory.path, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert str(directory.path) in done.stdout
    assert done.stderr.splitlines()[-1] == "[]"


def test_a_new_run_can_be_begun(directory):
    found = status_as_json(directory.path)
    assert (found["state"], found["recorded"], found["phase"]) == ("new", 0, None)
    assert found["resume"] == f"knowlip resume {directory.path}"


def test_a_run_that_lives_is_not_to_be_resumed(working, call):
    write_record(working, record(1))
    write_status(working, "train", 2)
    status, out, _ = call("status", working.path, "--json")
    found = json.loads(out)
    assert status == 0
    assert (found["state"], found["phase"], found["round"], found["resume"]) == ("running", "train", 2, None)
    assert found["driver"] == f"process {os.getpid()} on {os.uname().nodename}"
    assert found["left_s"] >= 0
    assert "go on with" not in call("status", working.path)[1]


def test_progress_and_time_left_are_those_of_the_phase(working, monkeypatch):
    monkeypatch.setattr("orchestrator.monitoring.status._PROGRESS_EVERY_S", 0.0)
    phase = PhaseStatus(working, "train", 1)
    phase.progress(1, 4)
    found = status_as_json(working.path)
    assert found["progress"] == 0.25
    assert found["phase_left_s"] == pytest.approx(
        3 * (read_status(working.path).at - read_status(working.path).since), abs=0.1
    )
    assert found["left_s"] is None, "no round is finished to go by"


def test_progress_is_written_every_few_seconds_only(working):
    phase = PhaseStatus(working, "train", 1)
    for step in range(100):
        phase.progress(step, 100)
    assert read_status(working.path).done is None


def test_a_waiting_run_says_for_what(working, call):
    PhaseStatus(working, "waiting").waits_for("room on the cluster for 4 CPUs; held by ada on head, /runs/a")
    found = status_as_json(working.path)
    assert found["state"] == "waiting"
    assert (
        "waits for      room on the cluster for 4 CPUs; held by ada on head, /runs/a" in call("status", working.path)[1]
    )


def test_a_finished_run_has_nothing_left_and_a_failed_one_goes_on(directory, working):
    for number in (1, 2):
        write_record(directory, record(number))
    write_end(directory, ValueError("no room"))
    found = status_as_json(directory.path)
    assert (found["state"], found["resume"]) == ("failed", f"knowlip resume {directory.path}")
    write_end(directory, None)
    found = status_as_json(directory.path)
    assert (found["state"], found["resume"]) == ("finished", None)


def test_a_configuration_that_was_damaged_is_named(directory):
    directory.config.write_text(f"format: {FORMAT}\nname: smoke\n")
    with pytest.raises(ConfigError, match=r"config.yaml is damaged: .*restore it from a copy"):
        status_as_json(directory.path)


def test_a_run_takes_what_its_later_rounds_took():
    first, second = dict.fromkeys(PHASES, 100.0), dict.fromkeys(PHASES, 10.0)
    at = Position("score", 3, 4, spent_s=4.0, share=0.25)
    assert phase_left_s(at) == 12.0
    assert run_left_s(at, PHASES, [first, second]) == 12 + 3 * 10 + 60
    assert run_left_s(Position("score", 2, 2, 30.0), PHASES, [first]) == 70 + 3 * 100
    assert run_left_s(Position("score", 3, 3, 30.0), PHASES, [first, second]) == 3 * 10
    assert run_left_s(Position("score", 1, 3, 30.0), PHASES, []) is None
