"""HCoT level 5 as inference: the clauses of a tile are weighed together, under the rules of their schema.

Each rule forbids pairs of values. Clauses that describe one thing (a block of the schema: the targets, the buildings)
are absent together. Once it is given which blocks are absent, few clauses depend on one another, so the sum over all
consistent annotations is exact and cheap. Rules of three clauses and more are left to level 5's corrections. A clause
with a clear value makes the consistent values of other clauses more probable: there are no ships without water.
"""

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError

_TINY: Final = 1e-12
_CHUNK: Final = 256  # tiles
MOST_STATES: Final = 200_000
"""Limit of the number of joint states of clauses that depend on one another; the sum runs over them for every tile."""


@dataclass(frozen=True)
class _Part:
    """Clauses that depend on one another.

    Attributes:
        members: Columns of the clauses.
        indicator: float64 [sum of the clauses' V, states], 1 where a consistent state has a value.
    """

    members: tuple[int, ...]
    indicator: np.ndarray


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
    patterns, offsets = _patterns(schema), _pattern_offsets(schema, class_prior)
    sizes = _sizes(schema)
    tiles, hypotheses = likelihoods[0].shape[:2]
    values = [np.empty((tiles, array.shape[2])) for array in likelihoods]
    hypothesis, evidence = np.empty((tiles, hypotheses)), np.empty(tiles)
    for start in range(0, tiles, _CHUNK):
        rows = slice(start, start + _CHUNK)
        logs = [np.log(np.maximum(array[rows], _TINY)) for array in likelihoods]
        weights, parts = [], []
        for h, (pattern, offset) in itertools.product(range(hypotheses), zip(patterns, offsets, strict=True)):
            total, found = np.log(max(prior[h], _TINY)) + offset, {}
            for part in pattern:
                scores = np.concatenate([logs[column][:, h] for column in part.members], axis=1) @ part.indicator
                top = scores.max(axis=1, keepdims=True)
                states = np.exp(scores - top)
                sums = states.sum(axis=1, keepdims=True)
                total = total + (top + np.log(sums))[:, 0]
                found[part.members] = (states / sums) @ part.indicator.T
            weights.append(total)
            parts.append(found)
        largest = np.max(weights, axis=0)
        share = np.exp(np.stack(weights, axis=1) - largest[:, None])
        evidence[rows] = largest + np.log(share.sum(axis=1))
        share /= share.sum(axis=1, keepdims=True)
        hypothesis[rows] = share.reshape(len(share), hypotheses, -1).sum(axis=2)
        for column in range(len(schema)):
            values[column][rows] = sum(
                share[:, [index]] * _of(found, column, sizes) for index, found in enumerate(parts)
            )
    return JointPosterior(values, hypothesis, evidence)


def _pattern_offsets(schema: AnnotationSchema, class_prior: Sequence[np.ndarray]) -> list[float]:
    """Per pattern what is added to its log weight, in nats, so that its prior is the product of its blocks' priors."""
    logs = [np.log(np.maximum(array, _TINY)) for array in class_prior]
    offsets = []
    for present, pattern in zip(_presences(schema), _patterns(schema), strict=True):
        counted = sum(
            np.log(np.exp(np.concatenate([logs[column] for column in part.members]) @ part.indicator).sum())
            for part in pattern
        )
        frequent = 0.0
        for block, there in zip(schema.blocks, present, strict=True):
            absent = np.mean([class_prior[schema.column[clause]][_absent(schema, clause)] for clause in block.clauses])
            frequent += np.log(np.clip(1 - absent if there else absent, 0.01, 0.99))
        offsets.append(float(frequent - counted))
    return offsets


def _absent(schema: AnnotationSchema, clause: str) -> int:
    """The index of the value by which a clause of a block is absent."""
    return schema.value_index[clause][schema.absence[clause]]


def _sizes(schema: AnnotationSchema) -> list[int]:
    """Number of values of each clause."""
    return [len(values) for values in schema.vocabulary.values()]


def _of(found: dict[tuple[int, ...], np.ndarray], column: int, sizes: Sequence[int]) -> np.ndarray:
    """The columns of one clause in the marginals of the part that holds it."""
    members = next(members for members in found if column in members)
    start = sum(sizes[member] for member in members[: members.index(column)])
    return found[members][:, start : start + sizes[column]]


def _presences(schema: AnnotationSchema) -> list[tuple[bool, ...]]:
    """Every combination of present (True) and absent (False) blocks."""
    return list(itertools.product((False, True), repeat=len(schema.blocks)))


def check_cost(schema: AnnotationSchema) -> None:
    """Check that the clauses of a schema can be weighed together.

    Raises:
        SchemaError: Clauses that depend on one another have more than MOST_STATES joint states; the message names
            the clauses.
    """
    _patterns(schema)


@functools.lru_cache(maxsize=8)
def _patterns(schema: AnnotationSchema) -> tuple[tuple[_Part, ...], ...]:
    """For each combination of present and absent blocks, the clauses in independent parts."""
    forbidden = {}
    for (i, a), (j, b) in itertools.combinations(enumerate(schema.names), 2):
        forbidden[i, j] = np.asarray(
            [
                [bool(contradictions(schema, {a: first, b: second})) for second in schema.vocabulary[b]]
                for first in schema.vocabulary[a]
            ]
        )
    return tuple(
        tuple(_parts(schema, [_allowed(schema, clause, present) for clause in schema.names], forbidden))
        for present in _presences(schema)
    )


def _allowed(schema: AnnotationSchema, clause: str, present: Sequence[bool]) -> list[int]:
    """Indices of the values that a clause can have, given which blocks are present."""
    values = range(len(schema.vocabulary[clause]))
    for block, there in zip(schema.blocks, present, strict=True):
        if clause in block.clauses:
            return [index for index in values if (index == _absent(schema, clause)) != there]
    return list(values)


def _parts(
    schema: AnnotationSchema, allowed: list[list[int]], forbidden: dict[tuple[int, int], np.ndarray]
) -> Iterator[_Part]:
    """Groups of clauses that depend on one another, each with its consistent states."""
    open_columns = set(range(len(allowed)))
    linked = [pair for pair, table in forbidden.items() if table[np.ix_(allowed[pair[0]], allowed[pair[1]])].any()]
    while open_columns:
        members = {min(open_columns)}
        while grown := {column for pair in linked if members & set(pair) for column in pair} - members:
            members |= grown
        open_columns -= members
        yield _part(schema, tuple(sorted(members)), allowed, forbidden)


def _part(
    schema: AnnotationSchema,
    members: tuple[int, ...],
    allowed: list[list[int]],
    forbidden: dict[tuple[int, int], np.ndarray],
) -> _Part:
    if (states_in_all := math.prod(len(allowed[column]) for column in members)) > MOST_STATES:
        raise SchemaError(
            f"The rules of schema {schema.label} tie {', '.join(schema.names[column] for column in members)} together "
            f"in {states_in_all:,} ways, and at most {MOST_STATES:,} can be weighed: take some of the rules away, "
            "shorten the vocabularies, or put clauses that are absent together into a block."
        )
    states = np.asarray(list(itertools.product(*(allowed[column] for column in members))))
    consistent = np.ones(len(states), dtype=bool)
    for (x, i), (y, j) in itertools.combinations(enumerate(members), 2):
        consistent &= ~forbidden[i, j][states[:, x], states[:, y]]
    states = states[consistent]
    return _Part(
        members,
        np.concatenate(
            [np.eye(size)[states[:, x]] for x, size in enumerate(_sizes(schema)[column] for column in members)], axis=1
        ).T,
    )
