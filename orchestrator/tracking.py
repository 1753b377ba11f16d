"""The run's MLflow record: one parent run per loop, one child per round, the same ones after a restart.

Ray Train v2 has no MLflow callback, so the loop owns the runs. `MlflowClient` is used throughout, never the ambient
"active run": nothing is global, and a notebook that has its own run open is not disturbed.
"""

import json
import logging
import os
import re
import shlex
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from mlflow import MlflowClient
from mlflow.data.delta_dataset_source import DeltaDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import DatasetInput, InputTag, LoggedModelOutput, Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME
from pydantic import BaseModel, ConfigDict, Field

from orchestrator.records import RecordError, RoundRecord, read_json, write_json

_SECRET = re.compile(r"(?:^|_)(?:token|secret|password|passwd|api_?key|credentials?)$", re.IGNORECASE)
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")
_PICKLED = {".pt", ".pth", ".bin", ".pkl", ".pickle"}
_BATCH = 1000  # metrics in one request: the server's limit
_PARAMS = 100
_LONGEST = 500  # characters of a parameter's value that every MLflow store takes
IN_RUN_DIR = "the run directory"
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-. :/]")


class TrackedRuns(BaseModel):
    """mlflow_runs.json of a run directory: which MLflow runs belong to it, so that a restart goes on with them."""

    model_config = ConfigDict(extra="forbid")

    tracking_uri: str
    experiment_id: str
    parent: str
    rounds: dict[int, str] = Field(default_factory=dict)


class RoundRun:
    """The MLflow run of one round."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id


class Tracker:
    """Writes one run of the loop to MLflow.

    The store is a SQLite file in the run directory, unless MLFLOW_TRACKING_URI names another one.
    """

    def __init__(self, run_dir: Path, experiment: str, run_name: str, kind: str = "loop") -> None:
        self._run_dir = Path(run_dir).resolve()
        self._experiment, self._run_name, self._kind = experiment, run_name, kind
        self._uri = tracking_uri(self._run_dir)
        self._runs: TrackedRuns | None = None
        # The store's migrations report every step at INFO on the first use.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=self._uri)

    @property
    def parent_run_id(self) -> str:
        return self._opened.parent

    def start(self, params: Mapping[str, Any]) -> str:
        """Begin the parent run, or go on with the one of an earlier start; returns its id.

        params: the configuration with dotted keys. Values of secret-looking keys are left out.
        """
        path = self._file
        if path.exists():
            self._runs = read_json(self._run_dir, path, TrackedRuns)
            if self._runs.tracking_uri != self._where:
                raise RecordError(
                    f"This run is tracked at {self._runs.tracking_uri}, but now MLFLOW_TRACKING_URI asks for "
                    f"{self._where}. Set or unset it as before, or start a new run.")
            self._client.update_run(self._runs.parent, status="RUNNING")
        else:
            experiment_id = self._experiment_id()
            run = self._client.create_run(experiment_id, run_name=self._run_name, tags={
                "knowlip.kind": self._kind, "knowlip.run_dir": self._run_dir.name})
            self._runs = TrackedRuns(tracking_uri=self._where, experiment_id=experiment_id,
                                     parent=run.info.run_id)
            self._save()
        self._log_params(self._runs.parent, params)
        return self._runs.parent

    def finish(self, status: str) -> None:
        """Close the parent run as FINISHED, FAILED or KILLED (by the user)."""
        if self._runs is not None:
            self._client.set_terminated(self._runs.parent, status=status)

    @contextmanager
    def round(self, number: int) -> Iterator[RoundRun]:
        """The child run of a round. A round that was interrupted and runs again goes on with its child.

        A body that raises leaves the child FAILED (KILLED when interrupted by the user).
        """
        runs = self._opened
        if number in runs.rounds:
            self._client.update_run(runs.rounds[number], status="RUNNING")
        else:
            name = f"round {number}"
            run = self._client.create_run(runs.experiment_id, run_name=name, tags={
                MLFLOW_PARENT_RUN_ID: runs.parent, MLFLOW_RUN_NAME: name, "knowlip.kind": "round",
                "knowlip.round": str(number)})
            runs.rounds[number] = run.info.run_id
            self._save()
        child = RoundRun(runs.rounds[number])
        status = "FAILED"
        try:
            yield child
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            self._client.set_terminated(child.run_id, status=status)

    def log_losses(self, child: RoundRun, losses: Sequence[Mapping[str, float]]) -> None:
        """Per-step losses: one mapping a step, with `step` counted over the run; also on the parent, as one curve."""
        now = int(time.time() * 1000)
        metrics = [Metric(f"loss/{_key(name)}", float(value), now, int(row["step"]))
                   for row in losses for name, value in row.items() if name != "step"]
        for run_id in (child.run_id, self._opened.parent):
            self._log_metrics(run_id, metrics)

    def log_record(self, child: RoundRun, record: RoundRecord) -> None:
        """The numbers of a round's record, on its child and, with the round as step, on the parent."""
        values = {name: value for name, value in record.metrics.items() if value is not None}
        values |= {f"count/{name}": value for name, value in record.counts.model_dump().items()}
        values |= {f"time/{name}": value for name, value in record.timings.model_dump().items()}
        values |= {f"accuracy/{name}": value for name, value in (record.accuracy_by_clause or {}).items()
                   if value is not None}
        values["world_size"] = record.world_size
        now = int(time.time() * 1000)
        metrics = [Metric(_key(name), float(value), now, record.round) for name, value in values.items()]
        for run_id in (child.run_id, self._opened.parent):
            self._log_metrics(run_id, metrics)
        self._client.log_batch(child.run_id, tags=[
            RunTag("knowlip.corpus_digest", record.corpus_digest), RunTag("knowlip.seed", str(record.seed)),
            RunTag("knowlip.weights_sha256", record.weights_sha256)])

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Numbers of the parent run."""
        now = int(time.time() * 1000)
        self._log_metrics(self._opened.parent, [Metric(_key(name), float(value), now, step)
                                                for name, value in values.items()])

    def log_corpus(self, child: RoundRun, table: Path, version: int, digest: str) -> None:
        """Enter a version of the annotations (a Delta table) as a dataset that this round trained on."""
        source = DeltaDatasetSource(path=str(Path(table).resolve()), delta_table_version=version)
        # MLflow keeps at most 36 characters of a digest.
        dataset = MetaDataset(source, name=f"annotations version {version}", digest=digest[:32])
        self._client.log_inputs(child.run_id, datasets=[DatasetInput(
            dataset._to_mlflow_entity(), tags=[InputTag(MLFLOW_DATASET_CONTEXT, "training")])])

    def log_checkpoint(self, child: RoundRun, weights_dir: Path, weights_sha256: str, round_: int,
                       copy: bool = True) -> str:
        """Enter a round's weights as a logged model; returns the model's id.

        The directory goes in as it is (safetensors, JSON): no pickle is written, and from_pretrained reads it back.
        With copy=False only the reference is entered. A pickled file raises ValueError.
        """
        weights_dir = Path(weights_dir)
        pickles = [path.name for path in weights_dir.rglob("*") if path.suffix in _PICKLED]
        if pickles:
            raise ValueError(f"{weights_dir} holds pickled files ({', '.join(pickles)}); only safetensors are tracked")
        model = self._client.create_logged_model(
            self._opened.experiment_id, name=f"round-{round_:04d}", source_run_id=child.run_id, model_type="knowlip",
            tags={"knowlip.weights_sha256": weights_sha256},
            params={"weights_sha256": weights_sha256, "round": str(round_), "format": "safetensors",
                    "directory": str(weights_dir.resolve())})
        try:
            if copy:
                self._client.log_model_artifacts(model.model_id, str(weights_dir))
        except BaseException:
            self._client.finalize_logged_model(model.model_id, "FAILED")
            raise
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(child.run_id, [LoggedModelOutput(model.model_id, step=round_)])
        return model.model_id

    def log_files(self, child: RoundRun | None, paths: Sequence[Path], folder: str) -> None:
        """Copy files into a run's artifacts: the round's, or the parent's where child is None."""
        run_id = self._opened.parent if child is None else child.run_id
        for path in paths:
            self._client.log_artifact(run_id, str(path), artifact_path=folder)

    @property
    def _opened(self) -> TrackedRuns:
        if self._runs is None:
            raise RuntimeError("Tracker.start() was not called")
        return self._runs

    @property
    def _file(self) -> Path:
        return self._run_dir / "mlflow_runs.json"

    @property
    def _where(self) -> str:
        # Not the path, so that a run directory can be moved.
        return IN_RUN_DIR if self._uri == local_uri(self._run_dir) else without_user(self._uri)

    def _save(self) -> None:
        write_json(self._run_dir, self._file, self._runs)

    def _experiment_id(self) -> str:
        found = self._client.get_experiment_by_name(self._experiment)
        if found is not None:
            return found.experiment_id
        location = (self._run_dir / "mlartifacts").as_uri() if self._where == IN_RUN_DIR else None
        return self._client.create_experiment(self._experiment, artifact_location=location)

    def _log_params(self, run_id: str, params: Mapping[str, Any]) -> None:
        # A parameter cannot be changed, so after a restart with other settings the first ones stay and the new
        # values become tags.
        known = self._client.get_run(run_id).data.params
        fresh, changed = [], []
        for name, value in params.items():
            if _SECRET.search(name.rsplit(".", 1)[-1]):
                continue
            text = without_user(json.dumps(value) if isinstance(value, (list, dict)) else str(value))[:_LONGEST]
            if name not in known:
                fresh.append(Param(_key(name), text))
            elif known[name] != text:
                changed.append(RunTag(f"knowlip.changed.{_key(name)}", text))
        for begin in range(0, len(fresh), _PARAMS):
            self._client.log_batch(run_id, params=fresh[begin:begin + _PARAMS])
        for begin in range(0, len(changed), _PARAMS):
            self._client.log_batch(run_id, tags=changed[begin:begin + _PARAMS])

    def _log_metrics(self, run_id: str, metrics: Sequence[Metric]) -> None:
        for begin in range(0, len(metrics), _BATCH):
            self._client.log_batch(run_id, metrics=metrics[begin:begin + _BATCH])


def local_uri(run_dir: Path) -> str:
    """The SQLite store inside a run directory."""
    return f"sqlite:///{Path(run_dir).resolve() / 'mlflow.db'}"


def tracking_uri(run_dir: Path) -> str:
    """Where a run is tracked: MLFLOW_TRACKING_URI, else the store inside its directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or local_uri(run_dir)


def ui_command(run_dir: Path) -> str:
    """The shell command that shows a run in the browser."""
    uri = tracking_uri(run_dir)
    if uri.startswith(("http://", "https://")):
        return f"open {without_user(uri)}"
    program = Path(sys.prefix, "bin", "mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    return f"{shlex.quote(str(program))} ui --backend-store-uri {shlex.quote(uri)}"


def without_user(text: str) -> str:
    """Text without user names and passwords in its URLs."""
    return _USER_INFO.sub("", text)


def _key(name: str) -> str:
    return _UNSAFE.sub("_", name)
