"""The baseline without a network: extra-trees on intensity statistics, taught the annotations as they came."""

from collections.abc import Mapping

import numpy as np

from hcot_llm.aggregation.matrix import AnnotationMatrix

_TREES = 300


def tree_distributions(
    features: np.ndarray, initial: AnnotationMatrix, held_out: np.ndarray, seed: int
) -> Mapping[str, np.ndarray]:
    """Distributions over the values of every clause: out of bag for training tiles, the forest's for held-out ones.

    Args:
        features: real [N, F], statistics of the tiles of `initial`.
        initial: The initial annotations of N tiles.
        held_out: bool [N], tiles that are not taught.
        seed: of the trees.

    Returns:
        Per clause float64 [N, V]; rows sum to one.
    """
    from sklearn.ensemble import ExtraTreesClassifier

    found = {}
    for clause, words in initial.schema.vocabulary.items():
        labels = initial.column(clause)
        forest = ExtraTreesClassifier(
            _TREES, bootstrap=True, oob_score=True, max_features="sqrt", random_state=seed, n_jobs=-1
        ).fit(features[~held_out], labels[~held_out])
        distribution = np.zeros((len(labels), len(words)))
        distribution[np.ix_(np.flatnonzero(~held_out), forest.classes_)] = forest.oob_decision_function_
        if held_out.any():
            distribution[np.ix_(np.flatnonzero(held_out), forest.classes_)] = forest.predict_proba(features[held_out])
        # A forest of so many trees leaves no tile out of every bag but by chance; nothing is known of such a tile.
        unknown = np.isnan(distribution).any(axis=1)
        distribution[unknown] = 1 / len(words)
        found[clause] = distribution
    return found
