"""From the encoder's feedback and the captioner's proposals to the label update."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hcot_llm.aggregation.acceptance import NOT_PROPOSED, AcceptanceConfig, decide
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.label_noise import CALIBRATED, TRAINED, UNTRAINED, SourceWeightPrior
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.people import PERSON, PeoplesWord
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.schema.annotation_schema import AnnotationSchema

_SURE = 0.9
"""Probability of a value that the captioner's word would not change."""


@dataclass(frozen=True)
class Proposals:
    """The captioner's answers for N tiles, K candidates of each.

    Attributes:
        proposed: int [N, C, K], value indices; NOT_PROPOSED where a clause was not queried or the answer was invalid.
        distributions: Per clause float [N, V], the captioner's probabilities; NaN where the clause was not queried.
        invalid: Number of invalid answers by reason; answers to repeated questions count too.
        retried: Number of candidates whose first answer was invalid and that were asked again.
        recovered: Number of retried candidates that have a valid value for every clause in the end.
        injected: Number of answers that fault injection damaged, by damage.
    """

    proposed: np.ndarray
    distributions: dict[str, np.ndarray]
    invalid: dict[str, int]
    retried: int = 0
    recovered: int = 0
    injected: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def none_for(schema: AnnotationSchema, tiles: int, candidates: int) -> "Proposals":
        """Proposals without any answer, to be filled in by `put`.

        Args:
            schema: The schema of the clauses.
            tiles: Number of tiles.
            candidates: Number of candidates of each tile.
        """
        return Proposals(
            np.full((tiles, len(schema), candidates), NOT_PROPOSED),
            {clause: np.full((tiles, len(values)), np.nan) for clause, values in schema.vocabulary.items()},
            {},
        )

    def put(
        self,
        schema: AnnotationSchema,
        row: int,
        clause: str,
        candidate: int,
        value: str,
        distribution: np.ndarray | None,
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
        posterior: Per clause float [N, V], posterior of the true value.
        alone: Per clause float [N, V], the same before the rules and the other clauses had their say.
    """

    matrix: AnnotationMatrix
    accepted: np.ndarray
    rejected: np.ndarray
    models: tuple[str, ...]
    source_weights: dict[str, list[float]]
    wholly_wrong: np.ndarray
    joint_inverse_temperature: float
    posterior: dict[str, np.ndarray]
    alone: dict[str, np.ndarray]


def current_confidence(
    feedback: Feedback,
    current: AnnotationMatrix,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    acceptance: AcceptanceConfig,
    people: PeoplesWord | None = None,
    statistics: Mapping[str, np.ndarray] | None = None,
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

    Returns:
        float [N, C].
    """
    said = None if people is None else people.likelihood
    if statistics is None:
        return weigh([feedback.zero_shot], initial, held_out, acceptance, said=said).probability(current.values)
    models, priors = [feedback.zero_shot, statistics], [TRAINED, CALIBRATED]
    return weigh(models, initial, held_out, acceptance, priors, said).probability(current.values)


def statistics_confidence(
    statistics: Mapping[str, np.ndarray],
    current: AnnotationMatrix,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    acceptance: AcceptanceConfig,
) -> np.ndarray:
    """Probability of every current value before any encoder was trained, float [N, C]; see `current_confidence`."""
    return weigh([statistics], initial, held_out, acceptance, [CALIBRATED]).probability(current.values)


def _where_it_decides(
    answered: Mapping[str, np.ndarray], without: Mapping[str, np.ndarray], held_out: np.ndarray
) -> dict[str, np.ndarray]:
    """The captioner's distributions, of held-out tiles only those in doubt without it, on which its weight is fitted.

    A held-out tile keeps its wrong annotation and is asked about in every round, also where all other sources are sure
    of another value. A captioner that is right there, and often wrong where they doubt, would be believed there, too.

    Args:
        answered: Per clause float [N, V], the captioner's distributions.
        without: Per clause float [N, V], the posterior of all other sources.
        held_out: bool [N].
    """
    return {
        clause: np.where((held_out & (without[clause].max(axis=1) >= _SURE))[:, None], np.nan, each)
        for clause, each in answered.items()
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
    """
    values = current.values.copy()
    confidence = current.confidence.copy()
    source = np.full(values.shape, "kept", dtype=object)
    accepted = np.zeros(values.shape, dtype=bool)
    rejected = np.zeros(values.shape, dtype=bool)
    said = None if people is None else people.likelihood
    answered = proposals.distributions
    if statistics is not None and config.use_captioner:
        others = [(feedback.zero_shot, TRAINED)] * config.use_encoder + [(statistics, CALIBRATED)]
        without = weigh([each for each, _ in others], initial, held_out, config, [prior for _, prior in others], said)
        answered, captioner = _where_it_decides(answered, without.posterior, held_out), UNTRAINED
    models = {
        name: (distributions, prior)
        for name, distributions, prior, used in (
            ("encoder", feedback.zero_shot, TRAINED, config.use_encoder),
            ("captioner", answered, captioner, config.use_captioner),
            ("statistics", statistics or {}, CALIBRATED, statistics is not None),
        )
        if used
    }
    priors = [prior for _, prior in models.values()]
    weighing = weigh([each for each, _ in models.values()], initial, held_out, config, priors, said)
    for column, clause in enumerate(current.schema.names):
        proposed = answers = np.where(held_out[:, None], NOT_PROPOSED, proposals.proposed[:, column])
        if statistics is not None:
            also = np.where((answers != NOT_PROPOSED).any(axis=1), statistics[clause].argmax(axis=1), NOT_PROPOSED)
            proposed = np.concatenate([answers, also[:, None]], axis=1)
        decision = decide(
            weighing.posterior[clause],
            current.column(clause),
            initial.column(clause),
            proposed,
            proposals.distributions[clause],
            config,
        )
        values[:, column] = decision.value
        confidence[:, column] = np.where(held_out, confidence[:, column], decision.confidence)
        accepted[:, column], rejected[:, column] = decision.accepted, decision.rejected
        back_to_initial = decision.value == initial.column(clause)
        # "seed" is the stored name of the initial annotations: it is part of the corpus digest.
        source[:, column] = np.where(decision.accepted, np.where(back_to_initial, "seed", "captioner"), "kept")
        if statistics is not None:
            could = (answers == decision.value[:, None]).any(axis=1) | (
                np.nan_to_num(proposals.distributions[clause])[np.arange(len(values)), decision.value]
                >= config.minimum_proposal
            )
            source[decision.accepted & ~back_to_initial & ~could, column] = "statistics"
    if people is not None:
        decided = people.decided
        values[decided], source[decided] = people.values[decided], PERSON
        confidence[decided] = weighing.probability(values)[decided]
        accepted[decided] = rejected[decided] = False
    return LabelUpdate(
        AnnotationMatrix(current.schema, current.tile_ids, values, confidence, source),
        accepted,
        rejected,
        tuple(models),
        weighing.source_weights,
        weighing.wholly_wrong,
        weighing.joint_inverse_temperature,
        weighing.posterior,
        weighing.alone,
    )
