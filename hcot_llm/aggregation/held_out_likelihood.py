"""How well an encoder explains seed annotations it has not seen: a measure of a round that needs no truth.

The seed is the truth with errors, so the nearer a model's distribution is to the truth, the more probable it makes the
seed of held-out tiles under "the model's value, corrupted by the seed's errors". It is the likelihood by which
acceptance fits how far to believe a model (hcot_llm/aggregation/label_noise.py).
"""

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.label_noise import TINY
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.posterior import known_accuracy, weigh_clause


def held_out_log_likelihood(
    zero_shot: dict[str, np.ndarray], seed: AnnotationMatrix, config: AcceptanceConfig
) -> float | None:
    """Mean log-likelihood (natural logarithm) of a seed annotation given the encoder; None without tiles.

    Args:
        zero_shot: per clause float [N, V], the encoder's distribution on the tiles of `seed`, which it was not
            trained on.
        seed: the seed annotations of N held-out tiles.
        config: how the seed's errors are estimated.
    """
    if len(seed) == 0:
        return None
    everywhere = np.ones(len(seed), dtype=bool)
    logs = []
    for column, clause in enumerate(seed.schema.names):
        annotated, accuracy = seed.column(clause), known_accuracy(seed)[:, column]
        weighing = weigh_clause([zero_shot[clause]], annotated, accuracy, everywhere, config)
        explained = (weighing.pooled * weighing.noise.likelihood(annotated, accuracy)).sum(axis=1)
        logs.append(np.log(np.maximum(explained, TINY)).mean())
    return float(np.mean(logs))
