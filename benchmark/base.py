"""Evaluation tasks: classes with one method, registered by name, that turn annotations and truth into metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa

from corpus.registry import Registry
from hcot_llm.schema.annotation_schema import AnnotationSchema

Metrics = Mapping[str, float | None]
"""Metric name -> value; None where the value cannot be known."""


class Need(StrEnum):
    """A precondition of a task."""

    TRUTH = "truth"
    """The corpus has a truth."""
    HELD_OUT = "held_out"
    """A model was trained, and tiles were held out of its training."""
    FLAGS = "flags"
    """A round flagged clauses."""


class MissingInput(Exception):
    """A task read an input that this evaluation does not have, and did not declare that it needs it."""


@dataclass(frozen=True)
class HeldOutTiles:
    """Tiles that the model never saw in training, and what its encoder says of them.

    Attributes:
        tile_ids: N tile ids.
        zero_shot: clause -> the encoder's distribution over the clause's values, float [N, values].
        image_embeddings: float32 [N, E], of the encoder.
        weights_dir: the directory of the model's weights.
        weighed: clause -> what all label sources together say without the tile's own annotation, float [N, values];
            None where sources were not weighed.
    """

    tile_ids: Sequence[str]
    zero_shot: Mapping[str, np.ndarray]
    image_embeddings: np.ndarray
    weights_dir: Path
    weighed: Mapping[str, np.ndarray] | None = None


@dataclass(frozen=True)
class Flags:
    """Clauses of the training tiles that a round doubted.

    Attributes:
        annotations: those that were judged, columns tile_id, clause and value (strings).
        flagged: bool [rows of annotations].
    """

    annotations: pa.Table
    flagged: np.ndarray


@dataclass(frozen=True)
class EvaluationInputs:
    """What an evaluation has. The loop fills in all but the truth, which only the evaluator's process opens.

    Attributes:
        schema: of the annotations.
        current: annotations of the training tiles, columns tile_id, clause, value (strings) and confidence (float32).
        initial: the initial annotations of the same tiles, same columns and rows.
        loss_mask: bool [rows of current], True where the annotation is a training target; None: all are.
        data_sets: labelled data sets of the benchmark by name, and where each lies.
    """

    schema: AnnotationSchema
    current: pa.Table
    initial: pa.Table
    loss_mask: np.ndarray | None = None
    held_out_tiles: HeldOutTiles | None = None
    flagged_clauses: Flags | None = None
    hidden_truth: pa.Table | None = None
    data_sets: Mapping[str, Path] = field(default_factory=dict)

    @property
    def truth(self) -> pa.Table:
        """The truth: tile_id, and one column per clause. For tasks that need Need.TRUTH.

        Raises:
            MissingInput: the corpus has none.
        """
        if self.hidden_truth is None:
            raise MissingInput(f"There is no truth; a task that reads it has {Need.TRUTH!r} among its `needs`.")
        return self.hidden_truth

    @property
    def held_out(self) -> HeldOutTiles:
        """The held-out tiles, one at least. For tasks that need Need.HELD_OUT.

        Raises:
            MissingInput: there are none.
        """
        if self.held_out_tiles is None or not self.has(Need.HELD_OUT):
            raise MissingInput(f"There are no held-out tiles; a task that reads them has {Need.HELD_OUT!r} in `needs`.")
        return self.held_out_tiles

    @property
    def flags(self) -> Flags:
        """The flagged clauses. For tasks that need Need.FLAGS.

        Raises:
            MissingInput: no round has flagged anything yet.
        """
        if self.flagged_clauses is None:
            raise MissingInput(f"No clause was flagged yet; a task that reads flags has {Need.FLAGS!r} in `needs`.")
        return self.flagged_clauses

    def has(self, need: Need) -> bool:
        """Whether a precondition holds."""
        if need is Need.TRUTH:
            return self.hidden_truth is not None
        if need is Need.FLAGS:
            return self.flagged_clauses is not None
        return self.held_out_tiles is not None and len(self.held_out_tiles.tile_ids) > 0

    def with_truth(self, truth: pa.Table | None) -> EvaluationInputs:
        """The same with the truth filled in."""
        return replace(self, hidden_truth=truth)


@dataclass(frozen=True)
class TaskResult:
    """What a task found.

    Attributes:
        metrics: for the round's record, charts and MLflow.
        accuracy_by_clause: clause -> share in [0, 1], for the record and the chart of clauses; one task may give it.
    """

    metrics: Metrics
    accuracy_by_clause: Mapping[str, float] = field(default_factory=dict)


@runtime_checkable
class EvaluationTask(Protocol):
    """One way to judge annotations or a model.

    Attributes:
        needs: without one of these the task is not run, and its `metrics` are null in the record.
        metrics: names of metrics that the record has in any case.
    """

    @property
    def needs(self) -> frozenset[Need]:
        """The preconditions."""
        ...

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names that are null where a precondition fails."""
        ...

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Judge. A task keeps no state between calls, and changes nothing."""
        ...


TASKS: Registry[EvaluationTask] = Registry("evaluation task")
"""Every evaluation task by the name that `evaluation.tasks` gives it."""


def evaluate_all(names: Sequence[str], inputs: EvaluationInputs) -> TaskResult:
    """Run tasks in order, and merge what they find.

    Raises:
        UnknownMember: a name is not registered.
        ValueError: two tasks give the same metric.
    """
    metrics: dict[str, float | None] = {}
    by_clause: Mapping[str, float] = {}
    for name in names:
        task = TASKS.find(name)
        if all(inputs.has(need) for need in task.needs):
            result = task.evaluate(inputs)
            found = {**dict.fromkeys(task.metrics), **result.metrics}
            by_clause = {**by_clause, **result.accuracy_by_clause}
        else:
            found = dict.fromkeys(task.metrics)
        if twice := sorted(found.keys() & metrics.keys()):
            raise ValueError(f"The evaluation task '{name}' gives {', '.join(twice)}, which another task gives too.")
        metrics |= found
    return TaskResult(metrics, by_clause)
