"""How one entry of the outbox reaches MLflow. Delivered twice, an entry comes to the same as once.

The SQL stores keep a metric's point once per run, key, timestamp, step and value, and the outbox fixes all of them.
Runs and models get an id from the server, so they are looked up by a tag of ours before they are created.
"""

import json
from collections.abc import Callable
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from pydantic import ValidationError

from corpus.storage.state_files import RecordError, read_json
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.charts import GLANCE
from orchestrator.tracking.mlflow_artifacts import Artifacts
from orchestrator.tracking.mlflow_differences import DIFFERENCES, differences_from_run_before
from orchestrator.tracking.mlflow_models import RoundModels
from orchestrator.tracking.mlflow_prompts import PROMPT, enter_prompt
from orchestrator.tracking.mlflow_reach import reaching_store
from orchestrator.tracking.mlflow_store import RUN_ID, RUNS_FILE, TrackedRuns, say
from orchestrator.tracking.mlflow_traces import Traces
from orchestrator.tracking.outbox import LOOP, OUTBOX, Entry, RunGone

_BATCH = 1000  # metrics in one request: the server's limit
_PARAMS = 100
_GONE, _TAKEN = "RESOURCE_DOES_NOT_EXIST", "RESOURCE_ALREADY_EXISTS"


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
        self._artifacts = Artifacts(client, self._run_dir, runs.tracking_uri, artifact_location)
        self._artifact_location = artifact_location
        self._models = RoundModels(client, run, runs, self._experiment)
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
        models = self._models.of_run(run_id) if of_model else []
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
        self._models.enter(self._with_parent(run_id, entry), entry.run, weights, weights_sha256)

    def _champion(self, run_id: str, entry: Entry, held_out: float) -> None:
        self._models.register(run_id, entry.run, held_out)

    def _deletion(self, run_id: str, entry: Entry) -> None:
        self._models.say_deleted(run_id, entry.run)

    def _files(self, run_id: str, entry: Entry, folder: str) -> None:
        self._artifacts.send(run_id, entry.files, folder)

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
