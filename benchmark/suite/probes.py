"""Classifiers on features of a frozen encoder: nearest neighbours and a linear probe."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

STRENGTHS = (0.001, 0.01, 0.1)
"""Inverse regularisation strengths of the linear probe; a fifth of the training groups chooses one."""
_VALIDATION_SHARE = 0.2
_STEPS = 100


def knn(train: np.ndarray, labels: np.ndarray, test: np.ndarray, classes: int, neighbours: int = 5) -> np.ndarray:
    """Class shares float64 [N, classes] of the nearest training rows by cosine of standardised features.

    A tie goes to the class of the nearest row among the tied.

    Args:
        train: float [M, D].
        labels: int [M].
        test: float [N, D].
        classes: number of classes.
        neighbours: how many vote; fewer where there are fewer rows.
    """
    rows, queries = (_unit(part) for part in _standardised(train, test))
    neighbours = min(neighbours, len(rows))
    shares = np.zeros((len(queries), classes))
    for start in range(0, len(queries), 1024):
        similarity = queries[start : start + 1024] @ rows.T
        nearest = np.argsort(-similarity, axis=1, kind="stable")[:, :neighbours]
        for rank in range(neighbours):
            # The nearest counts a little more, which only decides ties.
            weight = 1 / neighbours + (neighbours - rank) * 1e-6
            shares[np.arange(start, start + len(nearest)), labels[nearest[:, rank]]] += weight
    return shares / shares.sum(axis=1, keepdims=True)


def linear_probe(
    train: np.ndarray, labels: np.ndarray, groups: Sequence[Hashable], test: np.ndarray, classes: int, seed: int
) -> np.ndarray:
    """Probabilities float64 [N, classes] of multinomial logistic regression on standardised features.

    Args:
        train: float [M, D].
        labels: int [M].
        groups: M names; the regularisation is chosen on groups that the regression did not learn from.
        test: float [N, D].
        classes: number of classes.
        seed: of the choice of those groups.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import GroupShuffleSplit

    rows, queries = _standardised(train, test)

    def fitted(at: np.ndarray, strength: float) -> LogisticRegression:
        with warnings.catch_warnings():  # the number of steps is part of the protocol, converged or not
            warnings.simplefilter("ignore", ConvergenceWarning)
            return LogisticRegression(C=strength, max_iter=_STEPS, tol=1e-3).fit(rows[at], labels[at])

    split = GroupShuffleSplit(1, test_size=_VALIDATION_SHARE, random_state=seed)
    inner, outer = next(split.split(rows, labels, np.unique(np.asarray(groups, str), return_inverse=True)[1]))
    losses = []
    for strength in STRENGTHS:
        if len(set(labels[inner])) < 2:
            break
        said = np.clip(probabilities(fitted(inner, strength), rows[outer], classes), 1e-6, None)
        losses.append(log_loss(labels[outer], said / said.sum(1, keepdims=True), labels=np.arange(classes)))
    strength = STRENGTHS[int(np.argmin(losses))] if losses else STRENGTHS[1]
    return probabilities(fitted(np.arange(len(rows)), strength), queries, classes)


def probabilities(model: Any, rows: np.ndarray, classes: int) -> np.ndarray:
    """What a fitted classifier of scikit-learn says, float64 [N, classes]; 0 of classes that it never saw."""
    full = np.zeros((len(rows), classes))
    full[:, model.classes_] = model.predict_proba(rows)
    return full


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both less the mean of the training rows, over their deviation."""
    centre, scale = train.mean(axis=0), train.std(axis=0)
    scale = np.where(scale > 1e-6, scale, 1.0)
    return (train - centre) / scale, (test - centre) / scale


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
