"""How often the encoder finds the true value of a clause on tiles that it never saw, and how far its counts are off."""

import pyarrow as pa

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.slots import slot_report
from hcot_llm.schema.clauses import CLAUSES, VOCABULARY


class HeldOutClauses:
    """Share of right most probable values, and the mean absolute error of the number of targets."""

    needs = frozenset({Need.TRUTH, Need.HELD_OUT})
    metrics = ("held_out_slot_accuracy", "held_out_count_mae")

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the encoder's most probable values with the truth."""
        tile_ids, zero_shot = list(inputs.held_out.tile_ids), inputs.held_out.zero_shot
        predicted = pa.table(
            {
                "tile_id": tile_ids * len(CLAUSES),
                "clause": [str(clause) for clause in CLAUSES for _ in tile_ids],
                "value": [
                    VOCABULARY[clause][index] for clause in CLAUSES for index in zero_shot[clause].argmax(axis=1)
                ],
            }
        )
        report = slot_report(predicted, inputs.truth)
        return TaskResult(
            {
                "held_out_slot_accuracy": report.accuracy,
                "held_out_count_mae": report.count_mae,
                "held_out_count_mae_present": report.count_mae_present,
            }
        )
