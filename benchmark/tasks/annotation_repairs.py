"""What relabelling has mended since the initial annotations, and what it has broken."""

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.accuracy import repairs


class AnnotationRepairs:
    """Wrong annotations that became right, and right ones that became wrong: how many, and which share."""

    needs = frozenset({Need.TRUTH})
    metrics = ()

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the initial and the current annotations with the truth."""
        change = repairs(inputs.initial, inputs.current, inputs.truth)
        return TaskResult(
            {
                "true_repair_rate": change.true_repair_rate,
                "false_repair_rate": change.false_repair_rate,
                "true_repairs": change.true_repairs,
                "false_repairs": change.false_repairs,
            }
        )
