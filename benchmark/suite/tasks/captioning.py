"""Captions of scenes: the words by BLEU-4, ROUGE-L and CIDEr-D, the facts by the accuracy of the clauses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from benchmark.datasets.base import Described
from benchmark.metrics.captions import bleu4, cider_d, rouge_l
from benchmark.metrics.group_bootstrap import Estimate, mean_estimate
from benchmark.suite.answers import derangement, grey_like, learned_answers, right_labels
from benchmark.suite.base import ClauseReader, ImageClassifier, ImageEncoder, Outcome, Setting
from hcot_llm.schema.files import default_schema
from hcot_llm.text.render import render_caption

_WORDINGS = 5
_OWN_WORDING = 10**9


class Captioning:
    """Captions are written from clauses, so a caption says what its method takes for right and nothing else."""

    about = "captions of simulated scenes: clause accuracy, BLEU-4, ROUGE-L, CIDEr-D against five wordings of the truth"
    data_sets = ("simulated_clauses",)
    settings: Mapping[str, Setting] = MappingProxyType(
        {
            "zero_shot": Setting("the clauses that the method reads without further learning"),
            "by_clauses": Setting("the clauses that the method learns to read"),
        }
    )

    def applies(self, setting: str, method: Any) -> bool:
        """Reading without learning needs a method that knows the clauses."""
        return isinstance(method, ClauseReader if setting == "zero_shot" else (ImageEncoder, ImageClassifier))

    def run(self, data: Described, setting: str, method: Any, seed: int) -> Outcome:
        """Judge on the test scenes."""
        if setting == "zero_shot":
            found = method.read_clauses([*data.test.images, grey_like(data.test.images[0])], data.values)
        else:
            found = learned_answers(method, data, seed)
        seen = {clause: rows[:-1] for clause, rows in found.items()}
        grey = {clause: rows[-1:].argmax(axis=1) for clause, rows in found.items()}
        guess = {clause: rows.argmax(axis=1) for clause, rows in seen.items()}
        truth = {clause: right_labels(data, clause) for clause in data.values}
        right = np.mean([guess[clause] == truth[clause] for clause in data.values], axis=0)
        of_grey = np.mean([grey[clause] == truth[clause] for clause in data.values], axis=0)
        order = derangement(len(right), seed)
        other = np.mean([guess[clause][order] == truth[clause] for clause in data.values], axis=0)
        said, wanted = (
            _captions(data, guess, _OWN_WORDING),
            [_captions(data, truth, number) for number in range(_WORDINGS)],
        )
        references = list(zip(*wanted, strict=True))
        groups = data.test.groups
        return Outcome(
            {
                "clause_accuracy": mean_estimate(right, groups),
                "bleu4": Estimate(bleu4(said, references)),
                "rouge_l": mean_estimate(rouge_l(said, references), groups),
                "cider_d": mean_estimate(cider_d(said, references), groups),
                "clause_accuracy_grey": mean_estimate(of_grey, groups),
                "clause_accuracy_shuffled": mean_estimate(other, groups),
            }
        )


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
