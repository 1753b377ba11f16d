"""How an initial annotation can be wrong as a whole, and what it says of each clause then.

A block of clauses can be invented or missed (the targets), or the annotation is another tile's.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from hcot_llm.schema.annotation_schema import AnnotationSchema

# Expected share of initial annotations that are wrong as a whole, in each way; the shares themselves are estimated.
_WRONG_SHARE: Final = 0.05
ACCURACY: Final = (0.05, 0.99)
"""Limits of the accuracy of an annotation."""


def ways_to_be_wrong(schema: AnnotationSchema) -> tuple[str, ...]:
    """Names of the ways in which an initial annotation can be wrong as a whole.

    Returns:
        The blocks that can be invented or missed, then "tile": the annotation is another tile's.
    """
    return (*(block.name for block in schema.whole_blocks), "tile")


def expected_hypotheses(schema: AnnotationSchema) -> np.ndarray:
    """Prior of the hypotheses, float64 [H]: the initial annotation is sound, then each way to be wrong as a whole."""
    wrong = len(ways_to_be_wrong(schema))
    return np.asarray([1 - _WRONG_SHARE * wrong, *[_WRONG_SHARE] * wrong])


def uninformative(schema: AnnotationSchema) -> dict[str, list[int]]:
    """Per clause the hypotheses (0: sound) under which the initial annotation says nothing about it."""
    last = len(ways_to_be_wrong(schema))
    return {
        clause: [*(index for index, block in enumerate(schema.whole_blocks, 1) if clause in block.clauses), last]
        for clause in schema.names
    }


def by_hypothesis(
    says_nothing: Sequence[int], hypotheses: int, model: np.ndarray, sound: np.ndarray, frequency: np.ndarray
) -> np.ndarray:
    """Likelihood of each value under each hypothesis.

    An annotation that is wrong as a whole has the distribution of a sound annotation of any other tile. The frequency
    of the initial value is not used for it: where initial annotations are nearly the same on all tiles, and have fewer
    errors than their known accuracy says, every tile would be found to carry another tile's annotation.

    Args:
        says_nothing: Hypotheses under which the initial annotation says nothing about the clause.
        hypotheses: Number of hypotheses, H.
        model: float [n, V], the pooled models.
        sound: float [n, V], p(initial annotation | each true value) for a sound annotation.
        frequency: float [V], the mean of the pooled models over all tiles.

    Returns:
        float [n, H, V].
    """
    elsewhere = np.broadcast_to((sound @ frequency)[:, None], sound.shape)
    return model[:, None, :] * np.stack(
        [elsewhere if hypothesis in says_nothing else sound for hypothesis in range(hypotheses)], 1
    )


def where_sound(accuracy: np.ndarray, share: float, by_chance: float) -> np.ndarray:
    """Accuracy of the initial annotations that are not wrong as a whole, float [n].

    Args:
        accuracy: float [n], known accuracy, which counts annotations that are wrong as a whole too.
        share: of annotations that are wrong as a whole in this clause.
        by_chance: share of those whose value is right all the same.
    """
    return np.clip((accuracy - share * by_chance) / max(1 - share, 1e-9), *ACCURACY)
