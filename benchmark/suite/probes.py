"""Classifiers on features of a frozen encoder: nearest neighbours and a linear probe."""

from __future__ import annotations

import warnings
from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np

STRENGTHS = (0.0001, 0.001, 0.01, 0.1)
"""Inverse regularisation strengths of the linear probe; a fifth of the training groups chooses one."""
DIRECTIONS = 1024
"""Of the features at most, those in which training rows differ most. As many as there are rows lose nothing."""
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
    train: np.ndarray | Sequence[np.ndarray],
    labels: np.ndarray,
    groups: Sequence[Hashable],
    test: np.ndarray | Sequence[np.ndarray],
    classes: int,
    seed: int,
) -> np.ndarray:
    """Probabilities float64 [N, classes] of multinomial logistic regression on standardised features.

    Of several views of the images all are learned, each with its part of an image's weight, and what is said of a test
    image is the mean over its views.

    Args:
        train: float [M, D], or a sequence of them: one for each view, the plain one first.
        labels: int [M].
        groups: M names; the regularisation is chosen on groups that the regression did not learn from.
        test: float [N, D], or as many views of them.
        classes: number of classes.
        seed: of the choice of those groups.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import log_loss
    from sklearn.model_selection import GroupShuffleSplit

    views = [train] if isinstance(train, np.ndarray) else list(train)
    queries = [test] if isinstance(test, np.ndarray) else list(test)
    rows, asked = _reduced(*_standardised(np.concatenate(views), np.concatenate(queries)), len(labels))
    copies, count = len(views), len(labels)

    def of_views(at: np.ndarray) -> np.ndarray:
        return np.concatenate([at + view * count for view in range(copies)])

    def fitted(at: np.ndarray, strength: float) -> LogisticRegression:
        with warnings.catch_warnings():  # the number of steps is part of the protocol, converged or not
            warnings.simplefilter("ignore", ConvergenceWarning)
            model = LogisticRegression(C=strength / copies, max_iter=_STEPS, tol=1e-3)
            return model.fit(rows[of_views(at)], np.tile(labels[at], copies))

    def said(model: LogisticRegression, what: np.ndarray, parts: int) -> np.ndarray:
        return probabilities(model, what, classes).reshape(parts, -1, classes).mean(axis=0)

    split = GroupShuffleSplit(1, test_size=_VALIDATION_SHARE, random_state=seed)
    inner, outer = next(split.split(labels, labels, np.unique(np.asarray(groups, str), return_inverse=True)[1]))
    losses = []
    for strength in STRENGTHS:
        if len(set(labels[inner])) < 2:
            break
        shares = np.clip(said(fitted(inner, strength), rows[of_views(outer)], copies), 1e-6, None)
        losses.append(log_loss(labels[outer], shares / shares.sum(1, keepdims=True), labels=np.arange(classes)))
    strength = STRENGTHS[int(np.argmin(losses))] if losses else STRENGTHS[1]
    return said(fitted(np.arange(count), strength), asked, len(queries))


def _reduced(rows: np.ndarray, queries: np.ndarray, plain: int) -> tuple[np.ndarray, np.ndarray]:
    """Both along the directions in which the plain training rows differ most, DIRECTIONS at most.

    Regression with an L2 penalty does not see how the axes are turned, and rows do not leave the space that they span:
    where all its directions are kept, the outcome is the same and costs less.

    Args:
        rows: float [views * M, D], the plain view first.
        queries: float [N, D].
        plain: M.
    """
    if min(plain, DIRECTIONS) >= rows.shape[1]:
        return rows, queries
    values, vectors = np.linalg.eigh(rows[:plain] @ rows[:plain].T)
    kept = np.flatnonzero(values > 1e-6 * values[-1])[::-1][:DIRECTIONS]
    axes = rows[:plain].T @ (vectors[:, kept] / np.sqrt(values[kept]))
    return rows @ axes, queries @ axes


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
