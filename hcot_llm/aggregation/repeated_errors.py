"""Errors of the initial annotations that models repeat, because they follow from the image.

Where errors do not follow from the image, a model agrees with the annotations of tiles that it was not trained on at
most as often as the annotations are right, even if the model is always right. A model that agrees more often has
learned errors. Then its agreement is no evidence: which of the annotations are wrong cannot be told from it.
"""

import logging
from collections.abc import Sequence

import numpy as np

from hcot_llm.aggregation.clause import ClauseFit, ClauseSources
from hcot_llm.aggregation.initial_accuracy import FEWEST_TILES
from hcot_llm.aggregation.label_noise import pool
from hcot_llm.schema.annotation_schema import AnnotationSchema

_CLEARLY = 3.0
"""Standard errors by which the agreement of all clauses together exceeds the accuracy."""
_LESS = -1.0
"""Standard errors by which that of a clause is lower at least where the models count all the same: they err, too."""
_log = logging.getLogger(__name__)


def excess_agreement(held_out: ClauseSources, fit: ClauseFit) -> np.ndarray:
    """How much more often models agree with annotations of a clause than these are right, float [n] in -1..1.

    Args:
        held_out: What is said of n tiles that no model was trained on.
        fit: What was fitted for the clause.
    """
    agrees = pool(held_out.sources, fit.source_weights).argmax(axis=1) == held_out.initial
    return agrees - held_out.accuracy


def clauses_with_repeated_errors(schema: AnnotationSchema, excess: Sequence[np.ndarray]) -> frozenset[str]:
    """Clauses whose wrong annotations the models repeat.

    Args:
        schema: of the clauses.
        excess: Per clause `excess_agreement` of the same tiles; of fewer than FEWEST_TILES nothing is concluded.

    Returns:
        Names of clauses; none where the models agree with the annotations as often as these are right, or less often.
    """
    if len(excess[0]) < FEWEST_TILES or _errors_of_mean(np.sum(excess, axis=0)) < _CLEARLY:
        return frozenset()
    found = frozenset(name for name, each in zip(schema.names, excess, strict=True) if _errors_of_mean(each) > _LESS)
    _log.info("models repeat errors of the annotations in: %s", ", ".join(sorted(found)))
    return found


def _errors_of_mean(values: np.ndarray) -> float:
    """The mean of values in its standard errors."""
    return float(values.mean() / max(values.std() / np.sqrt(len(values)), 1e-9))
