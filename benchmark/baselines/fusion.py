"""The baseline that the loop has to beat: one crude fusion of a trained model with the initial annotations.

The model was trained on the errors of the initial annotations, so its posterior is that of the annotation and not of
the truth. The confidence of the initial annotations says how many errors there are. Their confusion is estimated from
the model's confident disagreements (confident learning: Northcutt et al., 2021). The errors are undone in the
posterior, and the initial annotation is weighed in. Nothing is fitted on held-out tiles, and no captioner is used.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import nnls

from hcot_llm.aggregation.label_noise import NoiseModel, fuse, normalise
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema


def confident_noise(
    posterior: np.ndarray, initial: np.ndarray, accuracy: float, pseudo_count: float = 10.0
) -> NoiseModel:
    """Errors of the initial annotations, with the confusion of the tiles where the model is confident.

    A tile counts as truly v where the model's probability of v is at least its average over the tiles annotated v;
    of several such values the most probable. As in `noise_of` the number of errors is known and not estimated: a
    weak model's own errors would count as errors of the annotations.

    Args:
        posterior: float [N, V], probability of each annotation.
        initial: int [N], indices of the initial values.
        accuracy: Share of right initial annotations in 0..1, the same for every true value.
        pseudo_count: Clauses per true value that evenly distributed errors are worth.
    """
    values = posterior.shape[1]
    annotated = np.eye(values)[initial]
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
    """Posterior of the truth whose corruption comes nearest to the posterior of the annotation.

    Args:
        posterior: float [N, V], probability of each annotation.
        confusion: float64 [V, V], probability of each annotation, rows true, columns annotated.

    Returns:
        float [N, V]; rows sum to one.
    """
    return normalise(np.stack([nnls(confusion.T, row)[0] for row in posterior]))


def fuse_with_initial(zero_shot: Mapping[str, np.ndarray], initial: AnnotationMatrix) -> AnnotationMatrix:
    """The most probable value of every clause, and its probability as confidence.

    Args:
        zero_shot: Per clause float [N, V], the encoder's distribution on the tiles of `initial`.
        initial: The initial annotations.
    """
    fused = {}
    for column, clause in enumerate(initial.schema.names):
        annotated = initial.column(clause)
        noise = confident_noise(zero_shot[clause], annotated, float(initial.confidence[:, column].mean()))
        fused[clause] = fuse(undo_noise(zero_shot[clause], noise.confusion), noise.likelihood(annotated))
    return most_probable(initial.schema, fused, initial.tile_ids, source="fused")


def most_probable(
    schema: AnnotationSchema,
    distributions: Mapping[str, np.ndarray],
    tile_ids: Sequence[str],
    source: str = "encoder",
) -> AnnotationMatrix:
    """The most probable value of every clause, and its probability as confidence.

    Args:
        schema: The schema of the clauses.
        distributions: Per clause float [N, V], probability of each value.
        tile_ids: Ids of the N tiles.
        source: The source that the annotations name.
    """
    columns = [distributions[clause] for clause in schema.names]
    values = np.stack([column.argmax(axis=1) for column in columns], axis=1)
    confidence = np.stack([column.max(axis=1) for column in columns], axis=1).astype(np.float32)
    return AnnotationMatrix(schema, tuple(tile_ids), values, confidence, np.full(values.shape, source, dtype=object))
