"""An evaluation task from outside the project runs in the real evaluator: the configuration names module and task."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from actors.evaluator import Evaluator
from benchmark.base import EvaluationInputs
from corpus.plugins import VARIABLE, plugin_environment
from orchestrator.config.schema import load_config
from support.hcot import HCOT

PLUGIN = "support.toy_task"


@pytest.fixture
def config(tmp_path, monkeypatch):
    """A configuration that lists the task beside one of the project's own."""
    monkeypatch.setenv(VARIABLE, "")  # what loading the plugin sets is undone
    path = tmp_path / "mine.yaml"
    path.write_text(f"plugins: [{PLUGIN}]\nevaluation: {{tasks: [annotation_accuracy, toy_confidence]}}\n")
    return load_config(path)


def test_a_task_named_in_the_configuration_runs_in_the_evaluator(config, tmp_path):
    pq.write_table(pa.table({"tile_id": ["a", "b"], "terrain": ["plain", "plain"]}), tmp_path / "truth.parquet")
    rows = pa.table(
        {"tile_id": ["a", "b"], "clause": ["terrain"] * 2, "value": ["plain", "hills"], "confidence": [0.5, 0.9]}
    )
    ray.init(num_cpus=1, include_dashboard=False, runtime_env={"env_vars": plugin_environment()})
    try:
        evaluator = Evaluator.remote(HCOT, str(tmp_path), config.evaluation.tasks)
        metrics = ray.get(evaluator.evaluate.remote(EvaluationInputs(HCOT, rows, rows))).metrics
    finally:
        ray.shutdown()
    assert metrics["toy_confidence_of_right"] == 0.5
    assert metrics["annotation_accuracy"] == 0.5
