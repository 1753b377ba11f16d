"""Out-of-fold distributions: what a classifier says of tiles that it did not learn from."""

from collections.abc import Sequence

import numpy as np

from actors.statistics.features import Features
from actors.statistics.members import Member
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.label_noise import normalise
from hcot_llm.aggregation.matrix import split_by_clause
from hcot_llm.schema.annotation_schema import AnnotationSchema

_LEAST = 1e-3
"""Least probability of a value: a ridge regression says less than nothing of some."""


def folds_of(groups: Sequence[str], held_out: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """The fold of each tile, int [N]; -1 of held-out ones. Tiles of one group are in one fold.

    Args:
        groups: N names.
        held_out: bool [N].
        folds: their number.
        seed: of the draw.
    """
    fold = np.full(len(held_out), -1)
    names, group_of = np.unique(np.asarray(groups)[~held_out], return_inverse=True)
    fold[~held_out] = np.random.default_rng(seed).permutation(len(names))[group_of] % folds
    return fold


def cross_fit(
    member: Member, features: Features, targets: np.ndarray, fold: np.ndarray, most_tiles: int, seed: int
) -> np.ndarray:
    """What a classifier says of every tile, learned from the other folds; of held-out ones the mean over all folds.

    Args:
        member: the classifier.
        features: of N tiles.
        targets: float [N, T], see `Member`; those of held-out tiles are not looked at.
        fold: int [N], see `folds_of`.
        most_tiles: that are learned from at once; of more, so many are drawn.
        seed: of all draws.

    Returns:
        float64 [N, T].
    """
    found = np.zeros(targets.shape)
    present = [number for number in range(fold.max() + 1) if (fold == number).any()]
    for number in present:
        taught = np.flatnonzero((fold >= 0) & (fold != number))
        asked = np.flatnonzero((fold == number) | (fold < 0))
        own = derive_seed(seed, number, "fold")
        if len(taught) > most_tiles:
            taught = np.sort(np.random.default_rng(own).choice(taught, most_tiles, replace=False))
        said = member.fit_predict(features[taught], targets[taught], features[asked], own)
        mine = fold[asked] == number
        found[asked[mine]] = said[mine]
        found[asked[~mine]] += said[~mine] / len(present)
    return found


def by_clause(schema: AnnotationSchema, said: np.ndarray) -> dict[str, np.ndarray]:
    """What was said of all clauses, real [N, T], as a distribution of each, float64 [N, V]."""
    return {clause: normalise(part) for clause, part in split_by_clause(schema, np.maximum(said, _LEAST)).items()}
