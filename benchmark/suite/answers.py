"""Answers to questions with a list of possible answers, learned by any method: a probe on features, or its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from benchmark.datasets.base import Described, LabelledImages
from benchmark.suite.base import ImageEncoder
from benchmark.suite.probes import linear_probe
from corpus.geotiff.backscatter import Backscatter

_LAST: WeakKeyDictionary[Any, tuple[Described, int, dict[str, np.ndarray]]] = WeakKeyDictionary()


def grey_like(image: Backscatter) -> Backscatter:
    """A raster of the same size and bands that shows nothing: every pixel is at its reference."""
    level = np.asarray(image.references()[0], np.float32)[:, None, None]
    return Backscatter(np.broadcast_to(level, image.array.shape).copy(), image.polarisations, image.calibrated)


@dataclass(frozen=True)
class Answers:
    """Question -> probabilities float64 [N, answers].

    Attributes:
        seen: of the N test images.
        again: of the same under another draw of speckle; {}: there is none.
        grey: of an image that shows nothing, N times.
    """

    seen: dict[str, np.ndarray]
    again: dict[str, np.ndarray]
    grey: dict[str, np.ndarray]


def images_to_answer(data: Described) -> list[Backscatter]:
    """The test images, the same under another draw of speckle, and a grey one."""
    return [*data.test.images, *data.test_again, grey_like(data.test.images[0])]


def answers_apart(data: Described, said: Mapping[str, np.ndarray]) -> Answers:
    """What was said of `images_to_answer`."""
    count = len(data.test.images)
    return Answers(
        {question: rows[:count] for question, rows in said.items()},
        {question: rows[count:-1] for question, rows in said.items()} if data.test_again else {},
        {question: np.repeat(rows[-1:], count, axis=0) for question, rows in said.items()},
    )


def learned_answers(method: Any, data: Described, seed: int) -> Mapping[str, np.ndarray]:
    """Of each question the probabilities float64 [M, answers] of the M `images_to_answer`.

    What was learned last is kept: tasks that ask the same questions share it.
    """
    last = _LAST.get(method)
    if last is not None and last[0] is data and last[1] == seed:
        return last[2]
    images = images_to_answer(data)
    learner: Any = method
    features = queries = None
    if isinstance(method, ImageEncoder):
        features, queries = method.embed(data.train.images), method.embed(images)
    found = {}
    for question, answers in data.values.items():
        labels = np.array([answers.index(answer) for answer in data.train.answers[question]], np.int64)
        if len(set(labels.tolist())) == 1:  # nothing to learn
            found[question] = np.eye(len(answers))[[labels[0]] * len(images)]
        elif features is not None and queries is not None:
            found[question] = linear_probe(features, labels, data.train.groups, queries, len(answers), seed)
        else:
            train = LabelledImages(data.train.images, labels, data.train.groups)
            found[question] = learner.classify(train, images, len(answers), seed)
    _LAST[method] = (data, seed, found)
    return found


def right_labels(data: Described, question: str) -> np.ndarray:
    """int64 [N]: the right answers of the test images as indices."""
    answers = data.values[question]
    return np.array([answers.index(answer) for answer in data.test.answers[question]], np.int64)


def derangement(count: int, seed: int) -> np.ndarray:
    """An order of so many images, 2 at least, in which none stays in its place: the shuffled-image control."""
    start = np.random.default_rng(seed).permutation(count)
    order = np.empty(count, np.int64)
    order[start] = np.roll(start, 1)
    return order


def as_rows(probabilities: Mapping[str, np.ndarray], questions: Sequence[str]) -> np.ndarray:
    """Square roots of probabilities side by side, float64 [N, sum of answers].

    The cosine of such a row with the one-hot answers of a text is the mean over questions of the square root of the
    probability that the text is right.
    """
    return np.concatenate([np.sqrt(probabilities[question]) for question in questions], axis=1)
