"""What is said of tiles, handed block by block to the workers that weigh it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.clause import ClauseSources
from hcot_llm.aggregation.initial_accuracy import known_accuracy, with_accuracy
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.workers import THIS_PROCESS, Workers, blocks_of, who_weighs
from hcot_llm.schema.annotation_schema import AnnotationSchema

_MOST_FOR_TEMPERATURE: Final = 4096  # held-out tiles

Block = Sequence[ClauseSources]
"""What is said of all clauses on the tiles of a block."""


@dataclass(frozen=True)
class Tiles:
    """What is said of N tiles, as it is handed to workers.

    Attributes:
        schema: of the C clauses.
        blocks: What stands for each `Block`, see `Workers.hold`.
        held_out: Per clause what stands for the `ClauseSources` of the held-out tiles.
        sample: What stands for the `Block` of held-out tiles to which the temperature is fitted; None without any.
        models: Number of the models.
        accuracy: float64 [C], mean accuracy of the initial annotations of each clause.
        tiles: N.
        workers: who holds them.
        standing: Clauses in which no model counts, see `AnnotationMatrix.standing`.
    """

    schema: AnnotationSchema
    blocks: Sequence[Any]
    held_out: Sequence[Any]
    sample: Any
    models: int
    accuracy: Sequence[float]
    tiles: int
    workers: Workers
    standing: frozenset[str] = frozenset()


def hand_over(
    models: Sequence[Mapping[str, np.ndarray]],
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    said: Mapping[str, np.ndarray] | None = None,
    workers: Workers = THIS_PROCESS,
) -> Tiles:
    """Hand what is said of N tiles to workers, block by block. Arguments as of `weigh`.

    A corpus of one block stays in this process.
    """
    initial = with_accuracy(models, initial, held_out, config)
    schema, accuracy = initial.schema, known_accuracy(initial)
    workers = who_weighs(len(initial), workers)

    def clauses(rows: slice | np.ndarray) -> list[ClauseSources]:
        return [
            ClauseSources(
                [model[clause][rows] for model in models],
                initial.values[rows, column],
                accuracy[rows, column],
                None if said is None else said[clause][rows],
            )
            for column, clause in enumerate(schema.names)
        ]

    unseen = np.flatnonzero(held_out)
    # Six temperatures are told apart by some thousand tiles, and each tile costs as much as one that is weighed.
    few = unseen[:: -(-len(unseen) // _MOST_FOR_TEMPERATURE) or 1]
    return Tiles(
        schema,
        [workers.hold(clauses(rows)) for rows in blocks_of(len(initial))],
        [workers.hold(clause) for clause in clauses(unseen)],
        workers.hold(clauses(few)) if len(unseen) else None,
        len(models),
        [float(column.mean()) for column in accuracy.T],
        len(initial),
        workers,
        initial.standing,
    )
