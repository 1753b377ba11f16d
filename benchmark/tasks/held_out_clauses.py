"""How often the encoder finds the true value of a clause on tiles that it never saw, and how far its counts are off."""

import pyarrow as pa

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.slots import slot_report


class HeldOutClauses:
    """Share of right most probable values, and the mean absolute error of the first clause that counts."""

    needs = frozenset({Need.TRUTH, Need.HELD_OUT})
    metrics = ("held_out_slot_accuracy", "held_out_count_mae")

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the encoder's most probable values with the truth."""
        tile_ids, zero_shot = list(inputs.held_out.tile_ids), inputs.held_out.zero_shot
        schema = inputs.schema
        predicted = pa.table(
            {
                "tile_id": tile_ids * len(schema),
                "clause": [clause for clause in schema.names for _ in tile_ids],
                "value": [
                    values[index]
                    for clause, values in schema.vocabulary.items()
                    for index in zero_shot[clause].argmax(axis=1)
                ],
            }
        )
        counts = schema.of_kind("count")
        report = slot_report(predicted, inputs.truth, count_clause=counts[0] if counts else None)
        return TaskResult(
            {
                "held_out_slot_accuracy": report.accuracy,
                "held_out_count_mae": report.count_mae,
                "held_out_count_mae_present": report.count_mae_present,
            }
        )
