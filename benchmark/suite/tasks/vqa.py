"""Questions of seven kinds on a scene. An answer that is not given would count as wrong."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmark.datasets.base import Asked, Described
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.group_bootstrap import Estimate, mean_estimate
from benchmark.suite.answers import answers_apart, derangement, images_to_answer, learned_answers, right_labels
from benchmark.suite.asked import COVERAGE, ask_in_words, ask_learned, judged
from benchmark.suite.base import AnswerReader, ImageClassifier, ImageEncoder, Outcome, Setting

SHARE = "land_cover_share"


class VisualQuestionAnswering:
    """Exact match by kind, mean absolute error of numbers, calibration, and two controls.

    A kind of several parts (all landforms, one region) is right by part in `regional_landform`, and only where all
    parts are right in `all_landforms`. The controls answer with a grey image, and with another scene's.
    """

    about = (
        "count, recognition, position, main, all and regional landforms, land-cover share, on simulated truth; any "
        "questions on images in JSON"
    )
    data_sets = ("simulated_questions", "image_questions")
    settings: Mapping[str, Setting] = MappingProxyType(
        {
            "zero_shot": Setting("the method is asked in words and given the possible answers"),
            "light_head": Setting("encoder frozen, a logistic regression a question; others learn by themselves"),
        }
    )

    def applies(self, setting: str, method: Any) -> bool:
        """Being asked takes a method that reads words; the head, one that has features or learns classes."""
        return isinstance(method, AnswerReader if setting == "zero_shot" else (ImageEncoder, ImageClassifier))

    def run(self, data: Described | Asked, setting: str, method: Any, seed: int) -> Outcome:
        """Judge on the test scenes.

        Raises:
            NothingToJudge: a head has no question to learn from.
        """
        if isinstance(data, Asked):
            ask = ask_in_words(data, method) if setting == "zero_shot" else ask_learned(data, method, seed)
            return Outcome(judged(data, ask, seed))
        if setting == "zero_shot":
            said = method.read_answers(images_to_answer(data), data.asked, data.values)
        else:
            said = learned_answers(method, data, seed)
        truth = {question: right_labels(data, question) for question in data.values}
        answers = answers_apart(data, said)
        seen, grey = answers.seen, answers.grey
        other = {question: rows[derangement(len(rows), seed)] for question, rows in seen.items()}
        scores = {"exact": _mean_exact(seen, truth, data)} | _by_kind(seen, truth, data)
        scores |= {"exact_grey": _mean_exact(grey, truth, data), "exact_shuffled": _mean_exact(other, truth, data)}
        if answers.again:
            scores["exact_other_speckle"] = _mean_exact(answers.again, truth, data)
        questions = [question for question in seen if not question.startswith(SHARE)]
        confidence = np.concatenate([seen[question].max(axis=1) for question in questions])
        right = np.concatenate([seen[question].argmax(1) == truth[question] for question in questions])
        surest = np.argsort(-confidence, kind="stable")[: round(COVERAGE * len(right))]
        scores["exact_surest_80"] = Estimate(float(right[surest].mean()))
        return Outcome({**scores, "ece": Estimate(expected_calibration_error(np.clip(confidence, 0, 1), right))})


def exact_by_kind(said: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Of each kind float64 [N]: how far a scene's answers are right, from 0 to 1.

    Args:
        said: question -> probabilities float [N, answers].
        truth: question -> int [N].
    """
    right: dict[str, list[np.ndarray]] = {}
    for question in said:
        kind = question.partition(":")[0]
        if kind != SHARE:
            right.setdefault(kind, []).append(said[question].argmax(axis=1) == truth[question])
    whole = {"all_landforms"}
    return {
        kind: (np.all(parts, axis=0) if kind in whole else np.mean(parts, axis=0)).astype(float)
        for kind, parts in right.items()
    }


def share_errors(said: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> np.ndarray:
    """float64 [N]: mean absolute error of a scene's land-cover shares; the expected share is what is said."""
    errors = []
    for question, rows in said.items():
        if question.startswith(SHARE):
            tenths = np.arange(rows.shape[1]) / (rows.shape[1] - 1)
            errors.append(np.abs(rows @ tenths - tenths[truth[question]]))
    return np.mean(errors, axis=0)


def _by_kind(said: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], data: Described) -> dict[str, Estimate]:
    found = {
        f"exact_{kind}": mean_estimate(right, data.test.groups) for kind, right in exact_by_kind(said, truth).items()
    }
    numbers = np.abs(said["count"].argmax(axis=1) - truth["count"]).astype(float)
    found["count_mae"] = mean_estimate(numbers, data.test.groups)
    found["land_cover_share_mae"] = mean_estimate(share_errors(said, truth), data.test.groups)
    return found


def _mean_exact(said: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], data: Described) -> Estimate:
    return mean_estimate(np.mean(list(exact_by_kind(said, truth).values()), axis=0), data.test.groups)


VQA = VisualQuestionAnswering()
