"""Questions that differ from image to image: answers learned or asked, and their scores.

A question without an answer is skipped, and a skipped answer is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from benchmark.datasets.base import Asked, LabelledImages
from benchmark.datasets.image_questions import as_number
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.group_bootstrap import Estimate, estimate
from benchmark.suite.answers import derangement, grey_like
from benchmark.suite.base import ImageEncoder, NothingToJudge
from benchmark.suite.probes import linear_probe

COVERAGE = 0.8
"""Share of the answers, the surest, of which a score of their own is told: what abstaining from the others brings."""

Ask = Callable[[tuple[str, str], Sequence[int]], np.ndarray | None]
"""A question and rows of images, the grey one last, to probabilities float64 [rows, choices]; None: it is skipped."""


@dataclass(frozen=True)
class Said:
    """M answers.

    Attributes:
        answers: "" where a question was skipped.
        confidence: float64 [M], of skipped ones 0.
    """

    answers: list[str]
    confidence: np.ndarray


def ask_in_words(data: Asked, method: Any) -> Ask:
    """A method that is asked in words, and given the choices."""
    images = [*data.test.images, grey_like(data.test.images[0])]

    def ask(question: tuple[str, str], rows: Sequence[int]) -> np.ndarray | None:
        if not data.choices[question]:
            return None
        said = method.read_answers(
            [images[row] for row in rows], {"asked": question[1]}, {"asked": data.choices[question]}
        )
        return said["asked"]

    return ask


def ask_learned(data: Asked, method: Any, seed: int) -> Ask:
    """A probe on the method's features for each question, or its own classifier.

    Raises:
        NothingToJudge: there are no training questions.
    """
    train = data.train
    if train is None:
        raise NothingToJudge
    images = [*data.test.images, grey_like(data.test.images[0])]
    learner: Any = method
    features = queries = None
    if isinstance(method, ImageEncoder):
        features, queries = method.embed(train.images), method.embed(images)
    asked_of: dict[tuple[str, str], list[int]] = {}
    for row, question in enumerate(train.questions):
        asked_of.setdefault(question, []).append(row)

    def ask(question: tuple[str, str], rows: Sequence[int]) -> np.ndarray | None:
        own, choices = asked_of.get(question, []), data.choices[question]
        if not own:
            return None
        seen = [train.of[row] for row in own]
        labels = np.array([choices.index(train.answers[row]) for row in own], np.int64)
        if len(set(labels.tolist())) == 1:  # nothing to learn
            return np.eye(len(choices))[[labels[0]] * len(rows)]
        groups = [str(image) for image in seen]
        if features is not None and queries is not None:
            return linear_probe(features[seen], labels, groups, queries[list(rows)], len(choices), seed)
        learned = LabelledImages([train.images[image] for image in seen], labels, groups)
        return learner.classify(learned, [images[row] for row in rows], len(choices), seed)

    return ask


def judged(data: Asked, ask: Ask, seed: int) -> dict[str, Estimate]:
    """Scores of the test questions, with intervals over images; two controls answer with another image, and a grey one.

    A question that is asked of one image alone has no other: its shuffled answer is that of the grey image.
    """
    test, grey = data.test, len(data.test.images)
    asked_of: dict[tuple[str, str], list[int]] = {}
    for row, question in enumerate(test.questions):
        asked_of.setdefault(question, []).append(row)
    count = len(test.questions)
    own, of_grey, other = (Said([""] * count, np.zeros(count)) for _ in range(3))
    for question, rows in asked_of.items():
        said = ask(question, [*(test.of[row] for row in rows), grey])
        if said is None:
            continue
        order = derangement(len(rows), seed) if len(rows) > 1 else np.array([1])
        answers = [data.choices[question][best] for best in said.argmax(axis=1).tolist()]
        for at, row in enumerate(rows):
            own.answers[row], own.confidence[row] = answers[at], min(1.0, float(said[at].max()))
            of_grey.answers[row], other.answers[row] = answers[-1], answers[int(order[at])]
    groups = [str(image) for image in test.of]
    right = {name: _right(said, test.answers) for name, said in (("", own), ("grey", of_grey), ("shuffled", other))}
    kinds = np.array([kind for kind, _ in test.questions])
    scores = {"exact": estimate(_mean_over_kinds(right[""], kinds), groups)}
    for kind in dict.fromkeys(kinds.tolist()):
        scores[f"exact_{kind}"] = estimate(_mean_where(right[""], kinds == kind), groups)
        if kind in data.numbers:
            scores[f"mae_{kind}"] = estimate(_mean_where(_errors(own, test.answers), kinds == kind), groups)
    scores |= {f"exact_{name}": estimate(_mean_over_kinds(right[name], kinds), groups) for name in ("grey", "shuffled")}
    answered = np.array([bool(answer) for answer in own.answers])
    surest = np.argsort(-own.confidence, kind="stable")[: max(1, round(COVERAGE * count))]
    scores["answered"] = Estimate(float(answered.mean()))
    scores["exact_surest_80"] = Estimate(float(right[""][surest].mean()))
    if answered.any():
        scores["ece"] = Estimate(expected_calibration_error(own.confidence[answered], right[""][answered]))
    return scores


def _right(said: Said, answers: Sequence[str]) -> np.ndarray:
    return np.array([mine == truth for mine, truth in zip(said.answers, answers, strict=True)])


def _errors(said: Said, answers: Sequence[str]) -> np.ndarray:
    """|said - right| float64 [M] of numbers; a skipped answer counts as 0, another kind's as no error."""
    pairs = [(as_number(mine or "0"), as_number(truth)) for mine, truth in zip(said.answers, answers, strict=True)]
    return np.array([abs(mine - truth) if mine is not None and truth is not None else 0.0 for mine, truth in pairs])


def _mean_where(values: np.ndarray, where: np.ndarray) -> Callable[[np.ndarray], float]:
    def mean(weights: np.ndarray) -> float:
        total = weights[where].sum()
        return float(weights[where] @ values[where] / total) if total > 0 else float("nan")

    return mean


def _mean_over_kinds(values: np.ndarray, kinds: np.ndarray) -> Callable[[np.ndarray], float]:
    parts = [_mean_where(values, kinds == kind) for kind in np.unique(kinds)]

    def mean(weights: np.ndarray) -> float:
        return float(np.nanmean([part(weights) for part in parts]))

    return mean
