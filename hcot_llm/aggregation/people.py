"""What people decided, as one more label source: it fixes the clause it is about, and is evidence for all others."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.schema.annotation_schema import AnnotationSchema

PERSON: Final = "person"
"""Source of a clause that a person decided."""
UNDECIDED: Final = -1


@dataclass(frozen=True)
class Said:
    """What one person said of one clause. accuracy: the probability that this person says the right value."""

    tile_id: str
    clause: str
    value: str
    accuracy: float


@dataclass(frozen=True)
class PeoplesWord:
    """What people said of N tiles.

    values: int [N, C], the decided value; UNDECIDED where there is none. likelihood: per clause float64 [N, V], how
    probable all that people said of it is under each true value; ones where nobody said anything.
    """

    values: np.ndarray
    likelihood: dict[str, np.ndarray]

    @property
    def decided(self) -> np.ndarray:
        """Clauses that are decided, bool [N, C]."""
        return self.values != UNDECIDED

    def of(self, mask: np.ndarray) -> "PeoplesWord":
        """Of the tiles where the mask, bool [N], is true."""
        return PeoplesWord(self.values[mask], {clause: array[mask] for clause, array in self.likelihood.items()})


def peoples_word(schema: AnnotationSchema, tile_ids: Iterable[str], said: Iterable[Said]) -> PeoplesWord | None:
    """All that people said, as arrays; None where that is nothing about these tiles.

    Several people's answers to one clause count as independent. The clause is decided as the value under which they are
    most probable; where two values are equally so it stays undecided, and the answers are evidence alone.

    Args:
        schema: of the annotations.
        tile_ids: N tiles; what was said of others is left out.
        said: the answers that stand.
    """
    rows = {tile_id: row for row, tile_id in enumerate(tile_ids)}
    logs = {clause: np.zeros((len(rows), len(values))) for clause, values in schema.vocabulary.items()}
    touched = np.zeros((len(rows), len(schema)), dtype=bool)
    for each in said:
        if each.tile_id not in rows:
            continue
        row, vocabulary = rows[each.tile_id], schema.vocabulary[each.clause]
        right = np.arange(len(vocabulary)) == schema.value_index[each.clause][each.value]
        wrong = (1 - each.accuracy) / max(len(vocabulary) - 1, 1)
        logs[each.clause][row] += np.log(np.where(right, each.accuracy, wrong))
        touched[row, schema.column[each.clause]] = True
    if not touched.any():
        return None
    values = np.full(touched.shape, UNDECIDED)
    for column, log in enumerate(logs.values()):
        best = log.argmax(axis=1)
        tied = (log >= log.max(axis=1, keepdims=True) - 1e-9).sum(axis=1) > 1
        values[:, column] = np.where(touched[:, column] & ~tied, best, UNDECIDED)
    return PeoplesWord(values, {clause: np.exp(log) for clause, log in logs.items()})


def with_decisions(matrix: AnnotationMatrix, people: PeoplesWord | None) -> AnnotationMatrix:
    """The annotations with every decided clause as it was decided; its confidence is how far that was believed."""
    if people is None:
        return matrix
    decided = people.decided & ((matrix.values != people.values) | (matrix.source != PERSON))
    if not decided.any():
        return matrix
    values, confidence, source = matrix.values.copy(), matrix.confidence.copy(), matrix.source.copy()
    values[decided], source[decided] = people.values[decided], PERSON
    for column, clause in enumerate(matrix.schema.names):
        rows = np.flatnonzero(decided[:, column])
        likelihood = people.likelihood[clause][rows]
        confidence[rows, column] = likelihood[np.arange(len(rows)), values[rows, column]] / likelihood.sum(axis=1)
    return replace(matrix, values=values, confidence=confidence, source=source)
