"""How one entry of the spool reaches MLflow. Delivered twice, an entry comes to the same as once.

The SQL stores keep a metric's point once per run, key, timestamp, step and value, and the journal fixes all of them.
Runs and models get an id from the server, so they are looked up by a tag of ours before they are created.
"""

import errno
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import requests
from mlflow import MlflowClient
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_ALREADY_EXISTS, RESOURCE_DOES_NOT_EXIST, ErrorCode
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from pydantic import Field, StringConstraints, TypeAdapter, ValidationError
from rich.console import Console

from corpus.storage.disk import is_disk_full
from corpus.storage.models import StrictModel
from corpus.storage.redaction import without_user
from orchestrator.state.records import RecordError
from orchestrator.tracking.outbox import JOURNAL, LOOP, Entry, RunGone, StoreAway

_BATCH = 1000  # metrics in one request: the server's limit
_PARAMS = 100
_LONGEST_REASON = 300  # characters; a server may answer with a page
# The journal does the waiting, so a request is tried once and not for MLflow's four minutes.
_IMPATIENT = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
_AWAY = (
    requests.exceptions.ConnectionError,
    requests.exceptions.Timeout,
    requests.exceptions.RetryError,
    requests.exceptions.ChunkedEncodingError,
)
# A proxy that lost its server, a token that ran out: what waits arrives once somebody has mended it.
_AWAY_CODES = {"TEMPORARILY_UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED", "ENDPOINT_NOT_FOUND"}
# The same from where artifacts go, which answers without MLflow's codes; 5xx as well.
_AWAY_STATUSES = {401, 403, 404, 408, 429}
# Of a place for artifacts that is a path.
_REFUSALS = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}
# MLflow has no code of its own for a run or an experiment that a user has deleted and can restore.
_DELETED = "must be in the 'active' state"

# Part of a path below mlartifacts/.
RunId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]+\z")]
_RUN_ID = TypeAdapter(RunId)


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
        return self.parent if number == LOOP else self.rounds.get(number)

    def forget(self) -> None:
        """The store has lost them: they are looked up, or created, when they are delivered again."""
        self.experiment_id, self.parent, self.rounds = None, None, {}


class Delivery:
    """Writes entries to one MLflow store.

    Args:
        runs: filled with ids as they become known; `save` is called after each.
        kept_files: the copies of the files of the entry that is being delivered.
    """

    def __init__(
        self,
        client: MlflowClient,
        run_dir: Path,
        experiment: str,
        run_name: str,
        kind: str,
        artifact_location: str | None,
        runs: TrackedRuns,
        save: Callable[[], None],
        kept_files: Callable[[], list[Path]],
    ) -> None:
        self._client, self._run_dir = client, run_dir
        self._experiment, self._run_name, self._kind = experiment, run_name, kind
        self._artifact_location = artifact_location
        self._runs, self._save, self._kept_files = runs, save, kept_files
        self._said_refused = False
        # Whatever the journal names, nothing else is called.
        self._kinds = {
            "close": self._close,
            "params": self._params,
            "metrics": self._metrics,
            "tags": self._tags,
            "dataset": self._dataset,
            "model": self._model,
            "deletion": self._deletion,
            "files": self._files,
        }

    def __call__(self, entry: Entry) -> None:
        """Deliver an entry.

        Raises:
            StoreAway: the server does not answer, says that it is overloaded or broken (408, 429, 5xx), or refuses us
                as a whole (401, 403, 404 of a proxy); or the run or its experiment is deleted there. The same of the
                server that takes the artifacts.
            RunGone: the run or its experiment is not there any more, not even as a deleted one.
            MlflowException: the server refuses the entry.
            RecordError: there is no such kind of entry.
        """
        if entry.kind != "open" and entry.kind not in self._kinds:
            raise RecordError(
                f"{self._run_dir / JOURNAL} is damaged: an entry is of the unknown kind {entry.kind!r}. "
                "It is only ever appended to, so it was changed afterwards; restore it from a copy."
            )
        with reaching_store():
            try:
                if entry.kind == "open":
                    self._open(entry)
                else:
                    self._kinds[entry.kind](self._runs.run_id(entry.run), entry, **entry.values)
            except MlflowException as error:
                if not _has_code(error, RESOURCE_DOES_NOT_EXIST):
                    raise
                raise self._gone(entry) from error

    def _gone(self, entry: Entry) -> RunGone:
        run_id = self._runs.run_id(entry.run) or self._runs.parent
        lost = f"experiment {self._runs.experiment_id}" if run_id is None else f"run {run_id}"
        return RunGone(
            f"The MLflow store of this run ({self._runs.tracking_uri}) has no {lost} any more: it was deleted for "
            "good, or the server came back with another or an empty store.",
            f"All that was written is kept in {self._run_dir}. If the old store can be had back, restore it first. "
            f"Then, or to have the run entered once more from its beginning: {self._go_on}",
        )

    @property
    def _go_on(self) -> str:
        return f"knowlip resume {self._run_dir}" if self._kind == "loop" else "give the same command again"

    def _open(self, entry: Entry) -> None:
        run_id = self._runs.run_id(entry.run)
        if run_id is not None:
            self._client.update_run(run_id, status="RUNNING")
        else:
            run_id = self._checked(self._find_or_create(entry, f"{self._runs.key}/{entry.run}"))
            if entry.run == LOOP:
                self._runs.parent = run_id
            else:
                self._runs.rounds[entry.run] = run_id
        self._save()  # of a known id too: an interrupt may have come before it was saved

    def _checked(self, run_id: str) -> str:
        """A store may have come from elsewhere too, and the id names a folder of artifacts."""
        try:
            return _RUN_ID.validate_python(run_id)
        except ValidationError as error:
            raise RecordError(
                f"The MLflow store of {self._run_dir} is damaged: {run_id!r} is no id of a run. Nothing was "
                "written. Do not use it unless you know who wrote it."
            ) from error

    def _find_or_create(self, entry: Entry, key: str) -> str:
        if self._runs.experiment_id is None:
            self._runs.experiment_id = self._find_or_create_experiment()
            self._save()
        found = self._client.search_runs([self._runs.experiment_id], f"tags.`knowlip.key` = '{key}'", max_results=1)
        if found:
            return found[0].info.run_id
        if entry.run == LOOP:
            name, tags = self._run_name, {"knowlip.kind": self._kind, "knowlip.run_dir": self._run_dir.name}
        else:
            self._client.get_run(self._runs.parent)  # in another store the experiment's id may be another one's
            name = f"round {entry.run}"
            tags = {
                MLFLOW_PARENT_RUN_ID: self._runs.parent,
                MLFLOW_RUN_NAME: name,
                "knowlip.kind": "round",
                "knowlip.round": str(entry.run),
            }
        run = self._client.create_run(
            self._runs.experiment_id, start_time=entry.at_ms, run_name=name, tags={**tags, "knowlip.key": key}
        )
        return run.info.run_id

    def _find_or_create_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(self._experiment, artifact_location=self._artifact_location)
        except MlflowException as error:
            # Another run of this configuration started at the same moment, and was first.
            if not _has_code(error, RESOURCE_ALREADY_EXISTS):
                raise
            found = self._client.get_experiment_by_name(self._experiment)
            if found is None:
                raise
            return found.experiment_id

    def _close(self, run_id: str, entry: Entry, status: str) -> None:
        self._client.set_terminated(run_id, status=status, end_time=entry.at_ms)

    def _params(self, run_id: str, entry: Entry, params: dict[str, str]) -> None:
        # A parameter cannot be changed, so after a restart with other settings the first ones stay and the new
        # values become tags.
        known = self._client.get_run(run_id).data.params
        fresh = [Param(name, text) for name, text in params.items() if name not in known]
        changed = [
            RunTag(f"knowlip.changed.{name}", text) for name, text in params.items() if known.get(name, text) != text
        ]
        for begin in range(0, len(fresh), _PARAMS):
            self._client.log_batch(run_id, params=fresh[begin : begin + _PARAMS])
        for begin in range(0, len(changed), _PARAMS):
            self._client.log_batch(run_id, tags=changed[begin : begin + _PARAMS])

    def _metrics(self, run_id: str, entry: Entry, points: list[list[Any]]) -> None:
        metrics = [Metric(key, value, entry.at_ms, step) for key, value, step in points]
        for begin in range(0, len(metrics), _BATCH):
            self._client.log_batch(run_id, metrics=metrics[begin : begin + _BATCH])

    def _tags(self, run_id: str, entry: Entry, tags: dict[str, str]) -> None:
        self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])

    def _dataset(self, run_id: str, entry: Entry, table: str, version: int, digest: str) -> None:
        source = DeltaDatasetSource(path=str(self._run_dir / table), delta_table_version=version)
        # MLflow keeps at most 36 characters of a digest.
        dataset = MetaDataset(source, name=f"annotations version {version}", digest=digest[:32])
        self._client.log_inputs(
            run_id,
            datasets=[DatasetInput(dataset._to_mlflow_entity(), tags=[InputTag(MLFLOW_DATASET_CONTEXT, "training")])],
        )

    def _model(self, run_id: str, entry: Entry, weights: str, weights_sha256: str) -> None:
        name = f"round-{entry.run:04d}"
        found = self._client.search_logged_models(
            [self._runs.experiment_id], f"source_run_id = '{run_id}' AND name = '{name}'"
        )
        same = [model for model in found if model.tags.get("knowlip.weights_sha256") == weights_sha256]
        model = (
            same[0]
            if same
            else self._client.create_logged_model(
                self._runs.experiment_id,
                name=name,
                source_run_id=run_id,
                model_type="knowlip",
                tags={"knowlip.weights_sha256": weights_sha256},
                params={
                    "weights_sha256": weights_sha256,
                    "round": str(entry.run),
                    "format": "safetensors",
                    "directory": str(self._run_dir / weights),
                },
            )
        )
        if model.status != "READY":
            self._client.finalize_logged_model(model.model_id, "READY")
        outputs = self._client.get_run(run_id).outputs
        if outputs is None or model.model_id not in [output.model_id for output in outputs.model_outputs]:
            self._client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=entry.run)])

    def _deletion(self, run_id: str, entry: Entry) -> None:
        tags = {"knowlip.weights": "deleted by retention"}
        self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        for model in self._client.search_logged_models([self._runs.experiment_id], f"source_run_id = '{run_id}'"):
            self._client.set_logged_model_tags(model.model_id, tags)

    def _files(self, run_id: str, entry: Entry, folder: str) -> None:
        paths = self._kept_files()
        if self._artifact_location is not None:
            # Not where the store says: a run directory may have been moved, or have come from elsewhere.
            place = LocalArtifactRepository(f"{self._artifact_location}/{run_id}/artifacts")
            for path in paths:
                place.log_artifact(str(path), folder)
            return
        location = self._client.get_run(run_id).info.artifact_uri
        for path in paths:
            try:
                self._client.log_artifact(run_id, str(path), artifact_path=folder)
            except Exception as error:  # of any kind: each sort of place has a client of its own
                if _is_away(error) or is_disk_full(error) or (isinstance(error, OSError) and not _is_refusal(error)):
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
            f"Warning: {path.name} cannot be put where the MLflow store of this run ({self._runs.tracking_uri}) wants the "
            f"files of run {run_id}: {without_user(location)} ({type(error).__name__}: {reason}). Files lie in "
            f"{self._run_dir} alone; all else goes to MLflow. Let this machine write there, or have the server take files "
            "itself (`mlflow server --serve-artifacts`; an experiment keeps the place that it was made with, so that needs "
            "a configuration of another name)."
        )


@contextmanager
def reaching_store() -> Iterator[None]:
    """Requests of the body do not wait long, and raise StoreAway for what somebody can mend without us."""
    mine = {name: value for name, value in _IMPATIENT.items() if name not in os.environ}
    os.environ.update(mine)
    try:
        yield
    except (MlflowException, requests.exceptions.RequestException, ConnectionError, TimeoutError) as error:
        if _is_away(error):
            raise StoreAway(" ".join(str(error).split())) from error
        raise
    finally:
        for name in mine:
            del os.environ[name]


def _is_refusal(error: OSError) -> bool:
    """Whether trying again would meet the same: an HTTP server's answer, or a place where this user cannot write."""
    return isinstance(error, requests.exceptions.HTTPError) or error.errno in _REFUSALS


def say(text: str) -> None:
    """Tell the user, beside what the loop prints."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _has_code(error: MlflowException, code: int) -> bool:
    return error.error_code == ErrorCode.Name(code)


def _is_away(error: BaseException) -> bool:
    # MLflow raises its own exception while it handles the one of requests.
    if isinstance(error, MlflowException) and (error.error_code in _AWAY_CODES or _DELETED in str(error)):
        return True
    if isinstance(error, (ConnectionError, TimeoutError)):  # of a place for artifacts that is no HTTP server
        return True
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None:
        return error.response.status_code in _AWAY_STATUSES or error.response.status_code >= 500
    chain, seen = error, set()
    while chain is not None and id(chain) not in seen:
        if isinstance(chain, _AWAY):
            # A certificate that is not trusted stays so.
            return not isinstance(chain, requests.exceptions.SSLError)
        seen.add(id(chain))
        chain = chain.__cause__ or chain.__context__
    return False
