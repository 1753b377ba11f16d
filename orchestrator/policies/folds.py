"""Out-of-fold labelling: which tiles a model trains on, which it labels, and how the folds' findings become one.

A tile's fold is a hash of its id and stays the same for the whole run. No model is trained on the held-out tiles. Every
model scores all of them, and its findings count on its own share of them. The mean over the models would be surer than
any one of them, and the source weights are fitted on these tiles.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from corpus.storage.errors import ConfigError
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.relabel import Proposals


@dataclass(frozen=True)
class Fold:
    """One model of the run. All arrays are over the N tiles of the corpus, in its order.

    Attributes:
        number: Number of the fold, counted from 0.
        trains: bool [N], tiles that the model is trained on.
        labels: bool [N], tiles that the model labels.
        scored: bool [N], tiles that the model scores: those it labels and all held-out tiles.
        speaks: bool [N], tiles on which its findings count: those it labels and its share of the held-out tiles.
    """

    number: int
    trains: np.ndarray
    labels: np.ndarray
    scored: np.ndarray
    speaks: np.ndarray


def make_folds(tile_ids: Sequence[str], in_training: np.ndarray, folds: int, run_seed: int) -> tuple[Fold, ...]:
    """The folds of a run; one fold trains on and labels all tiles.

    Raises:
        ConfigError: a fold has no training tile, because there are too few.
    """
    if folds == 1:
        every = np.ones(len(tile_ids), dtype=bool)
        return (Fold(0, in_training, in_training, every, every),)
    of_tile = np.asarray([derive_seed(run_seed, tile_id, "fold") % folds for tile_id in tile_ids])
    made = []
    for number in range(folds):
        speaks = of_tile == number
        labels = in_training & speaks
        if not labels.any():
            raise ConfigError(
                f"{int(in_training.sum())} training tiles in {folds} folds leave fold {number} empty: "
                "lower schedule.folds or add tiles"
            )
        made.append(Fold(number, in_training & ~labels, labels, labels | ~in_training, speaks))
    return tuple(made)


@dataclass(frozen=True)
class FoldFindings:
    """Findings of one fold's model on the n tiles of `fold.scored`, in their order.

    Attributes:
        fold: The fold.
        weights_sha256: Hash of the model's weights.
        feedback: The encoder's feedback.
        image_embeddings: float32 [n, E]; embeddings of different models cannot be compared.
        flagged: bool [n, C], flagged clauses.
        queried: bool [n, C], flagged clauses that the captioner was queried for.
        proposals: The captioner's answers.
    """

    fold: Fold
    weights_sha256: str
    feedback: Feedback
    image_embeddings: np.ndarray
    flagged: np.ndarray
    queried: np.ndarray
    proposals: Proposals


@dataclass(frozen=True)
class Findings:
    """Findings of all folds on all N tiles.

    Attributes:
        annotations: The annotations that were judged, as they stood before the round.
        feedback: The encoders' feedback.
        flagged: bool [N, C], flagged clauses.
        queried: bool [N, C], the flagged ones that the captioner was queried about.
        proposals: The captioners' answers.
        weights_sha256: N hashes: for each tile that of the model whose findings count.
        first: Findings of the first fold, whose model is the one that the round publishes.
    """

    annotations: AnnotationMatrix
    feedback: Feedback
    flagged: np.ndarray
    queried: np.ndarray
    proposals: Proposals
    weights_sha256: list[str]
    first: FoldFindings


def join_findings(annotations: AnnotationMatrix, parts: Sequence[FoldFindings]) -> Findings:
    """Join the folds' findings: those on a tile come from the one model that counts there and was not trained on it.

    Args:
        annotations: Annotations of all N tiles, which the folds' models have judged.
        parts: Findings of each fold.
    """
    tile_ids = annotations.tile_ids

    def joined(of: Callable[[FoldFindings], np.ndarray]) -> np.ndarray:
        arrays = [of(part) for part in parts]
        if len(parts) == 1 and parts[0].fold.speaks.all():
            return arrays[0]  # one model speaks of all tiles
        whole = np.empty((len(tile_ids), *arrays[0].shape[1:]), arrays[0].dtype)
        for part, array in zip(parts, arrays, strict=True):
            whole[part.fold.speaks] = array[part.fold.speaks[part.fold.scored]]
        return whole

    def by_clause(of: Callable) -> dict:
        return {clause: joined(lambda part, clause=clause: of(part)[clause]) for clause in parts[0].feedback.zero_shot}

    feedback = Feedback(
        list(tile_ids),
        by_clause(lambda part: part.feedback.zero_shot),
        by_clause(lambda part: part.feedback.neighbours),
        joined(lambda part: part.feedback.itc),
        joined(lambda part: part.feedback.itm),
        joined(lambda part: part.feedback.itc_gain),
        joined(lambda part: part.feedback.itm_gain),
    )
    hashes = [""] * len(tile_ids)
    for part in parts:
        for row in np.flatnonzero(part.fold.speaks):
            hashes[row] = part.weights_sha256
    return Findings(
        annotations,
        feedback,
        joined(lambda part: part.flagged),
        joined(lambda part: part.queried),
        Proposals(
            joined(lambda part: part.proposals.proposed),
            by_clause(lambda part: part.proposals.distributions),
            _sum([part.proposals.invalid for part in parts]),
            sum(part.proposals.retried for part in parts),
            sum(part.proposals.recovered for part in parts),
            _sum([part.proposals.injected for part in parts]),
            sum(part.proposals.tokens for part in parts),
        ),
        hashes,
        parts[0],
    )


def _sum(counts: Sequence[dict[str, int]]) -> dict[str, int]:
    return dict(sum(map(Counter, counts), Counter()))
