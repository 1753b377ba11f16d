"""Classification of images, of one class each or with several labels: the protocol of three tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from benchmark.datasets.base import Classification, LabelledImages, SeveralLabels
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.group_bootstrap import Estimate, estimate, mean_estimate
from benchmark.suite.answers import derangement, grey_like
from benchmark.suite.base import ImageClassifier, ImageEncoder, Outcome, PairEncoder, Setting
from benchmark.suite.features import every_test_image, features_of
from benchmark.suite.probes import knn, linear_probe
from benchmark.suite.prompts import VERSION, zero_shot
from benchmark.suite.tasks.several_labels import rows_of_shots, run_several
from corpus.storage.rng import derive_seed

SHOTS: Final = 40
SHARE: Final = 0.3
SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {
        "knn5": Setting("features frozen, five nearest training images by cosine"),
        "linear_probe": Setting("features of five shifts frozen, logistic regression on all training images"),
        "40_shot": Setting("features frozen, logistic regression on 40 training images a class", seeded=True),
        "30_percent": Setting("features frozen, logistic regression on 30 % of the training images", seeded=True),
        "all_labels": Setting(
            "the method learns from all training images by itself; of an encoder: fine-tuning", True, True
        ),
        "all_labels_40": Setting("the method learns from 40 training images a class by itself", True, True),
        "zero_shot": Setting(
            f"the method's own embeddings of images and of sentences, version {VERSION}, on the classes"
        ),
    }
)


@dataclass(frozen=True)
class ClassificationTask:
    """Judges features and classifiers by accuracy, mean accuracy of the classes, kappa and calibration error."""

    about: str
    data_sets: tuple[str, ...]
    settings: Mapping[str, Setting] = field(default_factory=lambda: SETTINGS)

    def applies(self, setting: str, method: Any) -> bool:
        """Frozen features need an encoder, zero-shot a text encoder too, the other settings a classifier."""
        if setting == "zero_shot":
            return isinstance(method, PairEncoder)
        return isinstance(method, ImageClassifier if setting.startswith("all_labels") else ImageEncoder)

    def run(self, data: Classification | SeveralLabels, setting: str, method: Any, seed: int) -> Outcome:
        """Judge on the test images."""
        draw = np.random.default_rng(derive_seed(seed, "benchmark", setting))
        if isinstance(data, SeveralLabels):
            rows = rows_of_several(data, setting, draw)
            return run_several(data, setting, method, seed, rows, lambda: features_of(method, data))
        rows = chosen_rows(data.train, setting, draw)
        train = data.train.take(rows)
        classes = len(data.classes)
        if setting == "zero_shot":
            said = zero_shot(method, every_test_image(data), data.classes)
        elif setting.startswith("all_labels"):
            said = method.classify(train, every_test_image(data), classes, seed)
        else:
            features = features_of(method, data)
            if setting == "knn5":
                every, queries = features.plain()
                said = knn(every[rows], train.labels, queries, classes)
            else:
                views, queries = features.views(rows)
                said = linear_probe(views, train.labels, train.groups, queries, classes, seed)
        scores = judge(said[: len(data.test)], data.test)
        if setting == "zero_shot":
            scores |= _controls(method, said[: len(data.test)], data, seed)
        if data.test_again is not None:
            again = said[len(data.test) :]
            scores["accuracy_other_speckle"] = judge(again, data.test_again)["accuracy"]
            same = (again.argmax(axis=1) == said[: len(data.test)].argmax(axis=1)).astype(float)
            scores["same_answer_other_speckle"] = mean_estimate(same, data.test.groups)
        return Outcome(scores)


def chosen_rows(train: LabelledImages, setting: str, draw: np.random.Generator) -> np.ndarray:
    """The training images that a setting allows, ascending: all, 40 of each class, or 30 % of each class."""
    if setting not in ("40_shot", "all_labels_40", "30_percent"):
        return np.arange(len(train))
    rows = []
    for label in np.unique(train.labels):
        own = np.flatnonzero(train.labels == label)
        count = max(1, round(SHARE * len(own))) if setting == "30_percent" else SHOTS
        rows.append(draw.permutation(own)[:count])
    return np.sort(np.concatenate(rows))


def rows_of_several(data: SeveralLabels, setting: str, draw: np.random.Generator) -> np.ndarray:
    """The training images that a setting allows, ascending: all, 40 of each label, or 30 % of all."""
    count = len(data.train)
    if setting in ("40_shot", "all_labels_40"):
        return rows_of_shots(data.train_has, SHOTS, draw)
    if setting == "30_percent":
        return np.sort(draw.permutation(count)[: max(1, round(SHARE * count))])
    return np.arange(count)


def judge(said: np.ndarray, test: LabelledImages) -> dict[str, Estimate]:
    """Scores of probabilities float [N, classes] with intervals by group of related images."""
    guess, truth = said.argmax(axis=1), test.labels
    right = guess == truth
    present = np.unique(truth)

    def accuracy(weights: np.ndarray) -> float:
        return float(weights @ right / weights.sum())

    def balanced(weights: np.ndarray) -> float:
        of = [weights * (truth == label) for label in present]
        return float(np.mean([each @ right / each.sum() for each in of if each.sum() > 0]))

    def kappa(weights: np.ndarray) -> float:
        total = weights.sum()
        chance = sum((weights @ (guess == label)) * (weights @ (truth == label)) for label in present) / total**2
        return float((accuracy(weights) - chance) / (1 - chance)) if chance < 1 else 0.0

    scores: dict[str, Callable[[np.ndarray], float]] = {
        "accuracy": accuracy,
        "balanced_accuracy": balanced,
        "kappa": kappa,
    }
    found = {name: estimate(score, test.groups) for name, score in scores.items()}
    confidence = np.clip(said.max(axis=1), 0, 1)
    return {**found, "ece": Estimate(expected_calibration_error(confidence, right))}


def _controls(method: Any, said: np.ndarray, data: Classification, seed: int) -> dict[str, Estimate]:
    """Accuracy with a grey image, and with another image, of a method that reads the classes' sentences."""
    grey = zero_shot(method, [grey_like(data.test.images[0])], data.classes)
    rows = {"accuracy_grey": np.repeat(grey, len(data.test), axis=0)}
    rows["accuracy_shuffled"] = said[derangement(len(data.test), seed)]
    return {name: judge(each, data.test)["accuracy"] for name, each in rows.items()}
