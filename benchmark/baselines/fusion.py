"""The baseline that the loop has to beat: one crude fusion of a trained model with the seed, without rounds.

The model was trained on the seed's errors, so its posterior is of the annotation and not of the truth. How many errors
there are the seed says; how they are spread is estimated from the model's confident disagreements (confident learning:
Northcutt et al., 2021). They are undone in the posterior, and the seed is weighed in as evidence. Nothing is fitted on
tiles apart, and no captioner takes part.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from hcot_llm.aggregation.label_noise import NoiseModel, fuse, normalise
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema


def confident_noise(posterior: np.ndarray, seed: np.ndarray, accuracy: float, pseudo_count: float = 10.0) -> NoiseModel:
    """Errors of the seed, spread as they are where the model is confident.

    A tile counts as truly v where the model's probability of v is at least its average over the tiles annotated v;
    of several such values the most probable. As in `estimate_noise` the number of errors is known and not estimated: a
    weak model's own errors would count as the seed's.

    Args:
        posterior: probability of the annotation, float [N, V].
        seed: value indices of the initial annotations, int [N].
        accuracy: what the initial annotations say of themselves, whatever the true value.
        pseudo_count: clauses per true value that an even spread of errors is worth.
    """
    values = posterior.shape[1]
    annotated = np.eye(values)[seed]
    threshold = np.where(
        annotated.any(axis=0), (posterior * annotated).sum(axis=0) / np.maximum(annotated.sum(axis=0), 1), 1.0
    )
    likely = np.where(posterior >= threshold, posterior, 0.0)
    confident = likely.any(axis=1)
    counts = np.eye(values)[likely.argmax(axis=1)][confident].T @ annotated[confident]
    errors = counts + pseudo_count * NoiseModel.even(accuracy, values).confusion
    np.fill_diagonal(errors, 0.0)
    return NoiseModel(accuracy, normalise(errors))


def undo_noise(posterior: np.ndarray, confusion: np.ndarray) -> np.ndarray:
    """Posterior of the truth, float [N, V], whose corruption comes nearest to the posterior of the annotation.

    Args:
        posterior: probability of the annotation, float [N, V].
        confusion: float64 [V, V], probability of each annotation, rows true, columns annotated.
    """
    return normalise(np.stack([nnls(confusion.T, row)[0] for row in posterior]))


def fuse_with_seed(zero_shot: Mapping[str, np.ndarray], seed: AnnotationMatrix) -> AnnotationMatrix:
    """The most probable value of every clause, and its probability as confidence.

    Args:
        zero_shot: per clause float [N, V], the encoder's distribution on the tiles of `seed`.
        seed: the initial annotations.
    """
    fused = {}
    for column, clause in enumerate(seed.schema.names):
        annotated = seed.column(clause)
        noise = confident_noise(zero_shot[clause], annotated, float(seed.confidence[:, column].mean()))
        fused[clause] = fuse(undo_noise(zero_shot[clause], noise.confusion), noise.likelihood(annotated))
    return most_probable(seed.schema, fused, seed.tile_ids, source="fused")


def most_probable(
    schema: AnnotationSchema,
    distributions: Mapping[str, np.ndarray],
    tile_ids: Sequence[str],
    source: str = "encoder",
) -> AnnotationMatrix:
    """The most probable value of every clause, and its probability as confidence; distributions: float [N, V] each."""
    columns = [distributions[clause] for clause in schema.names]
    values = np.stack([column.argmax(axis=1) for column in columns], axis=1)
    confidence = np.stack([column.max(axis=1) for column in columns], axis=1).astype(np.float32)
    return AnnotationMatrix(schema, tuple(tile_ids), values, confidence, np.full(values.shape, source, dtype=object))
