"""What can be had without looking at the image, and two scores that such answers cannot inflate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from benchmark.tables import join_truth


def majority_class(training: pa.Table, tile_ids: Sequence[str]) -> pa.Table:
    """For every tile of `tile_ids` each clause's most frequent value in `training` (tile_id, clause, value).

    Ties go to the value first in the alphabet. Returns tile_id, clause, value.
    """
    clause, value = (training[name].cast(pa.string()).to_numpy() for name in ("clause", "value"))
    if len(clause) == 0:
        raise ValueError("The majority-class baseline needs training annotations; there are none.")
    chosen = {}
    for name in np.unique(clause.astype(str)):
        values, counts = np.unique(value[clause == name].astype(str), return_counts=True)
        chosen[str(name)] = str(values[counts.argmax()])
    return pa.table({"tile_id": pa.array(np.repeat(np.asarray(tile_ids, object), len(chosen)), pa.string()),
                     "clause": pa.array(list(chosen) * len(tile_ids), pa.string()),
                     "value": pa.array(list(chosen.values()) * len(tile_ids), pa.string())})


def geography_only(prior: pa.Table, majority: pa.Table) -> pa.Table:
    """The values that geographic knowledge gives (`prior`: tile_id, clause, value), else the majority's.

    Returns tile_id, clause, value for the (tile, clause) pairs of `majority`.
    """
    known = {(tile, clause): value for tile, clause, value in zip(
        *(prior[name].to_pylist() for name in ("tile_id", "clause", "value")), strict=True)}
    rows = zip(*(majority[name].to_pylist() for name in ("tile_id", "clause", "value")), strict=True)
    values = [known.get((tile, clause), value) for tile, clause, value in rows]
    return majority.select(["tile_id", "clause"]).append_column("value", pa.array(values, pa.string()))


def baseline_accuracy(baseline: pa.Table, truth: pa.Table) -> dict[str, float]:
    """Share of right values by clause, and 'all'. Errors as `join_truth`."""
    joined = join_truth(baseline, truth)
    scores = {name: float(joined.correct[joined.clause == name].mean()) for name in joined.clauses}
    return scores | {"all": float(joined.correct.mean())}


def balanced_accuracy(predicted: Sequence[str], true: Sequence[str]) -> float:
    """Mean over the true classes of the share of each that was found. Raises ValueError for no entries."""
    matrix, _ = confusion_matrix(predicted, true)
    support = matrix.sum(axis=1)
    present = support > 0
    return float((np.diag(matrix)[present] / support[present]).mean())


def cohen_kappa(predicted: Sequence[str], true: Sequence[str]) -> float:
    """Agreement beyond chance: 1 perfect, 0 chance. Where both sides are one and the same class, 1 by convention."""
    matrix, _ = confusion_matrix(predicted, true)
    total = matrix.sum()
    observed = np.trace(matrix) / total
    expected = float(matrix.sum(axis=0) @ matrix.sum(axis=1)) / total**2
    return 1.0 if expected == 1.0 else float((observed - expected) / (1 - expected))


def confusion_matrix(predicted: Sequence[str], true: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """int64 [classes, classes], rows true, columns predicted, and the classes in order (all that occur)."""
    if len(predicted) != len(true) or len(true) == 0:
        raise ValueError(f"Predicted and true values have to be as many, and at least one; got {len(predicted)} and "
                         f"{len(true)}.")
    both = np.asarray([*predicted, *true], dtype=object).astype(str)
    classes, codes = np.unique(both, return_inverse=True)
    found, target = codes[: len(predicted)], codes[len(predicted):]
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(matrix, (target, found), 1)
    return matrix, [str(name) for name in classes]
