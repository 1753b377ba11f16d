"""An evaluation task added from outside: a class with one method and one entry in the registry."""

from benchmark.base import TASKS, EvaluationInputs, Need, TaskResult

NAME = "toy_confidence"


class Confidence:
    """Mean confidence of the right annotations."""

    needs = frozenset({Need.TRUTH})
    metrics = ("toy_confidence_of_right",)

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        truth = {row["tile_id"]: row for row in inputs.truth.to_pylist()}
        right = [
            row["confidence"]
            for row in inputs.current.to_pylist()
            if truth[row["tile_id"]][row["clause"]] == row["value"]
        ]
        return TaskResult({"toy_confidence_of_right": sum(right) / len(right) if right else None})


TASKS.add(NAME, Confidence())
