"""Which MLflow store and which of its runs a run is written to, and how a reader looks at it; without MLflow itself."""

import os
import shlex
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from urllib.parse import quote, unquote, urlsplit

from pydantic import Field, StringConstraints, TypeAdapter
from rich.console import Console

from corpus.storage.lock import file_lock
from corpus.storage.models import StrictModel
from corpus.storage.redaction import without_user
from corpus.storage.state_files import read_json
from orchestrator.tracking.mlflow_address import absolute
from orchestrator.tracking.outbox import LOOP

RUNS_FILE = "mlflow_runs.json"
"""Of a run directory; see TrackedRuns."""
SHARED = "runs"
"""Name of a folder whose runs share a store."""
_STORE = "mlflow.db"
_PATIENCE_S = 600.0  # a first use makes all tables, which takes a busy machine a while
IN_RUN_DIR = "the run directory"
UI_ADDRESS = "http://127.0.0.1:5000"
"""Where `mlflow ui` answers unless it is told otherwise."""
# Part of a path below mlartifacts/.
RunId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+\z")]
RUN_ID = TypeAdapter(RunId)


class TrackedRuns(StrictModel):
    """mlflow_runs.json of a run directory: its MLflow runs, each null or missing until the server has created it.

    `key` is in a tag of every run, by which a run is found that was created just before a crash.
    """

    tracking_uri: str
    experiment_id: str | None = None
    parent: RunId | None = None
    rounds: dict[int, RunId] = Field(default_factory=dict)
    key: str = Field(default_factory=lambda: uuid.uuid4().hex)

    def run_id(self, number: int) -> str | None:
        """Return the MLflow id of a round's run, or of the parent run for LOOP."""
        return self.parent if number == LOOP else self.rounds.get(number)

    def forget(self) -> None:
        """Forget what the store has lost: runs are looked up, or created, when they are delivered again."""
        self.experiment_id, self.parent, self.rounds = None, None, {}


def local_store(run_dir: Path) -> Path:
    """Return the folder of the SQLite store and the artifacts of a run that no server is named for.

    Runs below a folder called `runs`, and the runs of an ablation below that, share the store there, so that they can
    be compared. A run elsewhere has a store of its own, and so has one that began with its own.
    """
    run_dir = Path(run_dir).resolve()
    if (run_dir / _STORE).exists():
        return run_dir
    return next((folder for folder in list(run_dir.parents)[:2] if folder.name == SHARED), run_dir)


def local_uri(run_dir: Path) -> str:
    """Return the URI of the SQLite store of a run that no server is named for."""
    return f"sqlite:///{local_store(run_dir) / _STORE}"


def tracking_uri(run_dir: Path) -> str:
    """Return where a run is tracked: MLFLOW_TRACKING_URI, its path made absolute, or `local_store`."""
    named = os.environ.get("MLFLOW_TRACKING_URI")
    return absolute(named, Path.cwd()) if named else local_uri(run_dir)


@contextmanager
def opening(run_dir: Path, uri: str) -> Iterator[None]:
    """Open the store in the body: of runs that begin at once in a folder, one makes the tables of their store."""
    if uri != local_uri(run_dir):  # a server's tables are the server's
        yield
        return
    with file_lock(local_store(run_dir) / f".{_STORE}.lock", _PATIENCE_S):
        yield


def store_name(run_dir: Path, uri: str) -> str:
    """Return what the run directory calls a store. Not the path, so that a run directory can be moved."""
    return IN_RUN_DIR if uri == local_uri(run_dir) else without_user(uri)


def run_page(run_dir: Path) -> str:
    """Return the path of a run's charts below the address of MLflow; empty before the store has made the run.

    A browser that is new to MLflow shows what it has for language models, unless the address asks for training runs.
    """
    run_dir = Path(run_dir).resolve()
    file = run_dir / RUNS_FILE
    runs = read_json(run_dir, file, TrackedRuns) if file.exists() else None
    if runs is None or runs.parent is None or runs.experiment_id is None:
        return ""
    if runs.tracking_uri != store_name(run_dir, tracking_uri(run_dir)):  # it was told to another store
        return ""
    experiment = quote(runs.experiment_id, safe="")
    return f"/#/experiments/{experiment}/runs/{runs.parent}/model-metrics?workflowType=machine_learning"


def ui_command(run_dir: Path) -> str:
    """Return the shell command that shows a run in the browser."""
    uri, page = tracking_uri(run_dir), run_page(run_dir)
    if uri.startswith(("http://", "https://")):
        return f"open {shlex.quote(without_user(uri) + page)}"
    program = Path(sys.prefix, "bin", "mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    # The URI of a database may hold a password; the shell knows it.
    store = shlex.quote(uri) if without_user(uri) == uri else '"$MLFLOW_TRACKING_URI"'
    command = f"{shlex.quote(str(program))} ui --backend-store-uri {store}"
    return f"{command}  # then open {UI_ADDRESS}{page}" if page else command


def sign_in(uri: str) -> str:
    """Return a server's URI without its user and password; MLflow then takes them from the environment.

    MLflow's messages quote the URI.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return without_user(uri)


def say(text: str) -> None:
    """Tell the user, beside what the loop prints."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)
