"""Which questions are worth a person's time: how many clauses an answer is expected to correct, here and elsewhere.

An answer corrects its own clause, with the probability that its value is wrong. Through the rules it speaks for the
other clauses of the tile: each possible answer is tried, and weighed by how probable it is. And what it says of a
confusion (this initial value where the encoder holds that one) speaks for the other tiles with the same confusion, the
less so the more of them were answered already: so questions differ.
"""

import heapq
from collections import Counter
from dataclasses import dataclass
from typing import Final

import numpy as np

from hcot_llm.aggregation.joint import weigh_said
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.state.evidence import Evidence

_TRIED: Final = 400
"""Tiles of which all answers are tried, those with most doubt; the others count with their own doubt alone."""
_LEAST: Final = 0.02
"""Answers less probable than this are not tried."""
_PSEUDO_COUNT: Final = 10.0
"""Answers about a confusion that what is known of it without people counts as."""


@dataclass(frozen=True)
class Usefulness:
    """Expected corrections by an answer to each question, float [N, C] each.

    own: of the clause itself. through_rules: of the tile's other clauses. elsewhere: of other tiles. confusion: int
    [N, C], the confusion that each clause of each tile belongs to; equal numbers are one.
    """

    own: np.ndarray
    through_rules: np.ndarray
    elsewhere: np.ndarray
    confusion: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """All of it."""
        return self.own + self.through_rules + self.elsewhere


@dataclass(frozen=True)
class _Cells:
    """The confusion that each clause of each tile belongs to, int [N, C]; equal numbers are one confusion."""

    number: np.ndarray
    doubt: np.ndarray
    size: np.ndarray


def usefulness(evidence: Evidence, state: AnnotationMatrix, initial: AnnotationMatrix) -> Usefulness:
    """Expected corrections by an answer about any clause of any tile.

    Args:
        evidence: of the last round.
        state: the annotations after it.
        initial: the initial annotations.
    """
    rows = np.arange(len(state))
    posterior = evidence.distributions["posterior"]
    own = np.stack(
        [1 - posterior[clause][rows, state.values[:, column]] for column, clause in enumerate(state.schema.names)], 1
    )
    cells = _cells(evidence, initial, own)
    others = np.maximum(cells.doubt[cells.number] - own, 0)
    elsewhere = own * others / (cells.size[cells.number] + _PSEUDO_COUNT)
    return Usefulness(own, _through_rules(evidence, state, own), elsewhere, cells.number)


def ask_first(
    evidence: Evidence, state: AnnotationMatrix, initial: AnnotationMatrix, open_: np.ndarray, most: int
) -> list[tuple[int, int, float]]:
    """The most useful questions, best first, as (row, column, expected corrections).

    What a question brings beyond its own clause is counted once: not again for the next question about the same tile,
    and less for the next one about the same confusion.

    Args:
        evidence: of the last round.
        state: the annotations after it.
        initial: the initial annotations.
        open_: bool [N, C], what may be asked.
        most: how many.
    """
    found = usefulness(evidence, state, initial)
    number, total = found.confusion, found.total
    heap = [(-float(total[row, column]), row, column) for row, column in np.argwhere(open_).tolist()]
    heapq.heapify(heap)
    asked_tile: Counter[int] = Counter()
    asked_cell: Counter[int] = Counter()
    chosen: list[tuple[int, int, float]] = []
    while heap and len(chosen) < most:
        _, row, column = heapq.heappop(heap)
        cell = int(number[row, column])
        now = float(
            found.own[row, column]
            + (0 if asked_tile[row] else found.through_rules[row, column])
            + found.elsewhere[row, column] / (1 + asked_cell[cell])
        )
        if heap and now < -heap[0][0] - 1e-12:
            heapq.heappush(heap, (-now, row, column))  # it has become less useful than another one
            continue
        chosen.append((row, column, now))
        asked_tile[row] += 1
        asked_cell[cell] += 1
    return chosen


def _cells(evidence: Evidence, initial: AnnotationMatrix, doubt: np.ndarray) -> _Cells:
    number, start = np.empty(doubt.shape, dtype=np.int64), 0
    for column, (clause, words) in enumerate(initial.schema.vocabulary.items()):
        believed = evidence.distributions["encoder"][clause].argmax(axis=1)
        number[:, column] = start + initial.values[:, column] * len(words) + believed
        start += len(words) ** 2
    size = np.bincount(number.ravel(), minlength=start).astype(float)
    return _Cells(number, np.bincount(number.ravel(), weights=doubt.ravel(), minlength=start), size)


def _through_rules(evidence: Evidence, state: AnnotationMatrix, own: np.ndarray) -> np.ndarray:
    """Expected corrections of the tile's other clauses, float [N, C]; zero for tiles that are not tried."""
    schema, found = state.schema, np.zeros(own.shape)
    if not schema.rules:
        return found
    tried = np.argsort(-own.sum(axis=1), kind="stable")[:_TRIED]
    # The posterior stands for all that is known of a clause: also that an annotation is wrong as a whole.
    known = {clause: evidence.distributions["posterior"][clause][tried] for clause in schema.names}
    usual = [evidence.distributions["posterior"][clause].mean(axis=0) for clause in schema.names]
    base = _best(schema, known, usual)
    cases = [
        (column, value, rows)
        for column, clause in enumerate(schema.names)
        for value in range(len(schema.vocabulary[clause]))
        if len(rows := np.flatnonzero(known[clause][:, value] > _LEAST))
    ]
    every = np.concatenate([rows for _, _, rows in cases])
    told = {clause: array[every] for clause, array in known.items()}
    start = 0
    for column, value, rows in cases:
        array = told[schema.names[column]]
        array[start : start + len(rows)] = np.eye(array.shape[1])[value]
        start += len(rows)
    gains, start = _best(schema, told, usual) - base[every], 0
    for column, value, rows in cases:
        gain = np.delete(gains[start : start + len(rows)], column, axis=1).sum(axis=1)
        found[tried[rows], column] += known[schema.names[column]][rows, value] * np.maximum(gain, 0)
        start += len(rows)
    return found


def _best(schema: AnnotationSchema, told: dict[str, np.ndarray], usual: list[np.ndarray]) -> np.ndarray:
    joint = weigh_said(schema, [told[clause] for clause in schema.names], usual)
    return np.stack([values.max(axis=1) for values in joint.values], axis=1)
