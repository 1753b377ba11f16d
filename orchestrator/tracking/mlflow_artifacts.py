"""Files on their way to the artifacts of a run in MLflow. A place that refuses them does not end a run."""

import errno
import tempfile
from collections.abc import Mapping
from pathlib import Path

import requests
from mlflow import MlflowClient
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

from corpus.storage.disk import is_disk_full
from corpus.storage.redaction import without_user
from corpus.storage.state_files import RecordError
from orchestrator.tracking.mlflow_reach import is_away
from orchestrator.tracking.mlflow_store import say
from orchestrator.tracking.outbox import OUTBOX

_LONGEST_REASON = 300  # characters; a server may answer with a page
# Of a place for artifacts that is a path.
_REFUSALS = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}


class Artifacts:
    """Sends the files of one run of the loop.

    Args:
        client: Of the store.
        run_dir: The run directory.
        store: The store, as messages name it.
        location: Where files go if they do not go where the store says.
    """

    def __init__(self, client: MlflowClient, run_dir: Path, store: str, location: str | None) -> None:
        self._client, self._run_dir, self._store, self._location = client, run_dir, store, location
        self._said_refused = False

    def send(self, run_id: str, files: Mapping[str, bytes], folder: str) -> None:
        """Put files, by name, into a folder of a run's artifacts."""
        with tempfile.TemporaryDirectory(prefix="knowlip-") as place:
            paths = [Path(place) / name for name in files]
            for path, content in zip(paths, files.values(), strict=True):
                if path.parent != Path(place):
                    raise RecordError(
                        f"{self._run_dir / OUTBOX} is damaged: it has a file named {path}. Do not use it."
                    )
                path.write_bytes(content)
            self._send(run_id, paths, folder)

    def _send(self, run_id: str, paths: list[Path], folder: str) -> None:
        if self._location is not None:
            # Not where the store says: a run directory may have been moved, or have come from elsewhere.
            place = LocalArtifactRepository(f"{self._location}/{run_id}/artifacts")
            for path in paths:
                place.log_artifact(str(path), folder)
            return
        location = self._client.get_run(run_id).info.artifact_uri or ""
        for path in paths:
            try:
                self._client.log_artifact(run_id, str(path), artifact_path=folder)
            except Exception as error:  # of any kind: each sort of place has a client of its own
                if is_away(error) or is_disk_full(error) or (isinstance(error, OSError) and not _is_refusal(error)):
                    raise
                self._say_refused(path, run_id, location, error)
                return

    def _say_refused(self, path: Path, run_id: str, location: str, error: Exception) -> None:
        """Pictures are no reason to end a run, and what refuses one of them refuses the next."""
        if self._said_refused:
            return
        self._said_refused = True
        reason = without_user(" ".join(str(error).split()))[:_LONGEST_REASON]
        say(
            f"Warning: {path.name} cannot be put where the MLflow store of this run ({self._store}) wants "
            f"the files of run {run_id}: {without_user(location)} ({type(error).__name__}: {reason}). Files lie in "
            f"{self._run_dir} alone; all else goes to MLflow. Let this machine write there, or have the server take "
            "files itself (`mlflow server --serve-artifacts`; an experiment keeps the place that it was made with, so "
            "that needs a configuration of another name)."
        )


def _is_refusal(error: OSError) -> bool:
    """Whether trying again would meet the same: an HTTP server's answer, or a place where this user cannot write."""
    return isinstance(error, requests.exceptions.HTTPError) or error.errno in _REFUSALS
