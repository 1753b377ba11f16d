"""Held-out slots: how often the model fills a slot with the true value, and how far its counts are off."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmark.metrics.tables import join_truth


@dataclass(frozen=True)
class SlotReport:
    """Predicted against true values.

    Attributes:
        accuracy: Share of right values, in 0..1.
        by_clause: Clause -> share of its right values.
        count_mae: Mean absolute error of the counting clause over all tiles; None where it was not predicted.
        count_mae_present: The same over tiles whose true count is above 0, where a prediction of zeros is bad.
    """

    accuracy: float
    by_clause: dict[str, float]
    count_mae: float | None
    count_mae_present: float | None


def slot_report(predicted: pa.Table, truth: pa.Table, *, count_clause: str | None = None) -> SlotReport:
    """Compare predicted values with true ones.

    Args:
        predicted: Columns tile_id, clause, value.
        truth: tile_id and one column per clause.
        count_clause: The clause whose values are numbers; None where there is none.

    Raises:
        ValueError: As `join_truth`.
    """
    joined = join_truth(predicted, truth)
    clauses = joined.clauses
    values = {name: (joined.value[joined.clause == name], joined.truth[joined.clause == name]) for name in clauses}
    mae = mae_present = None
    if count_clause is not None and count_clause in values:
        found, true = (_counts(array, count_clause) for array in values[count_clause])
        errors = np.abs(found - true)
        mae = float(errors.mean())
        mae_present = float(errors[true > 0].mean()) if (true > 0).any() else None
    return SlotReport(
        accuracy=float(joined.correct.mean()),
        by_clause={name: float((found == true).mean()) for name, (found, true) in values.items()},
        count_mae=mae,
        count_mae_present=mae_present,
    )


def _counts(values: np.ndarray, clause: str) -> np.ndarray:
    try:
        return values.astype(str).astype(np.int64)
    except ValueError as error:
        raise ValueError(f"Clause {clause} is a count, yet has a value that is not a number: {error}.") from error
