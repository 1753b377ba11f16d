"""Errors put into labels that are right, so that what a method repairs and breaks can be counted."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from pydantic import Field

from corpus.storage.models import FrozenModel
from corpus.storage.rng import derive_seed


class LabelErrorsConfig(FrozenModel):
    """How the labels of a labelled set are made wrong before the loop sees them."""

    kind: Literal["none", "symmetric", "class_dependent", "image_dependent"] = Field(
        default="none",
        description="none; any other value alike; each value for the next one of the vocabulary; or the value that a "
        "weak classifier takes the image for, on the images that it is most wrong about",
    )
    share: float = Field(default=0.0, ge=0, lt=1, description="of the labels that are made wrong")


def with_errors(
    labels: np.ndarray,
    values: int,
    config: LabelErrorsConfig,
    *,
    groups: Sequence[str],
    seed: int,
    taken_for: np.ndarray | None = None,
) -> np.ndarray:
    """Make a share of labels wrong. Images of one group are wrong alike.

    Args:
        labels: int [N], indices of the right values.
        values: V, number of values.
        config: the kind of errors, and their share.
        groups: N names.
        seed: of the draws.
        taken_for: float [N, V], probabilities of a weak classifier that was not taught these labels; kind
            image_dependent needs it.

    Returns:
        int [N].
    """
    if config.kind == "none" or config.share == 0:
        return labels.copy()
    names, first, group_of = np.unique(np.asarray(groups), return_index=True, return_inverse=True)
    right = labels[first]
    if config.kind == "image_dependent":
        assert taken_for is not None
        mean = np.zeros((len(names), values))
        np.add.at(mean, group_of, taken_for)
        mean /= np.bincount(group_of)[:, None]
        rows = np.arange(len(names))
        others = mean.copy()
        others[rows, right] = -1
        wrong_value = others.argmax(axis=1)
        surest = np.argsort(mean[rows, right] - others[rows, wrong_value], kind="stable")
        wrong = np.zeros(len(names), dtype=bool)
        wrong[surest[: round(config.share * len(names))]] = True
    else:
        generators = (np.random.default_rng(derive_seed(seed, str(name), "label errors")) for name in names)
        draws = np.asarray([generator.random(2) for generator in generators])
        wrong = draws[:, 0] < config.share
        step = 1 if config.kind == "class_dependent" else 1 + (draws[:, 1] * (values - 1)).astype(int)
        wrong_value = (right + step) % values
    # In a group of several labels each is made wrong for itself.
    chosen = np.where(labels == right[group_of], wrong_value[group_of], (labels + 1) % values)
    return np.where(wrong[group_of], chosen, labels)
