"""How right the annotations are: overall, by clause, by group; what a relabelling repaired; how calibrated it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from benchmark.metrics.agreement import cohen_kappa
from benchmark.metrics.tables import Joined, join_truth
from corpus.storage.arrow import compute as pc


@dataclass(frozen=True)
class AccuracyReport:
    """Shares of annotations equal to the truth, in [0, 1]; `n_*` say of how many."""

    overall: float
    stated: float | None
    """Where the truth is no absence value; None if it always is."""
    by_clause: dict[str, float]
    by_group: dict[str, float]
    mean_kappa: float
    """Mean over the clauses of Cohen's kappa with the truth, in [-1, 1]; one same answer everywhere has 0."""
    expected_calibration_error: float | None
    """Of the column `confidence`; None without it."""
    n_annotations: int
    n_stated: int
    n_tiles: int


@dataclass(frozen=True)
class RepairReport:
    """What happened between two versions of the annotations of the same tiles."""

    true_repairs: int
    """Wrong before, right after."""
    false_repairs: int
    """Right before, wrong after."""
    sideways: int
    """Wrong before, wrong after with another value."""
    n_wrong_before: int
    n_right_before: int

    @property
    def true_repair_rate(self) -> float | None:
        """Share of the wrong annotations that became right; None if none was wrong."""
        return self.true_repairs / self.n_wrong_before if self.n_wrong_before else None

    @property
    def false_repair_rate(self) -> float | None:
        """Share of the right annotations that became wrong; None if none was right."""
        return self.false_repairs / self.n_right_before if self.n_right_before else None


def annotation_accuracy(
    annotations: pa.Table, truth: pa.Table, group: Mapping[str, str], absence: Mapping[str, str]
) -> AccuracyReport:
    """Compare annotations with the truth.

    Args:
        annotations: columns tile_id, clause, value, optionally confidence.
        truth: tile_id and one column per clause.
        group: clause -> its group.
        absence: clause -> the value that says there is nothing, of clauses that have one.

    Raises:
        ValueError: as `join_truth`, and for a clause without a group.
    """
    joined = join_truth(annotations, truth)
    group = {str(clause): str(name) for clause, name in group.items()}
    clauses = joined.clauses
    without = [clause for clause in clauses if clause not in group]
    if without:
        raise ValueError(f"Clauses without a group: {', '.join(without)}.")
    correct, stated = joined.correct, joined.stated(absence)
    of_clause = {clause: joined.clause == clause for clause in clauses}
    of_group = {
        name: np.logical_or.reduce([of_clause[clause] for clause in clauses if group[clause] == name])
        for name in sorted({group[clause] for clause in clauses})
    }
    return AccuracyReport(
        overall=float(correct.mean()),
        stated=float(correct[stated].mean()) if stated.any() else None,
        by_clause={clause: float(correct[here].mean()) for clause, here in of_clause.items()},
        by_group={name: float(correct[here].mean()) for name, here in of_group.items()},
        mean_kappa=float(
            np.mean(
                [cohen_kappa(joined.value[here].tolist(), joined.truth[here].tolist()) for here in of_clause.values()]
            )
        ),
        expected_calibration_error=None
        if joined.confidence is None
        else expected_calibration_error(joined.confidence, correct),
        n_annotations=len(correct),
        n_stated=int(stated.sum()),
        n_tiles=pc.count_distinct(pa.array(joined.tile_id, pa.string())).as_py(),
    )


def expected_calibration_error(confidence: np.ndarray, correct: np.ndarray, bins: int = 15) -> float:
    """|mean confidence - accuracy| averaged over equal-width bins of confidence, weighted by their size.

    Args:
        confidence: float [n], in [0, 1].
        correct: bool [n].
        bins: Number of bins. Bin i is [i/bins, (i+1)/bins); the last one is closed.

    Raises:
        ValueError: n is 0, or a confidence is outside [0, 1].
    """
    confidence, correct = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if len(confidence) == 0 or not ((confidence >= 0) & (confidence <= 1)).all():
        raise ValueError("The calibration error needs at least one confidence, all in [0, 1].")
    number = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    gaps = np.bincount(number, confidence - correct, bins)
    return float(np.abs(gaps).sum() / len(confidence))


def repairs(before: pa.Table, after: pa.Table, truth: pa.Table) -> RepairReport:
    """Count true and false repairs between two versions.

    Args:
        before: Columns tile_id, clause, value.
        after: Columns tile_id, clause, value, of the same tiles and clauses.
        truth: tile_id and one column per clause.

    Raises:
        ValueError: The versions do not annotate the same clauses, or as `join_truth`.
    """
    return _count(*_aligned(before, after, truth))


def _aligned(before: pa.Table, after: pa.Table, truth: pa.Table) -> tuple[Joined, Joined]:
    old, new = join_truth(before, truth), join_truth(after, truth)
    if not (np.array_equal(old.tile_id, new.tile_id) and np.array_equal(old.clause, new.clause)):
        raise ValueError("The two versions do not annotate the same (tile, clause) pairs; select the common ones.")
    return old, new


def _count(old: Joined, new: Joined) -> RepairReport:
    was, now, changed = old.correct, new.correct, old.value != new.value
    return RepairReport(
        true_repairs=int((~was & now).sum()),
        false_repairs=int((was & ~now).sum()),
        sideways=int((~was & ~now & changed).sum()),
        n_wrong_before=int((~was).sum()),
        n_right_before=int(was.sum()),
    )
