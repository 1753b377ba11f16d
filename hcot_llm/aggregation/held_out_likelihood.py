"""Held-out likelihood: how probable an encoder makes initial annotations that it was not trained on.

It measures a round without truth. The initial annotations are the truth with errors. The nearer a model's distribution
is to the truth, the more probable are the initial annotations of held-out tiles under "the model's value, corrupted by
the errors of the initial annotations". Source weights are fitted by the same likelihood
(hcot_llm/aggregation/label_noise.py).
"""

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.clause import ClauseSources, weigh_clause
from hcot_llm.aggregation.initial_accuracy import known_accuracy
from hcot_llm.aggregation.label_noise import TINY
from hcot_llm.aggregation.matrix import AnnotationMatrix


def held_out_log_likelihood(
    zero_shot: dict[str, np.ndarray], initial: AnnotationMatrix, config: AcceptanceConfig
) -> float | None:
    """Mean log-likelihood of an initial annotation given the encoder.

    Args:
        zero_shot: Per clause float [N, V], the encoder's distribution on the tiles of `initial`, which the encoder was
            not trained on.
        initial: The initial annotations of N held-out tiles, with their known accuracy as confidence.
        config: How the errors of the initial annotations are estimated.

    Returns:
        The mean over tiles and clauses, in nats; None without tiles.
    """
    if len(initial) == 0:
        return None
    everywhere = np.ones(len(initial), dtype=bool)
    logs, accuracies = [], known_accuracy(initial)
    for column, clause in enumerate(initial.schema.names):
        annotated, accuracy = initial.column(clause), accuracies[:, column]
        sources = ClauseSources([zero_shot[clause]], annotated, accuracy)
        weighing = weigh_clause(sources, everywhere, config.noise_pseudo_count)
        annotation_likelihood = (weighing.pooled * weighing.noise.likelihood(annotated, accuracy)).sum(axis=1)
        logs.append(np.log(np.maximum(annotation_likelihood, TINY)).mean())
    return float(np.mean(logs))
