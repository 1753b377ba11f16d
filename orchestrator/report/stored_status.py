"""`knowlip status URI`: the small files of a stored run's state are looked at as they were published last."""

import tempfile
import time
from pathlib import Path
from typing import Any

from corpus.storage.objects import Patient, StoreUri
from corpus.storage.published import HeadMoved, Published
from corpus.storage.state_files import write_json
from corpus.storage.stores import open_store
from orchestrator.report.status import status_as_json
from orchestrator.state.lease import LEASE
from orchestrator.state.run_directory import RunDirectoryError
from orchestrator.state.stored_lease import is_held, read_stored_lease

_FILES = ("config.yaml", "status.json", "ended.json", "initial.json", "mlflow_runs.json", "mlflow_outbox.db")
_RUN, _RECORDS = "run", "rounds/"
_PATIENCE_S, _TRIES = 10.0, 5


def stored_status(uri: StoreUri) -> dict[str, Any]:
    """What is known of a stored run at this moment; keys as of `status_as_json`.

    Paths are those of the store, and what the driver does is as old as its last publication.

    Raises:
        RunDirectoryError: There is no run.
        StoreAway: The store does not answer.
    """
    store = open_store(uri, _PATIENCE_S, f"When it answers again: knowlip status {uri}")
    with tempfile.TemporaryDirectory(prefix="knowlip-status-") as temporary:
        folder = Path(temporary).resolve() / "run"
        _read(store, folder)
        found = status_as_json(folder)
    weights = found["weights"] and f"{uri}: {Path(found['weights']).relative_to(folder)}"
    resume = found["resume"] and f"knowlip resume {uri}"
    # The tracker's own store below the run directory is not published.
    view = None if str(folder) in (found["view"] or "") else found["view"]
    return {**found, "run_dir": str(uri), "weights": weights, "view": view, "resume": resume}


def _read(store: Patient, folder: Path) -> None:
    """Put the small files of a run into a folder, and its lease as one by the clock of this machine."""
    for _ in range(_TRIES):
        published = Published(store)
        published.read(_RUN)
        tree = published.trees.get(_RUN)
        if tree is None:
            raise RunDirectoryError(f"{store.uri} holds no run. Begin one with `--set storage={store.uri}`.")
        try:
            for path in (each for each in tree if each in _FILES or each.startswith(_RECORDS)):
                body = published.read_file(_RUN, path)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_bytes(body or b"")
        except HeadMoved:
            continue
        if (lease := read_stored_lease(store)) is not None:
            held = is_held(lease[0], lease[1])
            now = lease[0].model_copy(update={"renewed": time.time() if held else 0.0})
            write_json(folder, folder / LEASE, now)
        return
    raise HeadMoved(f"{store.uri} is published faster than it can be read. Try again.")
