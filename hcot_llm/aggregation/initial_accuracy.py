"""The accuracy of the initial annotations, where nobody knows it: estimated from what models say of other tiles.

The models were not trained on the annotations of the tiles that they are asked about. Where a model is surest it is
right, or nearly so, and the share of annotations that agree with it there is their accuracy. That holds for a model of
the truth and for one that was taught wrong annotations and repeats their errors (anchor points: Patrini et al., "Making
deep neural networks robust to label noise", CVPR 2017). A model that is seldom right is not right where it is surest
either, and would make annotations look worse than they are. It shows itself: agreement still falls from its surest
tiles to the next ones, where that of a good model stays as high. Then nothing is known of the annotations but what
they state.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.label_noise import pool
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.wholly_wrong import ACCURACY

FEWEST_TILES = 50
"""On fewer tiles the stated accuracy stands."""
UNDOUBTED = 0.99
"""Highest estimate."""
LEAST = 0.55
"""Lower estimates are believed of models alone that do not contradict one another."""
_PARTS = 5
"""Tiles are looked at in fifths, the surest first."""
_CLEARLY = 0.1
_log = logging.getLogger(__name__)


def estimate_accuracy(sources: Sequence[np.ndarray], initial: np.ndarray, stated: np.ndarray) -> float | None:
    """Estimate the mean accuracy of the initial annotations of one clause.

    Args:
        sources: Per model float [N, V], its distributions on tiles whose annotations it was not trained on; NaN rows
            where it was not queried.
        initial: int [N], indices of their initial values.
        stated: float [N], stated accuracy of each.

    Returns:
        The share of right ones in 0..1, one standard error on the high side: in doubt annotations stay. The mean of
        `stated` where tiles are fewer than FEWEST_TILES, or the models agree with the annotations as seldom as by
        chance. None where the models cannot tell, or are clearly worse than the annotations: these stand.
    """
    if len(initial) < FEWEST_TILES:
        return float(stated.mean())
    pooled = pool(sources, [1 / len(sources)] * len(sources))
    agrees = pooled.argmax(axis=1) == initial
    values = np.arange(pooled.shape[1])
    shares = [(said[:, None] == values).mean(axis=0) for said in (pooled.argmax(axis=1), initial)]
    chance = float(shares[0] @ shares[1])
    if agrees.mean() - chance < 2 * np.sqrt(chance * (1 - chance) / len(initial)):
        return float(stated.mean())  # models that know nothing say nothing of the annotations
    fifths = np.array_split(agrees[np.argsort(-pooled.max(axis=1), kind="stable")], _PARTS)
    surest = float(fifths[0].mean())
    models = float(agrees.mean()) / max(surest, 1e-9)  # a right annotation agrees with a right model
    found = max(surest, float(np.concatenate(fifths[:2]).mean()))
    found += float(np.sqrt(found * (1 - found) / len(fifths[0])))
    if _falls(fifths[0], fifths[1]) or models < surest - _CLEARLY:
        _log.info("models are right in about %.2f, annotations in about %.2f: these stand", models, surest)
        return None
    if found >= LEAST:
        return min(found, UNDOUBTED)
    # Annotations that are wrong more often than not, or models that are: the second shows in models that contradict
    # one another more often than they can where each is right as often as it seems to be.
    if len(sources) == 1:
        return LEAST
    if _falls(fifths[0], fifths[2]) or _contradict(sources, initial, surest):
        _log.info("models seem to be right in %.2f, and contradict one another: annotations stand", models)
        return None
    return found


def _falls(surer: np.ndarray, less_sure: np.ndarray) -> bool:
    """Whether the share of true ones falls by two standard errors and more than a twentieth."""
    shares = [float(each.mean()) for each in (surer, less_sure)]
    error = sum(max(share * (1 - share), 1e-4) / len(surer) for share in shares) ** 0.5
    return shares[0] - shares[1] > max(2 * error, _CLEARLY / 2)


def _contradict(sources: Sequence[np.ndarray], initial: np.ndarray, accuracy: float) -> bool:
    """Whether two models agree less often than two independent ones that are right as often as these seem to be."""
    said = [source.argmax(axis=1) for source in sources]
    right = [min(float((each == initial).mean()) / max(accuracy, 1e-9), 1.0) for each in said]
    others = sources[0].shape[1] - 1
    return any(
        (said[one] == said[other]).mean()
        < right[one] * right[other] + (1 - right[one]) * (1 - right[other]) / max(others, 1)
        for one in range(len(said))
        for other in range(one)
    )


def shifted(stated: np.ndarray, mean: float) -> np.ndarray:
    """Stated accuracies with another mean: the odds of all are multiplied by one factor.

    Args:
        stated: float [N], inside 0..1.
        mean: of the result, inside 0..1.
    """
    from scipy.optimize import brentq  # a configuration is read without SciPy

    logits = np.log(stated / (1 - stated))

    def moved(step: float) -> np.ndarray:
        return 1 / (1 + np.exp(-(logits + step)))

    return moved(float(brentq(lambda step: moved(step).mean() - mean, -30, 30)))  # pyright: ignore[reportArgumentType]  # without full output it is a float


def with_accuracy(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
) -> AnnotationMatrix:
    """The initial annotations with the accuracy of each as its confidence: as stated, or estimated.

    Clauses of which the models cannot tell stand, see `AnnotationMatrix.standing`.

    Args:
        models: Per model and clause its distribution, float [N, V]; NaN rows where the model was not queried.
        initial: of N tiles.
        held_out: bool [N], True for tiles that no model was trained on.
        config: whether the accuracy is estimated.
    """
    if config.initial_accuracy == "stated":
        return initial
    stated, standing, columns = known_accuracy(initial), set(initial.standing), []
    for column, clause in enumerate(initial.schema.names):
        sources = [model[clause][held_out] for model in models]
        found = estimate_accuracy(sources, initial.column(clause)[held_out], stated[held_out, column])
        if found is None:
            standing.add(clause)
        columns.append(stated[:, column] if found is None else shifted(stated[:, column], found))
    accuracy = np.clip(np.stack(columns, axis=1), *ACCURACY).astype(np.float32)
    return replace(initial, confidence=accuracy, standing=frozenset(standing))


def known_accuracy(initial: AnnotationMatrix) -> np.ndarray:
    """Accuracy that the initial annotations come with, float64 [N, C], within the limits of `ACCURACY`."""
    return np.clip(initial.confidence.astype(np.float64), *ACCURACY)
