"""What a run tells MLflow, and what is found there afterwards."""

from mlflow import MlflowClient

from orchestrator.tracking.mlflow import MlflowTracker
from support.records import record


def losses(first: int, steps: int) -> list[dict]:
    return [{"step": first + i, "itc": 2.0 - 0.001 * i, "total": 3.0} for i in range(steps)]


def content(client: MlflowClient, experiment: str) -> dict:
    """All runs of an experiment: every metric point, parameters, status, inputs, outputs and artifacts."""
    experiment_id = client.get_experiment_by_name(experiment).experiment_id
    found = {}
    for run in client.search_runs([experiment_id]):
        points = {
            key: sorted(
                (point.step, point.value, point.timestamp) for point in client.get_metric_history(run.info.run_id, key)
            )
            for key in run.data.metrics
        }
        found[run.info.run_id] = (
            run.info.status,
            run.info.end_time,
            run.data.params,
            points,
            [each.dataset.digest for each in run.inputs.dataset_inputs],
            [each.model_id for each in run.outputs.model_outputs],
            [each.path for each in client.list_artifacts(run.info.run_id, "figures")],
        )
    models = client.search_logged_models([experiment_id])
    return {"runs": found, "models": sorted(model.model_id for model in models)}


def write_round(tracker: MlflowTracker, run_dir, number: int, meanwhile=lambda: None):
    """All that a round writes; `meanwhile` happens after its losses."""
    weights = run_dir / "weights" / f"round-{number:04d}"
    weights.mkdir(parents=True, exist_ok=True)
    figure = run_dir / "losses.png"
    with tracker.round(number) as child:
        tracker.log_losses(child, losses(20 * number, 20))
        meanwhile()
        figure.write_bytes(b"round %d" % number)
        tracker.log_files(child, [figure], "figures")
        tracker.log_corpus(child, run_dir / "annotations", number, f"{number}" * 64, "output")
        tracker.log_checkpoint(child, weights, "a" * 64)
        tracker.log_record(child, record(number))
    return child
