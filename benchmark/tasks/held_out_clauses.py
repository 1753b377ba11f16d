"""How often the models find the true value of a clause on tiles that they never saw, and how far counts are off."""

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from benchmark.base import EvaluationInputs, Need, TaskResult
from benchmark.metrics.slots import SlotReport, slot_report


class HeldOutClauses:
    """Share of right most probable values, and the mean absolute error of the first clause that counts.

    Of the encoder alone, and of all label sources weighed together as in the label update, but without the tile's own
    annotation.
    """

    needs = frozenset({Need.TRUTH, Need.HELD_OUT})
    metrics = ("held_out_slot_accuracy", "held_out_count_mae", "held_out_weighed_accuracy")

    def evaluate(self, inputs: EvaluationInputs) -> TaskResult:
        """Compare the most probable values with the truth."""
        encoder = _report(inputs, inputs.held_out.zero_shot)
        weighed = inputs.held_out.weighed
        return TaskResult(
            {
                "held_out_slot_accuracy": encoder.accuracy,
                "held_out_count_mae": encoder.count_mae,
                "held_out_count_mae_present": encoder.count_mae_present,
                "held_out_weighed_accuracy": None if weighed is None else _report(inputs, weighed).accuracy,
            }
        )


def _report(inputs: EvaluationInputs, distributions: Mapping[str, np.ndarray]) -> SlotReport:
    tile_ids, schema = list(inputs.held_out.tile_ids), inputs.schema
    predicted = pa.table(
        {
            "tile_id": tile_ids * len(schema),
            "clause": [clause for clause in schema.names for _ in tile_ids],
            "value": [
                values[index]
                for clause, values in schema.vocabulary.items()
                for index in distributions[clause].argmax(axis=1)
            ],
        }
    )
    counts = schema.of_kind("count")
    return slot_report(predicted, inputs.truth, count_clause=counts[0] if counts else None)
