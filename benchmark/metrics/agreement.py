"""Two scores that one and the same answer everywhere cannot inflate."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def balanced_accuracy(predicted: Sequence[str], true: Sequence[str]) -> float:
    """Mean over the true classes of the share of each that was found.

    Raises:
        ValueError: There are no entries, or not as many predicted as true ones.
    """
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
        raise ValueError(
            f"Predicted and true values have to be as many, and at least one; got {len(predicted)} and {len(true)}."
        )
    both = np.asarray([*predicted, *true], dtype=object).astype(str)
    classes, codes = np.unique(both, return_inverse=True)
    found, target = codes[: len(predicted)], codes[len(predicted) :]
    matrix = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(matrix, (target, found), 1)
    return matrix, [str(name) for name in classes]
