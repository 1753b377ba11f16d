"""How many of the annotations that the next round trains on are right."""

import pyarrow as pa

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.accuracy import annotation_accuracy


class TrainingTargetAccuracy:
    """Share of right annotations among those that the loss mask lets through; nothing where it lets none through."""

    needs = frozenset({Need.TRUTH})
    metrics = ()

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the training targets with the truth."""
        targets = inputs.current if inputs.loss_mask is None else inputs.current.filter(pa.array(inputs.loss_mask))
        if not targets.num_rows:
            return TaskResult({})
        report = annotation_accuracy(targets, inputs.truth, inputs.schema.group, inputs.schema.absence)
        return TaskResult({"annotation_accuracy_training_targets": report.overall})
