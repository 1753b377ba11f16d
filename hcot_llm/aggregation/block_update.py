"""The label update of one block of tiles: what a worker does with it once all that it is weighed with is fitted."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hcot_llm.aggregation.acceptance import NOT_PROPOSED, AcceptanceConfig, decide
from hcot_llm.aggregation.handed import Block
from hcot_llm.aggregation.people import PERSON, UNDECIDED
from hcot_llm.aggregation.posterior import Weighing, WeighingFit

# "seed" is the stored name of the initial annotations: it is part of the corpus digest. Equal words are one object.
_SOURCES = np.asarray(["kept", "seed", "captioner"], object)


@dataclass(frozen=True)
class BlockUpdate:
    """The label update of the n tiles of a block.

    Attributes:
        values: int [n, C], the next values.
        confidence: float32 [n, C], of those.
        source: str [n, C], who they come from.
        accepted: bool [n, C], whether a new value was taken.
        rejected: bool [n, C], whether a proposal differed from the current value and was refused.
        models: Names of the models among the label sources.
        weighing: Posterior of the block's tiles.
    """

    values: np.ndarray
    confidence: np.ndarray
    source: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    models: tuple[str, ...]
    weighing: Weighing


Remember = Callable[[BlockUpdate], Any]
"""Makes of a block's update what is kept of it where it was computed."""


@dataclass(frozen=True)
class ToUpdate:
    """What is decided about the n tiles of a block.

    Attributes:
        current: int [n, C], the current values.
        confidence: float32 [n, C], of those.
        proposed: int [n, C, K], see `Proposals`.
        distributions: Per clause float [n, V], see `Proposals`.
        held_out: bool [n].
        statistics: Per clause float [n, V]; None: they are no source.
        decided: int [n, C], what people decided, see `PeoplesWord`; None: nothing.
        models: Names of the models among the label sources.
    """

    current: np.ndarray
    confidence: np.ndarray
    proposed: np.ndarray
    distributions: Mapping[str, np.ndarray]
    held_out: np.ndarray
    statistics: Mapping[str, np.ndarray] | None
    decided: np.ndarray | None
    models: tuple[str, ...]


@dataclass(frozen=True)
class Decided:
    """What comes back of a `BlockUpdate`."""

    values: np.ndarray
    confidence: np.ndarray
    source: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    wholly_wrong: np.ndarray
    unseen: Mapping[str, np.ndarray]


def update_block(
    block: Block, fit: WeighingFit, given: ToUpdate, config: AcceptanceConfig, remember: Remember | None
) -> tuple[Decided, Any]:
    """Weigh the tiles of a block and decide about their clauses.

    Args:
        block: What is said of them.
        fit: What they are weighed with.
        given: What is decided about.
        config: How proposals are chosen.
        remember: Makes what is kept of the update; None: nothing is.

    Returns:
        What was decided, and what `remember` made.
    """
    update = _decided(fit, [clause.initial for clause in block], given, config, fit.weigh(block))
    short = Decided(
        update.values,
        update.confidence,
        update.source,
        update.accepted,
        update.rejected,
        update.weighing.wholly_wrong,
        {
            clause: each.astype(np.float32)
            for clause, each in fit.without_initial([clause.some(given.held_out) for clause in block]).items()
        },
    )
    return short, None if remember is None else remember(update)


def _decided(
    fit: WeighingFit, initial: Sequence[np.ndarray], given: ToUpdate, config: AcceptanceConfig, weighing: Weighing
) -> BlockUpdate:
    """Keep or replace the value of each clause of a block; initial: per clause int [n], the initial values."""
    values, confidence, held_out, statistics = (
        given.current.copy(),
        given.confidence.copy(),
        given.held_out,
        given.statistics,
    )
    source = np.full(values.shape, "kept", dtype=object)
    accepted = np.zeros(values.shape, dtype=bool)
    rejected = np.zeros(values.shape, dtype=bool)
    for column, clause in enumerate(fit.schema.names):
        proposed = answers = np.where(held_out[:, None], NOT_PROPOSED, given.proposed[:, column])
        distribution = given.distributions[clause].astype(np.float64)
        if statistics is not None:
            also = np.where((answers != NOT_PROPOSED).any(axis=1), statistics[clause].argmax(axis=1), NOT_PROPOSED)
            proposed = np.concatenate([answers, also[:, None]], axis=1)
        decision = decide(
            weighing.posterior[clause], given.current[:, column], initial[column], proposed, distribution, config
        )
        values[:, column] = decision.value
        confidence[:, column] = np.where(held_out, confidence[:, column], decision.confidence)
        accepted[:, column], rejected[:, column] = decision.accepted, decision.rejected
        back_to_initial = decision.value == initial[column]
        source[:, column] = _SOURCES[np.where(decision.accepted, np.where(back_to_initial, 1, 2), 0)]
        if statistics is not None:
            could = (answers == decision.value[:, None]).any(axis=1) | (
                np.nan_to_num(distribution)[np.arange(len(values)), decision.value] >= config.minimum_proposal
            )
            source[decision.accepted & ~back_to_initial & ~could, column] = "statistics"
    if given.decided is not None:
        decided = given.decided != UNDECIDED
        values[decided], source[decided] = given.decided[decided], PERSON
        confidence[decided] = weighing.probability(values)[decided]
        accepted[decided] = rejected[decided] = False
    return BlockUpdate(values, confidence, source, accepted, rejected, given.models, weighing)
