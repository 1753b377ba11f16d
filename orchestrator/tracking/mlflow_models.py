"""Weights of rounds as MLflow's logged and registered models; delivered twice, they are entered once."""

import json
from collections.abc import Callable, Sequence

from mlflow import MlflowClient
from mlflow.entities import LoggedModel, LoggedModelOutput, RunTag
from mlflow.exceptions import MlflowException
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS, MLFLOW_RUN_NOTE

from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.mlflow_store import TrackedRuns

CHAMPION = "champion"
"""Alias of the best version of a registered model."""
_HELD_OUT = "knowlip.held_out"
_TAKEN = "RESOURCE_ALREADY_EXISTS"


class RoundModels:
    """Models of one run of the loop.

    Args:
        client: Of the store.
        run: The run that is tracked.
        runs: Its key, which tells it from all others in the store.
        experiment: Returns the id of its experiment.
    """

    def __init__(self, client: MlflowClient, run: TrackedRun, runs: TrackedRuns, experiment: Callable[[], str]) -> None:
        self._client, self._run, self._runs, self._experiment = client, run, runs, experiment
        self._run_dir = run.directory.path.resolve()

    def enter(self, run_ids: Sequence[str], round_: int, weights: str, weights_sha256: str) -> None:
        """Enter a round's weights as a logged model, unless it is there.

        Args:
            run_ids: The round's run, and further ones whose output the model is.
            round_: Its number.
            weights: Their folder below the run directory.
            weights_sha256: Their hash.
        """
        name = f"round-{round_:04d}"
        found = self._client.search_logged_models(
            [self._experiment()], f"source_run_id = '{run_ids[0]}' AND name = '{name}'"
        )
        same = [model for model in found if model.tags.get("knowlip.weights_sha256") == weights_sha256]
        model = (
            same[0]
            if same
            else self._client.create_logged_model(
                self._experiment(),
                name=name,
                source_run_id=run_ids[0],
                model_type="knowlip",
                tags={"knowlip.weights_sha256": weights_sha256},
                params={
                    "weights_sha256": weights_sha256,
                    "round": str(round_),
                    "format": "safetensors",
                    "directory": str(self._run_dir / weights),
                },
            )
        )
        if model.status != "READY":
            self._client.finalize_logged_model(model.model_id, "READY")
        for each in run_ids:
            outputs = self._client.get_run(each).outputs
            if outputs is None or model.model_id not in [output.model_id for output in outputs.model_outputs]:
                self._client.log_outputs(each, [LoggedModelOutput(model.model_id, step=round_)])

    def register(self, run_id: str, round_: int, held_out: float) -> None:
        """Register a round's logged model, and give it the alias `champion` if it beats the one that has it."""
        name, key = self._run.experiment, f"{self._runs.key}/{round_}"
        models = self.of_run(run_id)
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
                    "knowlip.round": str(round_),
                    _HELD_OUT: repr(held_out),
                },
                description=f"Round {round_} of {self._run.name}. The weights lie in the run directory.",
            ).version
            # As mlflow.register_model does: the pages of both lead to one another.
            named = json.loads(model.tags.get(MLFLOW_MODEL_VERSIONS, "[]"))
            self._client.set_logged_model_tags(
                model.model_id, {MLFLOW_MODEL_VERSIONS: json.dumps([*named, {"name": name, "version": str(version)}])}
            )
        best = self._client.get_registered_model(name).aliases.get(CHAMPION)
        if best is None or float(self._client.get_model_version(name, best).tags.get(_HELD_OUT, "-inf")) < held_out:
            self._client.set_registered_model_alias(name, CHAMPION, str(version))

    def of_run(self, run_id: str) -> Sequence[LoggedModel]:
        """The logged models of a round's run; none where the store had refused them."""
        return self._client.search_logged_models([self._experiment()], f"source_run_id = '{run_id}'")

    def say_deleted(self, run_id: str, round_: int) -> None:
        """A round's weights are gone: its run, its logged model and its registered version say so.

        In a tag, by which they are found, and in the description, which the pages show at the top.
        """
        tags = {"knowlip.weights": "deleted by retention"}
        said = f"Round {round_} of {self._run.name}. **Its weights were deleted by retention.**"
        self._client.log_batch(run_id, tags=[RunTag(name, text) for name, text in tags.items()])
        for model in self.of_run(run_id):
            self._client.set_logged_model_tags(model.model_id, {**tags, MLFLOW_RUN_NOTE: said})
        if (version := self._version_of(f"{self._runs.key}/{round_}")) is not None:
            for name, text in tags.items():
                self._client.set_model_version_tag(self._run.experiment, str(version), name, text)
            self._client.update_model_version(self._run.experiment, str(version), said)

    def _version_of(self, key: str) -> int | None:
        """The version of the registered model that a round of this run was entered as."""
        found = self._client.search_model_versions(f"name = '{self._run.experiment}'")
        return next((int(each.version) for each in found if each.tags.get("knowlip.key") == key), None)
