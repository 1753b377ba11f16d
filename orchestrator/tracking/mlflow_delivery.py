"""How one entry of the outbox reaches MLflow. Delivered twice, an entry comes to the same as once.

The SQL stores keep a metric's point once per run, key, timestamp, step and value, and the outbox fixes all of them.
Runs and models get an id from the server, so they are looked up by a tag of ours before they are created.
"""

import errno
import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModel, LoggedModelOutput, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from pydantic import ValidationError

from corpus.storage.disk import is_disk_full
from corpus.storage.redaction import without_user
from corpus.storage.state_files import RecordError, read_json
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.charts import GLANCE
from orchestrator.tracking.mlflow_differences import DIFFERENCES, differences_from_run_before
from orchestrator.tracking.mlflow_prompts import PROMPT, enter_prompt
from orchestrator.tracking.mlflow_reach import is_away, reaching_store
from orchestrator.tracking.mlflow_store import RUN_ID, RUNS_FILE, TrackedRuns, say
from orchestrator.tracking.mlflow_traces import Traces
from orchestrator.tracking.outbox import LOOP, OUTBOX, Entry, RunGone

_BATCH = 1000  # metrics in one request: the server's limit
_PARAMS = 100
_LONGEST_REASON = 300  # characters; a server may answer with a page
CHAMPION = "champion"
"""Alias of the best version of a registered model."""
_HELD_OUT = "knowlip.held_out"
_GONE, _TAKEN = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"
# Of a place for artifacts that is a path.
_REFUSALS = {errno.ENOTDIR, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}


class Delivery:
    """Writes entries to one MLflow store.

    Args:
        client: Of the store.
        run: The run that is tracked.
        runs: Filled with ids as they become known.
        save: Writes `runs`; called after each change.
        artifact_location: Where files go if they do not go where the store says.
    """

    def __init__(
        self,
        client: MlflowClient,
        run: TrackedRun,
        runs: TrackedRuns,
        save: Callable[[], None],
        artifact_location: str | None,
    ) -> None:
        self._client, self._run, self._runs, self._save = client, run, runs, save
        self._run_dir = run.directory.path.resolve()
        self._artifact_location = artifact_location
        self._said_refused = False
        self._traces = Traces(client, runs.key)
        # Whatever the outbox names, nothing else is called.
        self._kinds: dict[str, Callable[..., None]] = {
            "close": self._close,
            "params": self._params,
            "metrics": self._metrics,
            "tags": self._tags,
            "dataset": self._dataset,
            "model": self._model,
            "deletion": self._deletion,
            "champion": self._champion,
            "files": self._files,
            "repairs": self._repairs,
            "prompt": self._prompt,
        }

    def __call__(self, entry: Entry) -> None:
        """Deliver an entry.

        Raises:
            TrackerAway: The store, or the place for artifacts, is away (`is_away`).
            RunGone: The run or its experiment is not there any more, not even as a deleted one.
            MlflowException: The store refuses the entry.
            RecordError: There is no such kind of entry, or a name in the store or the outbox leads elsewhere.
        """
        if entry.kind != "open" and entry.kind not in self._kinds:
            raise RecordError(
                f"{self._run_dir / OUTBOX} is damaged: an entry is of the unknown kind {entry.kind!r}. "
                "It was changed by something else; restore it from a copy."
            )
        with reaching_store():
            try:
                if entry.kind == "open":
                    self._open(entry)
                elif (run_id := self._runs.run_id(entry.run)) is not None:
                    self._kinds[entry.kind](run_id, entry, **entry.values)
                else:  # the store had refused to make it
                    raise self._gone(entry)
            except MlflowException as error:
                if error.error_code != _GONE:
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
        return f"knowlip resume {self._run_dir}" if self._run.kind == "loop" else "give the same command again"

    def _open(self, entry: Entry) -> None:
        run_id = self._runs.run_id(entry.run)
        if run_id is not None:
            self._client.update_run(run_id, status="RUNNING")
        else:
            run_id = self._checked(self._find_or_create(entry, self._experiment(), f"{self._runs.key}/{entry.run}"))
            if entry.run == LOOP:
                self._runs.parent = run_id
            else:
                self._runs.rounds[entry.run] = run_id
        self._save()  # of a known id too: an interrupt may have come before it was saved

    def _checked(self, run_id: str) -> str:
        """A store may have come from elsewhere too, and the id names a folder of artifacts."""
        try:
            return RUN_ID.validate_python(run_id)
        except ValidationError as error:
            raise RecordError(
                f"The MLflow store of {self._run_dir} is damaged: {run_id!r} is no id of a run. Nothing was "
                "written. Do not use it unless you know who wrote it."
            ) from error

    def _find_or_create(self, entry: Entry, experiment_id: str, key: str) -> str:
        found = self._client.search_runs([experiment_id], f"tags.`knowlip.key` = '{key}'", max_results=1)
        if found:
            return found[0].info.run_id
        if entry.run == LOOP:
            name, tags = self._run.name, {"knowlip.kind": self._run.kind, "knowlip.run_dir": self._run_dir.name}
            if (above := self._run_above()) is not None:
                tags[MLFLOW_PARENT_RUN_ID] = above
        elif self._runs.parent is None:
            raise self._gone(entry)
        else:
            self._client.get_run(self._runs.parent)  # in another store the experiment's id may be another one's
            own = self._run.children.get(entry.run)
            name = own or f"round {entry.run}"
            tags = {MLFLOW_PARENT_RUN_ID: self._runs.parent, MLFLOW_RUN_NAME: name}
            tags |= {"knowlip.kind": "method"} if own else {"knowlip.kind": "round", "knowlip.round": str(entry.run)}
        tags["knowlip.key"] = key
        return self._client.create_run(experiment_id, start_time=entry.at_ms, run_name=name, tags=tags).info.run_id

    def _run_above(self) -> str | None:
        """The MLflow run of the ablation or search whose directory holds this run's; None where there is none.

        It counts only if this store has it, since a run directory may have come from elsewhere.
        """
        file = self._run_dir.parent / RUNS_FILE
        if not file.exists():
            return None
        above = read_json(file.parent, file, TrackedRuns).parent
        try:
            return None if above is None else self._client.get_run(above).info.run_id
        except MlflowException as error:
            if error.error_code != _GONE:
                raise
            return None

    def _experiment(self) -> str:
        """The id of the run's experiment, which is made if there is none of its name."""
        if self._runs.experiment_id is None:
            self._runs.experiment_id = self._find_or_create_experiment()
            self._save()
        return self._runs.experiment_id

    def _find_or_create_experiment(self) -> str:
        name = self._run.experiment
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return found.experiment_id
        try:
            return self._client.create_experiment(name, artifact_location=self._artifact_location)
        except MlflowException as error:
            # Another run of this configuration started at the same moment, and was first.
            found = self._client.get_experiment_by_name(name) if error.error_code == _TAKEN else None
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
        if self._run.kind == "loop":
            said = differences_from_run_before(self._client, self._experiment(), run_id, known | params)
            if said is not None:
                self._client.set_tag(run_id, DIFFERENCES, said)

    def _with_parent(self, run_id: str, entry: Entry) -> tuple[str, str]:
        """A round's run and the parent, whose page tells of all rounds."""
        if self._runs.parent is None:
            raise self._gone(entry)
        return run_id, self._runs.parent

    def _metrics(
        self, run_id: str, entry: Entry, points: list[list[Any]], with_parent: bool, of_model: bool = False
    ) -> None:
        """of_model: whether the headlines are shown with the round's logged model as well."""
        models = self._models_of(run_id) if of_model else []
        for each in self._with_parent(run_id, entry) if with_parent else (run_id,):
            model_id = models[-1].model_id if models and each == run_id else None
            metrics = [
                Metric(key, value, entry.at_ms, step, model_id=model_id if key.startswith(GLANCE) else None)
                for key, value, step in points
            ]
            for begin in range(0, len(metrics), _BATCH):
                self._client.log_batch(each, metrics=metrics[begin : begin + _BATCH])

    def _tags(self, run_id: str, entry: Entry, tags: dict[str, str]) -> None:
        self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])

    def _dataset(
        self, run_id: str, entry: Entry, table: str, version: int, digest: str, context: str = "training"
    ) -> None:
        source = {"path": str(self._run_dir / table), "delta_table_version": version}
        # MLflow keeps at most 36 characters of a digest.
        dataset = Dataset(f"annotations version {version}", digest[:32], "delta_table", json.dumps(source))
        role = [InputTag(MLFLOW_DATASET_CONTEXT, context)]
        for each in self._with_parent(run_id, entry):
            self._client.log_inputs(each, datasets=[DatasetInput(dataset, tags=role)])

    def _model(self, run_id: str, entry: Entry, weights: str, weights_sha256: str) -> None:
        name = f"round-{entry.run:04d}"
        found = self._client.search_logged_models(
            [self._experiment()], f"source_run_id = '{run_id}' AND name = '{name}'"
        )
        same = [model for model in found if model.tags.get("knowlip.weights_sha256") == weights_sha256]
        model = (
            same[0]
            if same
            else self._client.create_logged_model(
                self._experiment(),
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
        for each in self._with_parent(run_id, entry):
            outputs = self._client.get_run(each).outputs
            if outputs is None or model.model_id not in [output.model_id for output in outputs.model_outputs]:
                self._client.log_outputs(each, [LoggedModelOutput(model.model_id, step=entry.run)])

    def _champion(self, run_id: str, entry: Entry, held_out: float) -> None:
        name, key = self._run.experiment, f"{self._runs.key}/{entry.run}"
        models = self._models_of(run_id)
        if not models:
            return  # the store had refused it
        try:
            self._client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != _TAKEN:
                raise
        version = self._version_of(key)
        if version is None:
            model = models[-1]
            version = self._client.create_model_version(
                name,
                model.artifact_location,
                run_id=run_id,
                # MLflow 3.17 forgets `model_id` in its SQL stores, so the model is a tag as well.
                model_id=model.model_id,
                tags={
                    "knowlip.key": key,
                    "knowlip.model_id": model.model_id,
                    "knowlip.round": str(entry.run),
                    _HELD_OUT: repr(held_out),
                },
                description=f"Round {entry.run} of {self._run.name}. The weights lie in the run directory.",
            ).version
        best = self._client.get_registered_model(name).aliases.get(CHAMPION)
        if best is None or float(self._client.get_model_version(name, best).tags.get(_HELD_OUT, "-inf")) < held_out:
            self._client.set_registered_model_alias(name, CHAMPION, str(version))

    def _models_of(self, run_id: str) -> Sequence[LoggedModel]:
        """The logged models of a round's run; none where the store had refused them."""
        return self._client.search_logged_models([self._experiment()], f"source_run_id = '{run_id}'")

    def _version_of(self, key: str) -> int | None:
        """The version of the registered model that a round of this run was entered as."""
        found = self._client.search_model_versions(f"name = '{self._run.experiment}'")
        return next((int(each.version) for each in found if each.tags.get("knowlip.key") == key), None)

    def _deletion(self, run_id: str, entry: Entry) -> None:
        tags = {"knowlip.weights": "deleted by retention"}
        self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        for model in self._models_of(run_id):
            self._client.set_logged_model_tags(model.model_id, tags)
        if (version := self._version_of(f"{self._runs.key}/{entry.run}")) is not None:
            for name, text in tags.items():
                self._client.set_model_version_tag(self._run.experiment, str(version), name, text)

    def _repairs(self, run_id: str, entry: Entry, repairs: list[dict[str, Any]]) -> None:
        runs = [*self._with_parent(run_id, entry)]
        if not self._traces.enter(self._experiment(), runs, entry.run, entry.at_ms, repairs, entry.files):
            say(
                f"Warning: the MLflow server of this run ({self._runs.tracking_uri}) is older than 3.4 and holds "
                f"no traces, so the repairs of round {entry.run} are told by `knowlip gallery {self._run_dir}` alone."
            )

    def _prompt(self, run_id: str, entry: Entry, sha256: str, text: str) -> None:
        if not enter_prompt(self._client, self._experiment(), run_id, sha256, text):
            say(
                f"Warning: the MLflow store of this run ({self._runs.tracking_uri}) has a registered model "
                f"called {PROMPT}, so the captioner's prompts are not in its prompt registry. Give the model another "
                "name."
            )

    def _files(self, run_id: str, entry: Entry, folder: str) -> None:
        with tempfile.TemporaryDirectory(prefix="knowlip-") as place:
            paths = [Path(place) / name for name in entry.files]
            for path, content in zip(paths, entry.files.values(), strict=True):
                if path.parent != Path(place):
                    raise RecordError(
                        f"{self._run_dir / OUTBOX} is damaged: it has a file named {path}. Do not use it."
                    )
                path.write_bytes(content)
            self._send(run_id, paths, folder)

    def _send(self, run_id: str, paths: list[Path], folder: str) -> None:
        if self._artifact_location is not None:
            # Not where the store says: a run directory may have been moved, or have come from elsewhere.
            place = LocalArtifactRepository(f"{self._artifact_location}/{run_id}/artifacts")
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
            f"Warning: {path.name} cannot be put where the MLflow store of this run ({self._runs.tracking_uri}) wants "
            f"the files of run {run_id}: {without_user(location)} ({type(error).__name__}: {reason}). Files lie in "
            f"{self._run_dir} alone; all else goes to MLflow. Let this machine write there, or have the server take "
            "files itself (`mlflow server --serve-artifacts`; an experiment keeps the place that it was made with, so "
            "that needs a configuration of another name)."
        )


def _is_refusal(error: OSError) -> bool:
    """Whether trying again would meet the same: an HTTP server's answer, or a place where this user cannot write."""
    return isinstance(error, requests.exceptions.HTTPError) or error.errno in _REFUSALS
