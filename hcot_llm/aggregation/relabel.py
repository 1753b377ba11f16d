"""From the encoder's feedback and the captioner's proposals to the label update."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from hcot_llm.aggregation.acceptance import NOT_PROPOSED, AcceptanceConfig
from hcot_llm.aggregation.block_update import Remember, ToUpdate, update_block
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.handed import Block, hand_over
from hcot_llm.aggregation.label_noise import CALIBRATED, TRAINED, UNTRAINED, SourceWeightPrior
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.people import PeoplesWord
from hcot_llm.aggregation.posterior import WeighingFit, fit_weighing
from hcot_llm.aggregation.workers import THIS_PROCESS, Workers, blocks_of
from hcot_llm.schema.annotation_schema import AnnotationSchema

_SURE = 0.9
"""Probability of a value that the captioner's word would not change."""


@dataclass(frozen=True)
class Proposals:
    """The captioner's answers for N tiles, K candidates of each.

    Attributes:
        proposed: int [N, C, K], value indices; NOT_PROPOSED where a clause was not queried or the answer was invalid.
        distributions: Per clause float32 [N, V], the captioner's probabilities; NaN where it says nothing of the
            clause: it was not queried, or speaks of queried clauses alone.
        invalid: Number of invalid answers by reason; answers to repeated questions count too.
        retried: Number of candidates whose first answer was invalid and that were asked again.
        recovered: Number of retried candidates that have a valid value for every clause in the end.
        injected: Number of answers that fault injection damaged, by damage.
        tokens: Number of tokens that were generated.
    """

    proposed: np.ndarray
    distributions: dict[str, np.ndarray]
    invalid: dict[str, int]
    retried: int = 0
    recovered: int = 0
    injected: dict[str, int] = field(default_factory=dict)
    tokens: int = 0

    @staticmethod
    def none_for(schema: AnnotationSchema, tiles: int, candidates: int) -> "Proposals":
        """Proposals without any answer, to be filled in by `put`.

        Args:
            schema: The schema of the clauses.
            tiles: Number of tiles.
            candidates: Number of candidates of each tile.
        """
        return Proposals(
            np.full((tiles, len(schema), candidates), NOT_PROPOSED, np.int16),
            {clause: np.full((tiles, len(values)), np.nan, np.float32) for clause, values in schema.vocabulary.items()},
            {},
        )

    def put(
        self,
        schema: AnnotationSchema,
        row: int,
        clause: str,
        candidate: int,
        value: str,
        distribution: np.ndarray | None = None,
    ) -> None:
        """Enter one answered clause.

        Args:
            schema: The schema of the clauses.
            row: Row of the tile.
            clause: Name of the clause.
            candidate: Number of the candidate; 0 is the greedy one.
            value: The answered value.
            distribution: float [V], the captioner's probabilities; None where the answer came without them, as sampled
                ones do.
        """
        self.proposed[row, schema.column[clause], candidate] = schema.value_index[clause][value]
        if distribution is not None:
            self.distributions[clause][row] = distribution


@dataclass(frozen=True)
class LabelUpdate:
    """The next annotations, and what the aggregation of the label sources estimated.

    Attributes:
        matrix: The next annotations of N tiles.
        accepted: bool [N, C], whether a new value was taken.
        rejected: bool [N, C], whether a proposal differed from the current value and was refused.
        models: Names of the models among the label sources.
        source_weights: Per clause the source weight of each model.
        wholly_wrong: float [N, W], probability of each way to be wrong as a whole, see `ways_to_be_wrong`.
        joint_inverse_temperature: Power to which the pooled models of all clauses are taken, on top of the source
            weights.
        unseen: Per clause float32 [H, V], what the models together say of the held-out tiles without the annotations of
            these, see `WeighingFit.without_initial`.
        remembered: What stands for what `remember` made of each block, in their order, see `Workers.get`.
    """

    matrix: AnnotationMatrix
    accepted: np.ndarray
    rejected: np.ndarray
    models: tuple[str, ...]
    source_weights: dict[str, list[float]]
    wholly_wrong: np.ndarray
    joint_inverse_temperature: float
    unseen: Mapping[str, np.ndarray] = field(default_factory=dict)
    remembered: Sequence[Any] = ()


def current_confidence(
    feedback: Feedback,
    current: AnnotationMatrix,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    acceptance: AcceptanceConfig,
    people: PeoplesWord | None = None,
    statistics: Mapping[str, np.ndarray] | None = None,
    workers: Workers = THIS_PROCESS,
) -> np.ndarray:
    """Probability of every current value, given the encoder, the statistics and the initial annotations.

    Args:
        feedback: The encoder's feedback on the N tiles.
        current: The current annotations.
        initial: The initial annotations, with the known accuracy of each as its confidence.
        held_out: bool [N], True for tiles that no model was trained on. The captioner is queried about them as well,
            so that its source weight can be fitted; their annotations do not change.
        acceptance: How the errors of the initial annotations are estimated.
        people: What people decided; None: nothing.
        statistics: Per clause float [N, V], what classifiers on statistics say; None: they are no source.
        workers: Who weighs.

    Returns:
        float [N, C].
    """
    said = None if people is None else people.likelihood
    models: list[Mapping[str, np.ndarray]] = [feedback.zero_shot]
    priors = None
    if statistics is not None:
        models, priors = [feedback.zero_shot, statistics], [TRAINED, CALIBRATED]
    return _probabilities(models, current, initial, held_out, acceptance, priors, said, workers)


def statistics_confidence(
    statistics: Mapping[str, np.ndarray],
    current: AnnotationMatrix,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    acceptance: AcceptanceConfig,
) -> np.ndarray:
    """Probability of every current value before any encoder was trained, float [N, C]; see `current_confidence`."""
    return _probabilities([statistics], current, initial, held_out, acceptance, [CALIBRATED], None, THIS_PROCESS)


def _probabilities(
    models: Sequence[Mapping[str, np.ndarray]],
    current: AnnotationMatrix,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    acceptance: AcceptanceConfig,
    priors: Sequence[SourceWeightPrior] | None,
    said: Mapping[str, np.ndarray] | None,
    workers: Workers,
) -> np.ndarray:
    tiles = hand_over(models, initial, held_out, acceptance, said, workers)
    fit = fit_weighing(tiles, acceptance, priors)
    calls = [
        (block, fit, current.values[rows]) for block, rows in zip(tiles.blocks, blocks_of(len(current)), strict=True)
    ]
    return np.concatenate(tiles.workers.map(_probability, calls))


def _probability(block: Block, fit: WeighingFit, values: np.ndarray) -> np.ndarray:
    return fit.weigh(block).probability(values)


def _is_sure(block: Block, fit: WeighingFit) -> np.ndarray:
    """Whether a value is so probable that the captioner's word would not change it, bool [n, C]."""
    return np.stack([each.max(axis=1) >= _SURE for each in fit.weigh(block).posterior.values()], axis=1)


def _where_it_decides(proposals: Proposals, sure: np.ndarray, held_out: np.ndarray) -> dict[str, np.ndarray]:
    """The captioner's distributions of queried clauses, and of held-out tiles only where there is doubt without it.

    A held-out tile keeps its wrong annotation and is asked about in every round, also where all other sources are sure
    of another value. A captioner that is right there, and often wrong where they doubt, would be believed there, too.
    Nor does it speak of clauses that it was not queried about, in which the others are sure.

    Args:
        proposals: What the captioner says of N tiles.
        sure: bool [N, C], whether all other sources are sure of a value.
        held_out: bool [N].
    """
    left_out = (held_out[:, None] & sure) | (proposals.proposed == NOT_PROPOSED).all(axis=2)
    return {
        clause: np.where(left_out[:, [column]], np.nan, each)
        for column, (clause, each) in enumerate(proposals.distributions.items())
    }


def update_labels(
    feedback: Feedback,
    current: AnnotationMatrix,
    initial: AnnotationMatrix,
    proposals: Proposals,
    held_out: np.ndarray,
    config: AcceptanceConfig,
    captioner: SourceWeightPrior = TRAINED,
    people: PeoplesWord | None = None,
    statistics: Mapping[str, np.ndarray] | None = None,
    workers: Workers = THIS_PROCESS,
    remember: Callable[[slice], Remember] | None = None,
) -> LabelUpdate:
    """Weigh every proposal, and keep or replace the value of each clause; held-out tiles keep theirs.

    What a person has decided stands. It weighs in all other clauses as what a person says who errs now and then.

    Args:
        feedback: The encoder's feedback on the N tiles.
        current: The current annotations.
        initial: The initial annotations, with the known accuracy of each as its confidence.
        proposals: The captioner's answers and distributions.
        held_out: bool [N], True for tiles that no model was trained on.
        config: How proposals are weighed and chosen.
        captioner: Prior of the captioner's source weight; that of the encoder's is TRAINED. With `statistics` it is
            UNTRAINED, because few held-out tiles are left on which it can show what it knows.
        people: What people decided; None: nothing.
        statistics: Per clause float [N, V], what classifiers on statistics say; None: they are no source. Where the
            captioner was queried, their most probable value is a proposal as well.
        workers: Who weighs.
        remember: Given the rows of a block, what makes of its update what workers keep of it; None: nothing is kept.
    """
    said = None if people is None else people.likelihood
    answered, blocks = proposals.distributions, blocks_of(len(current))
    if statistics is not None and config.use_captioner:
        others = [(feedback.zero_shot, TRAINED)] * config.use_encoder + [(statistics, CALIBRATED)]
        tiles = hand_over([each for each, _ in others], initial, held_out, config, said, workers)
        without = fit_weighing(tiles, config, [prior for _, prior in others])
        sure = np.concatenate(tiles.workers.map(_is_sure, [(block, without) for block in tiles.blocks]))
        answered, captioner = _where_it_decides(proposals, sure, held_out), UNTRAINED
        del tiles
    models = {
        name: (distributions, prior)
        for name, distributions, prior, used in (
            ("encoder", feedback.zero_shot, TRAINED, config.use_encoder),
            ("captioner", answered, captioner, config.use_captioner),
            ("statistics", statistics or {}, CALIBRATED, statistics is not None),
        )
        if used
    }
    tiles = hand_over([each for each, _ in models.values()], initial, held_out, config, said, workers)
    fit = fit_weighing(tiles, config, [prior for _, prior in models.values()])
    calls = [
        (
            block,
            fit,
            ToUpdate(
                current.values[rows],
                current.confidence[rows],
                proposals.proposed[rows],
                {clause: each[rows] for clause, each in proposals.distributions.items()},
                held_out[rows],
                None if statistics is None else {clause: each[rows] for clause, each in statistics.items()},
                None if people is None else people.values[rows],
                tuple(models),
            ),
            config,
            None if remember is None else remember(rows),
        )
        for block, rows in zip(tiles.blocks, blocks, strict=True)
    ]
    found = tiles.workers.map_kept(update_block, calls)
    parts = [part for part, _ in found]
    return LabelUpdate(
        AnnotationMatrix(
            current.schema,
            current.tile_ids,
            np.concatenate([part.values for part in parts]),
            np.concatenate([part.confidence for part in parts]),
            np.concatenate([part.source for part in parts]),
        ),
        np.concatenate([part.accepted for part in parts]),
        np.concatenate([part.rejected for part in parts]),
        tuple(models),
        fit.source_weights,
        np.concatenate([part.wholly_wrong for part in parts]),
        fit.joint_inverse_temperature,
        {clause: np.concatenate([part.unseen[clause] for part in parts]) for clause in current.schema.names},
        [] if remember is None else [kept for _, kept in found],
    )
