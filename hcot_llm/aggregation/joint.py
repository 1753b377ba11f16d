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
from typing import Any, Final

import numpy as np

from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError

_TINY: Final = 1e-12
_CHUNK: Final = 256  # tiles
_MOST_WAYS: Final = 256
_STATE_COST: Final = 40  # of a state of a half, in pairs of states: an exponential, and a product for each value
MOST_STATES: Final = 200_000
"""Limit of the number of joint states of clauses that depend on one another; the sum runs over them for every tile."""


@dataclass(frozen=True)
class _Half:
    """Some clauses of a part.

    Attributes:
        members: Columns of the clauses.
        indicator: float64 [sum of the clauses' V, states], 1 where a state of these clauses has a value.
    """

    members: tuple[int, ...]
    indicator: np.ndarray

    def weights(self, logs: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """The states' weights relative to the largest, float64 [n, states], and its logarithm, [n, 1]."""
        nothing = np.zeros((len(logs[0]), 0))
        scores = np.concatenate([nothing, *(logs[column] for column in self.members)], axis=1) @ self.indicator
        top = scores.max(axis=1, keepdims=True)
        return np.exp(scores - top), top


@dataclass(frozen=True, eq=False)
class _Part:
    """Clauses that depend on one another, in two halves.

    A consistent state of the part is a pair of states of its halves. There are few of those, and many pairs.

    Attributes:
        halves: The clauses; the second half may be empty, and then has one state.
        compatible: float64 [states of the first half, states of the second], 1 where the pair is consistent.
    """

    halves: tuple[_Half, _Half]
    compatible: np.ndarray

    @property
    def members(self) -> tuple[int, ...]:
        """Columns of the clauses."""
        return self.halves[0].members + self.halves[1].members

    def weigh(self, logs: Sequence[np.ndarray], sizes: Sequence[int]) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Sum over the consistent states of n tiles.

        Args:
            logs: Per column of the schema float64 [n, V], logarithm of the likelihood of each value.
            sizes: Number of values of each column.

        Returns:
            The logarithm of the sum, float64 [n], and by column the posterior of its value, float64 [n, V].
        """
        (first, top), (second, other_top) = (half.weights(logs) for half in self.halves)
        of_second = first @ self.compatible  # of each state of the second half the weight of what goes with it
        total = (of_second * second).sum(axis=1, keepdims=True)
        posteriors = first * (second @ self.compatible.T) / total, second * of_second / total
        found = {}
        for half, posterior in zip(self.halves, posteriors, strict=True):
            marginals, start = posterior @ half.indicator.T, 0
            for column in half.members:
                found[column] = marginals[:, start : start + sizes[column]]
                start += sizes[column]
        return (top + other_top + np.log(total))[:, 0], found

    def states(self, logs: Sequence[np.ndarray]) -> np.ndarray:
        """The weight of every consistent state, float64 [states], given the logarithm [V] of each column's values."""
        first, second = (
            np.exp(np.concatenate([logs[column] for column in half.members] or [np.zeros(0)]) @ half.indicator)
            for half in self.halves
        )
        return (first[:, None] * second)[self.compatible > 0]


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
    for present, pattern in zip(_presences(schema), _patterns(schema), strict=True):
        counted = sum(np.log(part.states(logs).sum()) for part in pattern)
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


def _alike(logs: Sequence[np.ndarray]) -> list[list[int]]:
    """Per column, for each hypothesis the first one under which its likelihoods [n, H, V] are the same."""
    return [
        [
            next(first for first in range(h + 1) if np.array_equal(each[:, first], each[:, h]))
            for h in range(each.shape[1])
        ]
        for each in logs
    ]


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
    made: dict[Any, _Part] = {}

    def parts(present: Sequence[bool]) -> Iterator[_Part]:
        allowed = [_allowed(schema, clause, present) for clause in schema.names]
        for members in _groups(allowed, forbidden):
            key = tuple((column, *allowed[column]) for column in members)
            if key not in made:
                made[key] = _part(schema, members, allowed, forbidden)
            yield made[key]

    return tuple(tuple(parts(present)) for present in _presences(schema))


def _allowed(schema: AnnotationSchema, clause: str, present: Sequence[bool]) -> list[int]:
    """Indices of the values that a clause can have, given which blocks are present."""
    values = range(len(schema.vocabulary[clause]))
    for block, there in zip(schema.blocks, present, strict=True):
        if clause in block.clauses:
            return [index for index in values if (index == _absent(schema, clause)) != there]
    return list(values)


def _groups(allowed: list[list[int]], forbidden: dict[tuple[int, int], np.ndarray]) -> Iterator[tuple[int, ...]]:
    """Columns of the clauses that depend on one another."""
    open_columns = set(range(len(allowed)))
    linked = [pair for pair, table in forbidden.items() if table[np.ix_(allowed[pair[0]], allowed[pair[1]])].any()]
    while open_columns:
        members = {min(open_columns)}
        while grown := {column for pair in linked if members & set(pair) for column in pair} - members:
            members |= grown
        open_columns -= members
        yield tuple(sorted(members))


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
    _, first, second = min((_halved(states, inside) for inside in _ways_to_halve(len(members))), key=lambda way: way[0])
    sizes = _sizes(schema)
    compatible = np.zeros((len(first.states), len(second.states)))
    compatible[first.of_state, second.of_state] = 1
    return _Part((first.half(members, sizes), second.half(members, sizes)), compatible)


@dataclass(frozen=True)
class _Projection:
    """Consistent states of a part, as some of its clauses see them.

    Attributes:
        places: Places of the clauses among the part's.
        states: int [states, places], the different ones.
        of_state: int [states of the part], which of them each state of the part is.
    """

    places: tuple[int, ...]
    states: np.ndarray
    of_state: np.ndarray

    @staticmethod
    def of(states: np.ndarray, places: Sequence[int]) -> "_Projection":
        code = np.zeros(len(states), np.int64)
        for place in places:
            code = code * (states[:, place].max() + 1) + states[:, place]
        _, example, of_state = np.unique(code, return_index=True, return_inverse=True)
        return _Projection(tuple(places), states[example][:, list(places)], of_state)

    def half(self, members: Sequence[int], sizes: Sequence[int]) -> _Half:
        columns = tuple(members[place] for place in self.places)
        shown = [np.eye(sizes[column])[self.states[:, x]] for x, column in enumerate(columns)]
        return _Half(columns, np.concatenate([np.zeros((len(self.states), 0)), *shown], axis=1).T)


def _ways_to_halve(clauses: int) -> Iterator[tuple[int, ...]]:
    """Places of the clauses of the first half, which has the first clause; at most _MOST_WAYS."""
    others = range(1, clauses)
    ways = ((0, *more) for count in range(clauses) for more in itertools.combinations(others, count))
    return itertools.islice(ways, _MOST_WAYS)


def _halved(states: np.ndarray, inside: Sequence[int]) -> tuple[int, _Projection, _Projection]:
    """The halves, after a measure of what a tile costs with them."""
    first = _Projection.of(states, inside)
    second = _Projection.of(states, [place for place in range(states.shape[1]) if place not in inside])
    of_halves = sum(_STATE_COST * len(half.states) for half in (first, second))
    return len(first.states) * len(second.states) + of_halves, first, second
