"""HCoT level 5 as inference: the clauses of a tile are weighed together, under the rules of consistency.py.

Each rule forbids pairs of values. Clauses that describe one thing (the targets, the buildings) are absent together;
given what is there and what is not, few clauses still depend on one another, so the sum over all consistent annotations
is exact and cheap. What one clause is sure of thereby speaks for the others: no ships without water.
"""

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.schema.clauses import ABSENT, CLAUSES, NO_TARGETS, TARGET_CLAUSES, VOCABULARY, Clause

# Clauses that are absent together, because the rules say so.
BLOCKS: Final = (TARGET_CLAUSES, (Clause.DISTRIBUTION, Clause.LAYOUT, Clause.BUILDING))
_TINY: Final = 1e-12
_CHUNK: Final = 256  # tiles


@dataclass(frozen=True)
class _Part:
    """Clauses that depend on one another. members: their columns. indicator: float64 [sum of their V, states], 1 where a
    consistent state has a value.
    """

    members: tuple[int, ...]
    indicator: np.ndarray


@dataclass(frozen=True)
class JointPosterior:
    """Of N tiles. values: per clause float64 [N, V]; hypothesis: float64 [N, H]; rows sum to one.

    log_evidence: float64 [N], logarithm of the sum over all consistent annotations and hypotheses.
    """

    values: list[np.ndarray]
    hypothesis: np.ndarray
    log_evidence: np.ndarray


def weigh_together(likelihoods: Sequence[np.ndarray], prior: np.ndarray, usual: Sequence[np.ndarray]) -> JointPosterior:
    """Posterior of every clause's value and of the hypothesis, given all clauses of the tile and the rules.

    Args:
        likelihoods: per clause float [N, H, V], evidence for each value under each of H hypotheses.
        prior: float [H], of the hypotheses.
        usual: per clause float [V], how frequent each value is. Clauses that are absent together would be counted as if
            each were absent by itself; what is usual of the block takes the place of their product.
    """
    offsets = _pattern_offsets(usual)
    tiles, hypotheses = likelihoods[0].shape[:2]
    values = [np.empty((tiles, array.shape[2])) for array in likelihoods]
    hypothesis, evidence = np.empty((tiles, hypotheses)), np.empty(tiles)
    for start in range(0, tiles, _CHUNK):
        rows = slice(start, start + _CHUNK)
        logs = [np.log(np.maximum(array[rows], _TINY)) for array in likelihoods]
        weights, parts = [], []
        for h, (pattern, offset) in itertools.product(range(hypotheses), zip(_patterns(), offsets, strict=True)):
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
        for column in range(len(CLAUSES)):
            values[column][rows] = sum(share[:, [index]] * _of(found, column) for index, found in enumerate(parts))
    return JointPosterior(values, hypothesis, evidence)


def _pattern_offsets(usual: Sequence[np.ndarray]) -> list[float]:
    """What each pattern's logarithmic weight lacks to be as frequent as its blocks are, when nothing else is known."""
    logs = [np.log(np.maximum(array, _TINY)) for array in usual]
    offsets = []
    for present, pattern in zip(itertools.product((False, True), repeat=len(BLOCKS)), _patterns(), strict=True):
        counted = sum(
            np.log(np.exp(np.concatenate([logs[column] for column in part.members]) @ part.indicator).sum())
            for part in pattern
        )
        frequent = 0.0
        for block, there in zip(BLOCKS, present, strict=True):
            absent = np.mean([usual[CLAUSES.index(clause)][_absent(clause)] for clause in block])
            frequent += np.log(np.clip(1 - absent if there else absent, 0.01, 0.99))
        offsets.append(float(frequent - counted))
    return offsets


def _absent(clause: Clause) -> int:
    """The index of the value by which a clause of a block is absent."""
    return VOCABULARY[clause].index(NO_TARGETS.get(clause, ABSENT))


def _of(found: dict[tuple[int, ...], np.ndarray], column: int) -> np.ndarray:
    """The columns of one clause in the marginals of the part that holds it."""
    members = next(members for members in found if column in members)
    start = sum(len(VOCABULARY[CLAUSES[member]]) for member in members[: members.index(column)])
    return found[members][:, start : start + len(VOCABULARY[CLAUSES[column]])]


@functools.cache
def _patterns() -> tuple[tuple[_Part, ...], ...]:
    """For each choice of which blocks are there, the clauses in independent parts."""
    forbidden = {}
    for (i, a), (j, b) in itertools.combinations(enumerate(CLAUSES), 2):
        forbidden[i, j] = np.asarray(
            [[bool(contradictions({a: first, b: second})) for second in VOCABULARY[b]] for first in VOCABULARY[a]]
        )
    return tuple(
        tuple(_parts([_allowed(clause, present) for clause in CLAUSES], forbidden))
        for present in itertools.product((False, True), repeat=len(BLOCKS))
    )


def _allowed(clause: Clause, present: Sequence[bool]) -> list[int]:
    """Indices of the values that a clause can have when its block is there or not."""
    for block, there in zip(BLOCKS, present, strict=True):
        if clause in block:
            return [index for index in range(len(VOCABULARY[clause])) if (index == _absent(clause)) != there]
    return list(range(len(VOCABULARY[clause])))


def _parts(allowed: list[list[int]], forbidden: dict[tuple[int, int], np.ndarray]):
    """Connected clauses, and their consistent states."""
    open_columns = set(range(len(allowed)))
    linked = [pair for pair, table in forbidden.items() if table[np.ix_(allowed[pair[0]], allowed[pair[1]])].any()]
    while open_columns:
        members = {min(open_columns)}
        while grown := {column for pair in linked if members & set(pair) for column in pair} - members:
            members |= grown
        open_columns -= members
        yield _part(tuple(sorted(members)), allowed, forbidden)


def _part(members: tuple[int, ...], allowed: list[list[int]], forbidden: dict[tuple[int, int], np.ndarray]) -> _Part:
    states = np.asarray(list(itertools.product(*(allowed[column] for column in members))))
    consistent = np.ones(len(states), dtype=bool)
    for (x, i), (y, j) in itertools.combinations(enumerate(members), 2):
        consistent &= ~forbidden[i, j][states[:, x], states[:, y]]
    states = states[consistent]
    return _Part(
        members,
        np.concatenate(
            [np.eye(len(VOCABULARY[CLAUSES[column]]))[states[:, x]] for x, column in enumerate(members)], axis=1
        ).T,
    )
