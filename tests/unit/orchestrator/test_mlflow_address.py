"""What MLFLOW_TRACKING_URI may hold: a path is made absolute, and what MLflow cannot open is named in one paragraph."""

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from mlflow import MlflowClient

from corpus.storage.errors import ConfigError, UserError
from corpus.storage.state_files import StateFolder
from orchestrator.run.preflight import PreflightError, preflight_tracking
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.mlflow import MlflowTracker
from orchestrator.tracking.mlflow_address import absolute
from orchestrator.tracking.mlflow_store import local_uri, opening, tracking_uri

HERE = Path("/some/where")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("sqlite:///mlflow.db", "sqlite:////some/where/mlflow.db"),
        ("sqlite:///../mlflow.db?timeout=9", "sqlite:////some/mlflow.db?timeout=9"),
        ("sqlite:////abs/mlflow.db", "sqlite:////abs/mlflow.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("./mlruns", "file:///some/where/mlruns"),
        ("my runs", "file:///some/where/my%20runs"),
        ("/abs/mlruns", "file:///abs/mlruns"),
        ("file:./mlruns", "file:///some/where/mlruns"),
        ("file:///abs", "file:///abs"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("127.0.0.1:5000", "127.0.0.1:5000"),
        ("postgresql://me:secret@db/mlflow", "postgresql://me:secret@db/mlflow"),
        ("databricks", "databricks"),
    ],
)
def test_a_relative_path_is_made_absolute_and_nothing_else_is_changed(given, meant):
    assert absolute(given, HERE) == meant
    assert absolute(meant, HERE) == meant


def tracker(folder: Path, experiment: str = "e") -> MlflowTracker:
    return MlflowTracker(TrackedRun(StateFolder(folder), experiment, "r"))


def refusal(folder: Path, uri: str, monkeypatch, expected: type[UserError] = ConfigError) -> str:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(expected) as error:
        preflight_tracking(tracker(folder))
    said = str(error.value)
    assert said.startswith("The run was not started, because MLFLOW_TRACKING_URI names ")
    assert "unset it to track in the run directory" in said
    assert "\n" not in said
    assert not list(folder.iterdir()), "something was left behind"
    return said


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("./mlruns", ["./mlruns, a folder, and MLflow keeps runs in databases only", "sqlite:///mlruns.db"]),
        ("htpp://127.0.0.1:5000", ["MLflow knows no address that begins with htpp", "http, https, sqlite"]),
        ("127.0.0.1:5000", ["write it as http://127.0.0.1:5000"]),
        ("localhost:5000", ["write it as http://localhost:5000"]),
    ],
)
def test_an_address_that_mlflow_cannot_open_is_named_with_what_to_do(tmp_path, monkeypatch, uri, said):
    found = refusal(tmp_path, uri, monkeypatch)
    for each in said:
        assert each in found


def test_what_mlflow_cannot_open_for_a_reason_of_its_own_may_be_tried_again(tmp_path, monkeypatch):
    found = refusal(tmp_path, "sqlite:mlflow.db", monkeypatch, expected=PreflightError)
    assert "which MLflow cannot open" in found
    assert (ConfigError.exit_status, PreflightError.exit_status) == (2, 1)


@pytest.mark.parametrize(
    ("scheme", "package", "command"),
    [
        ("postgresql", "psycopg", "'knowlip[postgres]'"),
        ("postgresql+psycopg2", "psycopg2", "psycopg2-binary"),
        ("mysql+pymysql", "pymysql", "pymysql"),
    ],
)
def test_a_database_whose_package_is_missing_is_named_with_the_package(tmp_path, monkeypatch, scheme, package, command):
    monkeypatch.setitem(sys.modules, package, None)  # as where it is not installed
    found = refusal(tmp_path, f"{scheme}://me:hunter2@db/mlflow", monkeypatch)
    assert f"the Python package {package} that such a database needs is not installed: `pip install {command}`" in found
    assert "hunter2" not in found


def test_a_relative_database_is_the_same_one_from_everywhere_and_a_deleted_experiment_is_named(tmp_path, monkeypatch):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///mlflow.db")
    mine = tracker(tmp_path)
    uri = tracking_uri(tmp_path)
    client = MlflowClient(tracking_uri=uri)
    made = client.create_experiment("e")
    monkeypatch.chdir(tmp_path / "there")
    preflight_tracking(mine)
    assert not list(Path.cwd().iterdir()), "another database was made"
    client.delete_experiment(made)
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(PreflightError) as error:
        preflight_tracking(tracker(tmp_path))
    said = str(error.value)
    assert "the MLflow experiment e is deleted" in said
    assert f"mlflow experiments restore --experiment-id {made}" in said
    assert "--set name=" in said
    preflight_tracking(tracker(tmp_path, "another"))
    client.restore_experiment(made)
    preflight_tracking(tracker(tmp_path))


def test_of_runs_that_begin_at_once_in_a_folder_one_opens_their_store_at_a_time(tmp_path):
    run_dirs = [tmp_path / "runs" / name for name in ("one", "other")]
    inside, most = [], []

    def open_store(run_dir: Path) -> None:
        run_dir.mkdir(parents=True)
        with opening(run_dir, local_uri(run_dir)):
            inside.append(run_dir)
            time.sleep(0.2)
            most.append(len(inside))
            inside.remove(run_dir)

    with ThreadPoolExecutor() as pool:
        list(pool.map(open_store, run_dirs))
    assert most == [1, 1]
