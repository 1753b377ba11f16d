"""What a tracker is told of a benchmark: a parent run with the table, a child for each method."""

import json
from importlib import import_module

import pytest
from mlflow import MlflowClient

import benchmark.suite.members  # noqa: F401  # registers tasks and methods
from benchmark.metrics.group_bootstrap import Estimate
from benchmark.suite.cells import CellResult
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.benchmark_tracking import child_of, tracked_benchmark
from orchestrator.tracking.mlflow_store import local_uri
from orchestrator.tracking.registry import TRACKERS
from support.plugins import forgotten_afterwards

FILE = "told.jsonl"
WHERE = "classification_aircraft/sar_acd/knn5"


def cell(method, value, **more):
    scores = {"accuracy": Estimate(value, value - 0.1, value + 0.1), "ece": Estimate(0.2)}
    place = {"task": "classification_aircraft", "data_set": "sar_acd", "setting": "knn5"}
    return CellResult(**place, method=method, status="done", scores=scores, seconds=2, **more)


@pytest.fixture
def config():
    return RunConfig.model_validate({"name": "table", "tracking": {"kind": "mlflow"}})


def runs_of(out):
    client = MlflowClient(tracking_uri=local_uri(out))
    [experiment] = [each for each in client.search_experiments() if each.name == "table"]
    return client, {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}


def tell(config, out, *cells):
    out.mkdir(exist_ok=True)
    (out / "benchmark.md").write_text("# Benchmark")
    with tracked_benchmark(config, out, ("ours", "majority")) as tracking:
        for each in cells:
            tracking.tell(each)
        tracking.tell_table([out / "benchmark.md"])


def test_each_method_is_a_child_and_a_second_call_goes_on_with_the_same_runs(config, tmp_path):
    out = tmp_path / "own-benchmark"
    tell(config, out, cell("ours", 0.7, weights="file a, SHA-256 12"))
    tell(config, out, cell("majority", 0.5))
    client, runs = runs_of(out)
    assert set(runs) == {"own-benchmark", "ours", "majority"}
    parent, ours = runs["own-benchmark"], runs["ours"]
    assert ours.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert ours.data.tags["knowlip.kind"] == "method"
    assert ours.data.metrics[f"{WHERE}/accuracy"] == 0.7
    assert ours.data.metrics[f"{WHERE}/accuracy_high"] == pytest.approx(0.8)
    assert ours.data.metrics[f"{WHERE}/ece"] == 0.2
    assert parent.data.metrics == {f"{WHERE}/ours": 0.7, f"{WHERE}/majority": 0.5}
    assert parent.data.tags["knowlip.weights.ours"] == "file a, SHA-256 12"
    assert [file.path for file in client.list_artifacts(parent.info.run_id, "table")] == ["table/benchmark.md"]
    assert {run.info.status for run in runs.values()} == {"FINISHED"}


def test_a_benchmark_that_fails_is_a_failed_run(tmp_path):
    with forgotten_afterwards("support.json_lines_tracker", TRACKERS):
        import_module("support.json_lines_tracker")
        config = RunConfig.model_validate({"name": "table", "tracking": {"kind": "json_lines"}})
        with pytest.raises(ZeroDivisionError), tracked_benchmark(config, tmp_path, ("ours",)) as tracking:
            tracking.tell(cell("ours", 0.7))
            raise ZeroDivisionError
    said = [json.loads(line) for line in (tmp_path / FILE).read_text().splitlines()]
    assert [each["what"] for each in said] == ["start", "begin", "metrics", "end", "metrics", "finish"]
    assert said[-1]["status"] == "failed"


def test_a_method_has_the_same_number_in_every_call_and_another_one_than_other_methods():
    assert child_of("ours") == child_of("ours") != child_of("majority")
