"""Evaluation: the one place that may read hidden truth.

The driver hands the truth's location on to this actor and opens nothing there. What comes back are numbers for the
record, and true values for a gallery. No later phase reads either: tests/integration/test_truth.py takes the truth
away.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import ray

from actors.logs import join_run_log
from benchmark.base import EvaluationInputs, TaskResult, evaluate_all
from benchmark.tasks import DEFAULT_TASKS
from corpus.storage.parquet import read_parquet
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema

_log = logging.getLogger(__name__)


class Judge:
    """Compares annotations and model with the truth, where there is one.

    Args:
        schema: Schema of the annotations.
        truth_dir: the folder of truth.parquet; None: there is no truth. A truth without a column for each clause of the
            schema counts as none.
        tasks: names of the evaluation tasks to run.
    """

    def __init__(self, schema: AnnotationSchema, truth_dir: str | None, tasks: Sequence[str] = DEFAULT_TASKS) -> None:
        self._schema, self._tasks = schema, tuple(tasks)
        join_run_log()
        path = None if truth_dir is None else Path(truth_dir) / "truth.parquet"
        truth = read_parquet(path) if path is not None and path.exists() else None
        # Scenes may be annotated with clauses of which the simulator knows nothing.
        known = truth is not None and set(schema.names) <= set(truth.column_names)
        self._truth = truth if known else None
        _log.info("evaluator is ready, %s", "without truth" if self._truth is None else f"truth in {truth_dir}")

    def prepare(self) -> None:
        """Import what evaluating a model needs, which takes seconds, before somebody waits for it."""
        if self._truth is not None:
            import model.score  # noqa: F401

    def truth_for_pictures(self, tile_ids: list[str]) -> dict[str, dict[str, str]] | None:
        """True values of a few tiles, to mark a gallery's changes as right or wrong; None without truth."""
        if self._truth is None:
            return None
        rows = {row["tile_id"]: row for row in self._truth.to_pylist() if row["tile_id"] in set(tile_ids)}
        return {tile_id: {clause: rows[tile_id][clause] for clause in self._schema.names} for tile_id in tile_ids}

    def evaluate(self, inputs: EvaluationInputs, tasks: Sequence[str] | None = None) -> TaskResult:
        """What the tasks find; metrics whose precondition fails, as without a truth, are None.

        Args:
            inputs: all that an evaluation has but the truth.
            tasks: names of registered tasks; None: those of the configuration.
        """
        return evaluate_all(self._tasks if tasks is None else tasks, inputs.with_truth(self._truth))


Evaluator = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Judge)
"""The judge as an actor. It holds nothing that a restart could lose, and calls change nothing."""


def rows_of(matrix: AnnotationMatrix) -> pa.Table:
    """Rows (tile_id, clause, value, confidence) of a matrix."""
    return pa.table(
        {**matrix.keys, "value": matrix.words, "confidence": pa.array(matrix.confidence.reshape(-1), pa.float32())}
    )
