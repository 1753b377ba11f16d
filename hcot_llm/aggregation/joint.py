"""HCoT level 5 as inference: the clauses of a tile are weighed together, under the rules of their schema.

Each rule forbids pairs of values. The sum runs over all consistent annotations (`consistent_states`), so a clause
with a clear value makes the consistent values of other clauses more probable: there are no ships without water.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.aggregation.consistent_states import absent_index, parts_by_presence, presences, value_counts
from hcot_llm.schema.annotation_schema import AnnotationSchema

_TINY: Final = 1e-12
_CHUNK: Final = 256  # tiles


@dataclass(frozen=True)
class JointPosterior:
    """Posterior of N tiles.

    Attributes:
        values: Per clause float64 [N, V], posterior of its value; rows sum to one.
        hypothesis: float64 [N, H], posterior of the hypotheses; rows sum to one.
        log_evidence: float64 [N], logarithm of the sum over all consistent annotations and hypotheses, in nats.
    """

    values: list[np.ndarray]
    hypothesis: np.ndarray
    log_evidence: np.ndarray


def weigh_together(
    schema: AnnotationSchema, likelihoods: Sequence[np.ndarray], prior: np.ndarray, class_prior: Sequence[np.ndarray]
) -> JointPosterior:
    """Posterior of every clause's value and of the hypothesis, given all clauses of the tile and the rules.

    Args:
        schema: The schema of the clauses.
        likelihoods: Per clause float [N, H, V], likelihood of each value under each of H hypotheses.
        prior: float [H], prior probability of the hypotheses.
        class_prior: Per clause float [V], how frequent each value is. The clauses of a block are absent together, so
            the prior of an absent block is the mean over its clauses, and not their product.
    """
    patterns, offsets = parts_by_presence(schema), _pattern_offsets(schema, class_prior)
    sizes = value_counts(schema)
    tiles, hypotheses = likelihoods[0].shape[:2]
    values = [np.empty((tiles, array.shape[2])) for array in likelihoods]
    hypothesis, evidence = np.empty((tiles, hypotheses)), np.empty(tiles)
    for start in range(0, tiles, _CHUNK):
        rows = slice(start, start + _CHUNK)
        logs = [np.log(np.maximum(array[rows], _TINY)) for array in likelihoods]
        weights, parts, known = [], [], {}
        alike = _alike(logs)
        for h, (pattern, offset) in itertools.product(range(hypotheses), zip(patterns, offsets, strict=True)):
            total, found = np.log(max(prior[h], _TINY)) + offset, {}
            for part in pattern:
                # Patterns share parts, and a hypothesis says the same as another of most clauses.
                key = part, tuple(alike[column][h] for column in part.members)
                if key not in known:
                    known[key] = part.weigh([each[:, h] for each in logs], sizes)
                log_sum, posterior = known[key]
                total = total + log_sum
                found |= posterior
            weights.append(total)
            parts.append(found)
        largest = np.max(weights, axis=0)
        share = np.exp(np.stack(weights, axis=1) - largest[:, None])
        evidence[rows] = largest + np.log(share.sum(axis=1))
        share /= share.sum(axis=1, keepdims=True)
        hypothesis[rows] = share.reshape(len(share), hypotheses, -1).sum(axis=2)
        for column in range(len(schema)):
            values[column][rows] = sum(share[:, [index]] * found[column] for index, found in enumerate(parts))
    return JointPosterior(values, hypothesis, evidence)


def weigh_said(
    schema: AnnotationSchema, said: Sequence[np.ndarray], class_prior: Sequence[np.ndarray]
) -> JointPosterior:
    """Posterior of every clause's value where there is one hypothesis: what is said of each clause alone.

    Args:
        schema: The schema of the clauses.
        said: Per clause float [N, V].
        class_prior: As of `weigh_together`.
    """
    return weigh_together(schema, [each[:, None, :] for each in said], np.ones(1), class_prior)


def _pattern_offsets(schema: AnnotationSchema, class_prior: Sequence[np.ndarray]) -> list[float]:
    """Per pattern what is added to its log weight, in nats, so that its prior is the product of its blocks' priors."""
    logs = [np.log(np.maximum(array, _TINY)) for array in class_prior]
    offsets = []
    for present, pattern in zip(presences(schema), parts_by_presence(schema), strict=True):
        counted = sum(np.log(part.states(logs).sum()) for part in pattern)
        frequent = 0.0
        for block, there in zip(schema.blocks, present, strict=True):
            absent = np.mean(
                [class_prior[schema.column[clause]][absent_index(schema, clause)] for clause in block.clauses]
            )
            frequent += np.log(np.clip(1 - absent if there else absent, 0.01, 0.99))
        offsets.append(float(frequent - counted))
    return offsets


def _alike(logs: Sequence[np.ndarray]) -> list[list[int]]:
    """Per column, for each hypothesis the first one under which its likelihoods [n, H, V] are the same."""
    return [
        [
            next(first for first in range(h + 1) if np.array_equal(each[:, first], each[:, h]))
            for h in range(each.shape[1])
        ]
        for each in logs
    ]
