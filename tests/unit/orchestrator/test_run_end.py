"""How a run ended, as its directory tells it."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

import support.json_lines_tracker  # noqa: F401  # registers its kind
from corpus.storage.lock import LeaseLost
from corpus.storage.state_files import RecordError, StateFolder
from orchestrator.config.load import load_config
from orchestrator.report.status import print_status
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.records import write_record
from orchestrator.state.run_directory import RunDirectory
from orchestrator.state.run_end import forget_end, read_end, was_cut_off, write_end
from support.paths import ROOT
from support.records import record
from support.trackers import lose_lease, under_lease


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (None, "finished", None),
        (KeyboardInterrupt(), "interrupted", None),
        (ValueError("no room\nmore of it"), "failed", "ValueError: no room"),
        (RuntimeError(), "failed", "RuntimeError: "),
        (OSError("http://me:hunter2@host is away"), "failed", "OSError: http://host is away"),
    ],
)
def test_the_end_of_a_run_is_its_status_and_the_first_line_of_its_error(tmp_path, error, status, said):
    write_end(StateFolder(tmp_path), error)
    end = read_end(tmp_path)
    assert (end.status, end.error) == (status, said)
    assert end.at > 1.7e9


def test_only_a_run_that_finished_after_its_last_begin_came_to_its_end(tmp_path):
    assert not was_cut_off(tmp_path), "no driver has worked here"
    directory = RunDirectory(tmp_path)
    keeper = LeaseKeeper(directory)
    keeper.acquire()
    forget_end(directory)
    assert was_cut_off(tmp_path), "a driver works, or was killed"
    for error, cut_off in ((KeyboardInterrupt(), True), (ValueError(), True), (None, False)):
        write_end(directory, error)
        assert was_cut_off(tmp_path) == cut_off
    forget_end(directory)
    assert read_end(tmp_path) is None
    assert was_cut_off(tmp_path)
    keeper.release()
    assert was_cut_off(tmp_path)


def test_a_driver_without_a_lease_writes_no_end_and_removes_none(tmp_path):
    directory = under_lease(tmp_path)
    write_end(directory, None)
    lose_lease(tmp_path)
    with pytest.raises(LeaseLost):
        write_end(directory, ValueError("late"))
    with pytest.raises(LeaseLost):
        forget_end(directory)
    assert read_end(tmp_path).status == "finished"


def status_of_run(run_dir: Path) -> str:
    said = io.StringIO()
    print_status(run_dir, Console(file=said, width=1000))
    return said.getvalue()


@pytest.mark.parametrize("kind", ["mlflow", "none", "json_lines"])
def test_status_says_how_the_driver_ended_whatever_the_tracker(tmp_path, kind):
    config = load_config(ROOT / "configs" / "smoke.yaml", ["rounds=1", f"tracking.kind={kind}"])
    directory = RunDirectory.create(config, tmp_path / "run")
    go_on = f"go on with     knowlip resume {directory.path}"
    keeper = LeaseKeeper(directory)
    keeper.acquire()
    write_record(directory, record(1))
    write_end(directory, ValueError("no room"))
    found = status_of_run(directory.path)
    assert re.search(r"driver +failed at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC: ValueError: no room\n", found)
    assert go_on in found
    write_end(directory, None)
    found = status_of_run(directory.path)
    assert re.search(r"driver +finished at [^:]+:\d\d:\d\d UTC\n", found)
    assert "go on with" not in found
    assert ("look at it" in found) == (kind != "none")
    keeper.release()


def test_status_names_a_driver_that_was_killed(tmp_path):
    directory = RunDirectory.create(load_config(ROOT / "configs" / "smoke.yaml"), tmp_path / "run")
    work = (
        "import sys; from pathlib import Path; from orchestrator.state.lease import LeaseKeeper;"
        "from orchestrator.state.run_directory import RunDirectory;"
        "LeaseKeeper(RunDirectory(Path(sys.argv[1]))).acquire(); import os; os.kill(os.getpid(), 9)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", work, str(directory.path)], env=environment, check=False)
    assert re.search(
        r"driver +process \d+ on .* was killed; trackers show the run as running", status_of_run(directory.path)
    )


def test_a_damaged_end_is_named(tmp_path):
    (tmp_path / "ended.json").write_text('{"status": "perhaps", "at": 0, "error": null}')
    with pytest.raises(RecordError, match=r"ended.json is damaged: status.*remove it and resume"):
        read_end(tmp_path)
