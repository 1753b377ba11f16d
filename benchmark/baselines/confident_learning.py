"""The baseline of cleanlab: annotations that confident learning takes for wrong get the model's value.

Northcutt, Jiang, Chuang: "Confident learning: estimating uncertainty in dataset labels", JAIR 70 (2021).
"""

from collections.abc import Mapping

import numpy as np

from corpus.storage.errors import ConfigError
from hcot_llm.aggregation.matrix import AnnotationMatrix


def replace_label_issues(distributions: Mapping[str, np.ndarray], initial: AnnotationMatrix) -> AnnotationMatrix:
    """Replace what cleanlab finds wrong.

    Args:
        distributions: Per clause float [N, V], probabilities of a model, best out of sample.
        initial: The initial annotations of the N tiles.

    Returns:
        The annotations; their confidence is the model's probability of the value.

    Raises:
        ConfigError: cleanlab is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise ConfigError(
            "Rows of kind confident_learning need cleanlab: pip install 'knowlip[baselines]', or leave the rows out "
            "with --rows."
        ) from error
    values, confidence = initial.values.copy(), initial.confidence.copy()
    rows = np.arange(len(initial))
    for column, clause in enumerate(initial.schema.names):
        probability = distributions[clause] / distributions[clause].sum(axis=1, keepdims=True)
        present, labels = np.unique(values[:, column], return_inverse=True)
        if len(present) > 1:
            among = probability[:, present] / np.maximum(probability[:, present].sum(axis=1, keepdims=True), 1e-9)
            wrong = find_label_issues(labels, among, n_jobs=1)
            values[wrong, column] = probability[wrong].argmax(axis=1)
        confidence[:, column] = probability[rows, values[:, column]]
    source = np.full(values.shape, "encoder", dtype=object)
    return AnnotationMatrix(initial.schema, initial.tile_ids, values, confidence.astype(np.float32), source)
