"""A weak classifier of images: what an annotator who sees a few statistics of a tile takes it for."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from corpus.geotiff.read import model_image
from corpus.geotiff.statistics import WEAK, intensity_statistics
from corpus.tiles import read_tiles, tile_path

_FOLDS = 5


def taken_for(features: np.ndarray, labels: np.ndarray, values: int, groups: Sequence[str]) -> np.ndarray:
    """What a weak classifier takes each image for, taught by images of other groups.

    Args:
        features: real [N, F].
        labels: int [N], indices of the right values.
        values: V, number of values.
        groups: N names.

    Returns:
        float [N, V], probabilities.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    present, indices = np.unique(labels, return_inverse=True)
    found = np.zeros((len(labels), values))
    folds = min(_FOLDS, len(set(groups)))
    if len(present) == 1 or folds == 1:  # there is nothing to be taken for, or nobody to be taught by
        found[np.arange(len(labels)), labels] = 1
        return found
    said = cross_val_predict(
        classifier, features, indices, groups=np.asarray(groups), cv=GroupKFold(folds), method="predict_proba"
    )
    found[:, present] = np.asarray(said)
    return found


def weak_statistics(corpus_dir: Path) -> np.ndarray:
    """A few statistics of the level and spread of each tile by tile_id, float32 [N, WEAK]."""
    tiles = read_tiles(corpus_dir)
    images = [
        model_image(tile_path(corpus_dir, path), level_db=level)[:1]
        for path, level in zip(tiles["path"].to_pylist(), tiles["level_db"].to_pylist(), strict=True)
    ]
    return intensity_statistics(np.stack(images))[:, :WEAK]
