"""How many annotations of the training tiles are right, and how well their confidence says so."""

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.accuracy import annotation_accuracy


class AnnotationAccuracy:
    """Share of right annotations: of all, of those that state something, by clause and group; kappa; calibration."""

    needs = frozenset({Need.TRUTH})
    metrics = ("annotation_accuracy",)

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the current annotations with the truth."""
        report = annotation_accuracy(inputs.current, inputs.truth, inputs.schema.group, inputs.schema.absence)
        return TaskResult(
            {
                "annotation_accuracy": report.overall,
                "annotation_accuracy_stated": report.stated,
                "annotation_kappa": report.mean_kappa,
                "expected_calibration_error": report.expected_calibration_error,
                **{f"annotation_accuracy_{name}": value for name, value in report.by_group.items()},
            },
            report.by_clause,
        )
