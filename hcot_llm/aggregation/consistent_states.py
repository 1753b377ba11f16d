"""The consistent annotations of a schema: which values its clauses can have together.

Clauses that describe one thing (a block of the schema: the targets, the buildings) are absent together. Once it is
given which blocks are absent, few clauses depend on one another, so a sum over all consistent annotations is exact and
cheap. Rules of three clauses and more are left to level 5's corrections.
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

_MOST_WAYS: Final = 256
_STATE_COST: Final = 40  # of a state of a half, in pairs of states: an exponential, and a product for each value
MOST_STATES: Final = 200_000
"""Limit of the number of joint states of clauses that depend on one another; the sum runs over them for every tile."""


@dataclass(frozen=True)
class Half:
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
class Part:
    """Clauses that depend on one another, in two halves.

    A consistent state of the part is a pair of states of its halves. There are few of those, and many pairs.

    Attributes:
        halves: The clauses; the second half may be empty, and then has one state.
        compatible: float64 [states of the first half, states of the second], 1 where the pair is consistent.
    """

    halves: tuple[Half, Half]
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


def absent_index(schema: AnnotationSchema, clause: str) -> int:
    """The index of the value by which a clause of a block is absent."""
    return schema.value_index[clause][schema.absence[clause]]


def value_counts(schema: AnnotationSchema) -> list[int]:
    """Number of values of each clause."""
    return [len(values) for values in schema.vocabulary.values()]


def presences(schema: AnnotationSchema) -> list[tuple[bool, ...]]:
    """Every combination of present (True) and absent (False) blocks."""
    return list(itertools.product((False, True), repeat=len(schema.blocks)))


def check_cost(schema: AnnotationSchema) -> None:
    """Check that the clauses of a schema can be weighed together.

    Raises:
        SchemaError: Clauses that depend on one another have more than MOST_STATES joint states; the message names
            the clauses.
    """
    parts_by_presence(schema)


@functools.lru_cache(maxsize=8)
def parts_by_presence(schema: AnnotationSchema) -> tuple[tuple[Part, ...], ...]:
    """For each of `presences`, the clauses in parts that do not depend on one another."""
    forbidden = {}
    for (i, a), (j, b) in itertools.combinations(enumerate(schema.names), 2):
        forbidden[i, j] = np.asarray(
            [
                [bool(contradictions(schema, {a: first, b: second})) for second in schema.vocabulary[b]]
                for first in schema.vocabulary[a]
            ]
        )
    made: dict[Any, Part] = {}

    def parts(present: Sequence[bool]) -> Iterator[Part]:
        allowed = [_allowed(schema, clause, present) for clause in schema.names]
        for members in _groups(allowed, forbidden):
            key = tuple((column, *allowed[column]) for column in members)
            if key not in made:
                made[key] = _part(schema, members, allowed, forbidden)
            yield made[key]

    return tuple(tuple(parts(present)) for present in presences(schema))


def _allowed(schema: AnnotationSchema, clause: str, present: Sequence[bool]) -> list[int]:
    """Indices of the values that a clause can have, given which blocks are present."""
    values = range(len(schema.vocabulary[clause]))
    for block, there in zip(schema.blocks, present, strict=True):
        if clause in block.clauses:
            return [index for index in values if (index == absent_index(schema, clause)) != there]
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
) -> Part:
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
    sizes = value_counts(schema)
    compatible = np.zeros((len(first.states), len(second.states)))
    compatible[first.of_state, second.of_state] = 1
    return Part((first.half(members, sizes), second.half(members, sizes)), compatible)


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

    def half(self, members: Sequence[int], sizes: Sequence[int]) -> Half:
        columns = tuple(members[place] for place in self.places)
        shown = [np.eye(sizes[column])[self.states[:, x]] for x, column in enumerate(columns)]
        return Half(columns, np.concatenate([np.zeros((len(self.states), 0)), *shown], axis=1).T)


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
