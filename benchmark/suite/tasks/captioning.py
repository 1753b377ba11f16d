"""Captions of images: the words by CIDEr-D, BLEU-4 and ROUGE-L; on simulated scenes the facts by their clauses too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmark.datasets.base import Described, Pairs
from benchmark.metrics.accuracy import expected_calibration_error
from benchmark.metrics.captions import bleu4_of, cider_d, ngram_counts, rouge_l
from benchmark.metrics.group_bootstrap import Estimate, estimate, mean_estimate
from benchmark.suite.answers import (
    answers_apart,
    derangement,
    grey_like,
    images_to_answer,
    learned_answers,
    right_labels,
)
from benchmark.suite.base import (
    CaptionGuesser,
    ClauseReader,
    ImageClassifier,
    ImageEncoder,
    NothingToJudge,
    Outcome,
    Setting,
)
from benchmark.suite.probes import knn
from corpus.geotiff.backscatter import Backscatter
from hcot_llm.schema.files import default_schema
from hcot_llm.text.render import render_caption

_WORDINGS = 5
_OWN_WORDING = 10**9


class Captioning:
    """A caption is written from clauses, or is that of another image, or follows from no image at all.

    On simulated scenes the references are five wordings of the truth; elsewhere all captions of an image.
    """

    about = (
        "captions of simulated scenes and of image-text JSON: clause accuracy, CIDEr-D, BLEU-4, ROUGE-L against "
        "several references"
    )
    data_sets = ("simulated_clauses", "image_text", "fusar_klip_text")
    settings: Mapping[str, Setting] = MappingProxyType(
        {
            "no_image": Setting("control: one caption for every image, from the captions of training images"),
            "zero_shot": Setting("the clauses that the method reads without further learning"),
            "nearest_caption": Setting("features frozen, the caption of the nearest training image"),
            "by_clauses": Setting("the clauses that the method learns to read"),
        }
    )

    def applies(self, setting: str, method: Any) -> bool:
        """Reading without learning needs a method that knows the clauses; the nearest image, features."""
        kinds: dict[str, Any] = {
            "no_image": CaptionGuesser,
            "zero_shot": ClauseReader,
            "nearest_caption": ImageEncoder,
            "by_clauses": (ImageEncoder, ImageClassifier),
        }
        return isinstance(method, kinds[setting])

    def run(self, data: Described | Pairs, setting: str, method: Any, seed: int) -> Outcome:
        """Judge on the test images.

        Raises:
            NothingToJudge: the data set has no images, no training captions, or no clauses, and the setting needs them.
        """
        if isinstance(data, Described) and setting in ("zero_shot", "by_clauses"):
            return _by_clauses(data, setting, method, seed)
        test, train = _captioned(data)
        if setting == "no_image":
            said = [method.guess_caption([texts[0] for texts in _learned(train).captions])] * len(test.captions)
            other = test.captions[0][0]
        elif not test.images or setting == "by_clauses":
            raise NothingToJudge
        else:
            said = _written(data, setting, method, test, train)
            said, other = said[:-1], said[-1]
        groups = data.test.groups if isinstance(data, Described) else [str(row) for row in range(len(said))]
        scores = _judged(said, test.captions, groups)
        if setting == "no_image":  # what people's captions of other images score
            texts = [texts[0] for texts in test.captions]
            shuffled = [texts[row] for row in derangement(len(texts), seed)]
            return Outcome(scores | {"cider_d_other_reference": _cider(shuffled, test.captions, groups)})
        shuffled = [said[row] for row in derangement(len(said), seed)]
        return Outcome(
            scores
            | {
                "cider_d_grey": _cider([other] * len(said), test.captions, groups),
                "cider_d_shuffled": _cider(shuffled, test.captions, groups),
            }
        )


def _captioned(data: Described | Pairs) -> tuple[Pairs, Pairs | None]:
    """Test and training images with their captions; of simulated scenes several wordings of the truth."""
    if isinstance(data, Pairs):
        return data, data.train
    truth = {clause: right_labels(data, clause) for clause in data.values}
    wanted = [_captions(data, truth, number) for number in range(_WORDINGS)]
    train = Pairs(data.train.images, [(caption,) for caption in data.train.captions])
    return Pairs(data.test.images, list(zip(*wanted, strict=True))), train


def _learned(train: Pairs | None) -> Pairs:
    if train is None:
        raise NothingToJudge
    return train


def _written(data: Described | Pairs, setting: str, method: Any, test: Pairs, train: Pairs | None) -> list[str]:
    """A caption of each test image, and of a grey one, last."""
    images: Sequence[Backscatter] = [*test.images, grey_like(test.images[0])]
    if setting == "nearest_caption":
        learned = _learned(train)
        rows = np.arange(len(learned.images))
        near = knn(method.embed(learned.images), rows, method.embed(images), len(rows), neighbours=1)
        return [learned.captions[row][0] for row in near.argmax(axis=1)]
    schema = default_schema()
    values = {clause: tuple(schema.vocabulary[clause]) for clause in schema.names}
    found = {clause: rows.argmax(axis=1) for clause, rows in method.read_clauses(images, values).items()}
    return [
        render_caption(schema, {clause: values[clause][int(found[clause][row])] for clause in values}, seed=row)
        for row in range(len(images))
    ]


def _judged(said: Sequence[str], references: Sequence[Sequence[str]], groups: Sequence[str]) -> dict[str, Estimate]:
    return {
        "cider_d": _cider(said, references, groups),
        "bleu4": estimate(bleu4_of(ngram_counts(said, references)), groups),
        "rouge_l": mean_estimate(rouge_l(said, references), groups),
    }


def _cider(said: Sequence[str], references: Sequence[Sequence[str]], groups: Sequence[str]) -> Estimate:
    return mean_estimate(cider_d(said, references), groups)


def _by_clauses(data: Described, setting: str, method: Any, seed: int) -> Outcome:
    if setting == "zero_shot":
        found = method.read_clauses(images_to_answer(data), data.values)
    else:
        found = learned_answers(method, data, seed)
    answers, groups = answers_apart(data, found), data.test.groups
    truth = {clause: right_labels(data, clause) for clause in data.values}
    order = derangement(len(data.test.images), seed)
    guess = {clause: rows.argmax(axis=1) for clause, rows in answers.seen.items()}

    def accuracy(said: Mapping[str, np.ndarray]) -> Estimate:
        right = np.mean([said[clause].argmax(axis=1) == truth[clause] for clause in data.values], axis=0)
        return mean_estimate(right, groups)

    scores = {
        "clause_accuracy": accuracy(answers.seen),
        **_judged(_captions(data, guess, _OWN_WORDING), _captioned(data)[0].captions, groups),
        "clause_accuracy_grey": accuracy(answers.grey),
        "clause_accuracy_shuffled": accuracy({clause: rows[order] for clause, rows in answers.seen.items()}),
    }
    if answers.again:
        scores["clause_accuracy_other_speckle"] = accuracy(answers.again)
    confidence = np.concatenate([answers.seen[clause].max(axis=1) for clause in data.values])
    right = np.concatenate([guess[clause] == truth[clause] for clause in data.values])
    return Outcome({**scores, "ece": Estimate(expected_calibration_error(np.clip(confidence, 0, 1), right))})


def _captions(data: Described, labels: Mapping[str, np.ndarray], wording: int) -> list[str]:
    schema = default_schema()
    return [
        render_caption(
            schema,
            {clause: data.values[clause][int(labels[clause][row])] for clause in data.values},
            seed=wording + row,
        )
        for row in range(len(data.test.images))
    ]


CAPTIONING = Captioning()
