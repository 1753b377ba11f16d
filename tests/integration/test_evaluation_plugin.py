"""An evaluation task from outside the project runs in the real evaluator: the configuration names module and task."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import ray

from actors.evaluator import Evaluator
from benchmark.base import TASKS, EvaluationInputs
from corpus.plugins import plugin_environment
from hcot_llm.schema.files import load_schema
from orchestrator.cluster.connect import start_local
from orchestrator.config.load import load_config
from support.plugins import forgotten_afterwards
from support.toy_schemas import LANDSCAPE, write_schema_file


@pytest.fixture
def config(tmp_path):
    """A configuration that lists the task beside one of the project's own."""
    path = tmp_path / "mine.yaml"
    with forgotten_afterwards("support.toy_task", TASKS) as plugin:
        path.write_text(f"plugins: [{plugin}]\nevaluation: {{tasks: [annotation_accuracy, toy_confidence]}}\n")
        yield load_config(path)


def test_a_task_named_in_the_configuration_runs_in_the_evaluator(config, tmp_path):
    truth = {"tile_id": ["a", "b"], "terrain": ["plain", "plain"], "water": ["none", "none"]}
    pq.write_table(pa.table(truth), tmp_path / "truth.parquet")
    rows = pa.table(
        {"tile_id": ["a", "b"], "clause": ["terrain"] * 2, "value": ["plain", "hills"], "confidence": [0.5, 0.9]}
    )
    schema = load_schema(write_schema_file(tmp_path / "landscape.yaml", LANDSCAPE))
    start_local(num_cpus=1, runtime_env={"env_vars": plugin_environment()})
    try:
        evaluator = Evaluator.remote(schema, str(tmp_path), config.evaluation.tasks)
        metrics = ray.get(evaluator.evaluate.remote(EvaluationInputs(schema, rows, rows))).metrics
    finally:
        ray.shutdown()
    assert metrics["toy_confidence_of_right"] == 0.5
    assert metrics["annotation_accuracy"] == 0.5
