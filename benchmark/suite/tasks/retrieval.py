"""Images by text and text by image: recall at 1, 5 and 10, among the scenes of held-out cities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmark.datasets.base import Described, Pairs
from benchmark.metrics.group_bootstrap import Estimate, estimate
from benchmark.suite.answers import answers_apart, as_rows, derangement, learned_answers, right_labels
from benchmark.suite.base import ImageClassifier, ImageEncoder, NothingToJudge, Outcome, PairEncoder, Setting


class Retrieval:
    """Recall both ways and its mean, with a grey-image and a shuffled-image control."""

    about = (
        "images by text and text by image (simulated scenes of held-out cities, image-text JSON); R@1, 5, 10 both ways"
    )
    data_sets = ("image_text", "simulated_clauses")
    settings: Mapping[str, Setting] = MappingProxyType(
        {
            "zero_shot": Setting("the method's own embeddings of images and of captions"),
            "by_clauses": Setting("what the method learns to say of each clause, against what a caption says"),
        }
    )

    def applies(self, setting: str, method: Any) -> bool:
        """Its own embeddings need a text encoder."""
        return isinstance(method, PairEncoder if setting == "zero_shot" else (ImageEncoder, ImageClassifier))

    def run(self, data: Described | Pairs, setting: str, method: Any, seed: int) -> Outcome:
        """Judge among the test scenes. Captions that say the same of a scene's clauses count as one text.

        Raises:
            NothingToJudge: the captions of a data set have no clauses.
        """
        if isinstance(data, Pairs):
            if setting != "zero_shot":
                raise NothingToJudge
            captions = [several[0] for several in data.captions]
            images, texts = method.embed_pairs(data.images, captions)
            own = [str(row) for row in range(len(captions))]
            return Outcome(recalls(np.asarray(images), np.asarray(texts), captions, seed, own))
        questions = list(data.values)
        keys = ["|".join(data.test.answers[q][row] for q in questions) for row in range(len(data.test.images))]
        if setting == "zero_shot":
            shown = [*data.test.images, *data.test_again]
            every, texts = method.embed_pairs(shown, data.test.captions)
            images, again = np.asarray(every)[: len(keys)], np.asarray(every)[len(keys) :]
        else:
            answers = answers_apart(data, learned_answers(method, data, seed))
            images, again = (as_rows(said, questions) if said else () for said in (answers.seen, answers.again))
            one_hot = {q: np.eye(len(data.values[q]))[right_labels(data, q)] for q in questions}
            texts = as_rows(one_hot, questions)
        scores = recalls(np.asarray(images), np.asarray(texts), keys, seed, data.test.groups)
        if len(again):
            other = recalls(np.asarray(again), np.asarray(texts), keys, seed, data.test.groups)
            scores["mean_recall_other_speckle"] = other["mean_recall"]
        return Outcome(scores)


def recalls(
    images: np.ndarray, texts: np.ndarray, keys: Sequence[str], seed: int, groups: Sequence[str]
) -> dict[str, Estimate]:
    """Recalls of embeddings float [N, D] of images and of their texts, and the mean recall of two controls.

    Args:
        images: of the images.
        texts: of the texts, in the same order.
        keys: equal for texts that say the same.
        seed: of the order of the shuffled control.
        groups: N names; images of one group are drawn together for the interval, among all that are searched.
    """
    from benchmark.metrics.retrieval import retrieval

    found = retrieval(images, texts, keys)
    scores = {"mean_recall": estimate(found.mean_recall_of, groups)}
    scores |= {f"image_to_text_r{rank}": Estimate(value) for rank, value in found.image_to_text.items()}
    scores |= {f"text_to_image_r{rank}": Estimate(value) for rank, value in found.text_to_image.items()}
    grey = np.repeat(images[:1], len(images), axis=0)
    scores["mean_recall_grey"] = Estimate(retrieval(grey, texts, keys).mean_recall)
    shuffled = images[derangement(len(images), seed)]
    scores["mean_recall_shuffled"] = Estimate(retrieval(shuffled, texts, keys).mean_recall)
    return scores


RETRIEVAL = Retrieval()
