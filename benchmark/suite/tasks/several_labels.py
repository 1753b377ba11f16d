"""Images that each have any number of labels: every label is a question of its own, judged by average precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmark.datasets.base import LabelledImages, SeveralLabels
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.group_bootstrap import Estimate, estimate
from benchmark.suite.base import ImageClassifier, Outcome
from benchmark.suite.probes import knn, linear_probe
from benchmark.suite.prompts import cosines


def run_several(
    data: SeveralLabels, setting: str, method: Any, seed: int, rows: np.ndarray, features: Callable[[], Any]
) -> Outcome:
    """Judge a method on every label.

    Args:
        data: the data set.
        setting: one of those of classification.
        method: opened.
        seed: of every random draw.
        rows: training images that the setting allows.
        features: gives those of the data set.
    """
    if setting == "zero_shot":
        return Outcome(judge_several((cosines(method, data.test.images, data.classes) + 1) / 2, data))
    train = data.train.take(rows)
    said = np.zeros(data.test_has.shape)
    found: Any = None if setting.startswith("all_labels") else features()
    for column in range(len(data.classes)):
        labels = data.train_has[rows, column].astype(np.int64)
        if len(set(labels.tolist())) == 1:  # nothing to learn
            said[:, column] = labels[0]
        elif found is None:
            said[:, column] = _learned(method, LabelledImages(train.images, labels, train.groups), data, seed)
        elif setting == "knn5":
            every, queries = found.plain()
            said[:, column] = knn(every[rows], labels, queries, 2)[:, 1]
        else:
            views, queries = found.views(rows)
            said[:, column] = linear_probe(views, labels, train.groups, queries, 2, seed)[:, 1]
    return Outcome(judge_several(said, data))


def rows_of_shots(has: np.ndarray, shots: int, draw: np.random.Generator) -> np.ndarray:
    """So many images of each label of bool [N, classes], ascending; an image counts for each label that it has."""
    drawn = [draw.permutation(np.flatnonzero(column))[:shots] for column in has.T]
    return np.unique(np.concatenate(drawn))


def judge_several(said: np.ndarray, data: SeveralLabels) -> dict[str, Estimate]:
    """Scores of probabilities float [N, classes]: mean average precision over labels, over all answers, and ECE.

    Average precision of a label is the mean of the precisions at its images, from the most probable down, as
    scikit-learn has it. A label that a draw has no image of does not count in it.
    """
    from sklearn.metrics import average_precision_score

    has = data.test_has

    def macro(weights: np.ndarray) -> float:
        drawn = weights > 0
        found = [
            average_precision_score(has[drawn, column], said[drawn, column], sample_weight=weights[drawn])
            for column in range(has.shape[1])
            if has[drawn, column].any()
        ]
        return float(np.mean(found)) if found else float("nan")

    def micro(weights: np.ndarray) -> float:
        drawn = weights > 0
        if not has[drawn].any():
            return float("nan")
        every = np.repeat(weights[drawn], has.shape[1])
        return float(average_precision_score(has[drawn].ravel(), said[drawn].ravel(), sample_weight=every))

    guess = said > 0.5
    return {
        "mean_average_precision": estimate(macro, data.test.groups),
        "average_precision_all": estimate(micro, data.test.groups),
        "ece": Estimate(
            expected_calibration_error(np.clip(np.maximum(said, 1 - said), 0, 1).ravel(), (guess == has).ravel())
        ),
    }


def _learned(method: ImageClassifier, train: LabelledImages, data: SeveralLabels, seed: int) -> np.ndarray:
    return method.classify(train, data.test.images, 2, seed)[:, 1]
