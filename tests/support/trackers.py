"""Trackers of runs that are no real runs."""

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from corpus.storage.lock import LEASE
from corpus.storage.state_files import StateFolder
from corpus.storage.writer import Writer
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.mlflow import MlflowTracker
from orchestrator.tracking.outbox import OUTBOX, Outbox


def tracker_in(directory: Path | StateFolder, experiment: str = "e", name: str = "r") -> MlflowTracker:
    """A tracker that was not started; a mere path is guarded by no lease."""
    directory = StateFolder(directory) if isinstance(directory, Path) else directory
    return MlflowTracker(TrackedRun(directory, experiment, name))


def under_lease(run_dir: Path) -> StateFolder:
    """A directory whose lease this process holds, until `lose_lease`."""
    _write_token(run_dir, 1)
    return StateFolder(run_dir, Writer(str(run_dir), 1))


def lose_lease(run_dir: Path) -> None:
    """Another driver takes over."""
    _write_token(run_dir, 2)


def _write_token(run_dir: Path, token: int) -> None:
    (run_dir / LEASE).write_text(json.dumps({"token": token, "owner": {"pid": 1, "host": "elsewhere"}}))


def started(tracker: MlflowTracker, params: Mapping[str, Any]) -> str | None:
    """Start a tracker; its parent run's id, None while the store is away."""
    tracker.start(params)
    return tracker.run_id()


def waiting(run_dir: Path) -> int:
    """How many entries of a run directory wait for MLflow."""
    return Outbox(StateFolder(run_dir), lambda entry: None).waiting


def undeliver(run_dir: Path, file: Path) -> None:
    """Mark all entries as not delivered, as a crash at the worst moment does; `file` is what was sent each time."""
    with closing(sqlite3.connect(run_dir / OUTBOX)) as outbox, outbox:
        outbox.execute("UPDATE entries SET delivered = 0")
        insert = "INSERT INTO files SELECT number, ?, ? FROM entries WHERE kind = 'files'"
        outbox.execute(insert, (file.name, file.read_bytes()))
