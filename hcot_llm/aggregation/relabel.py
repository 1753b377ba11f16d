"""From feedback to the next annotations: which clauses to ask for, and what becomes of the answers."""

from dataclasses import dataclass, field

import numpy as np

from hcot_llm.aggregation.acceptance import NOT_PROPOSED, AcceptanceConfig, decide
from hcot_llm.aggregation.feedback import Feedback
from hcot_llm.aggregation.label_noise import TRAINED, ExponentPrior
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.schema.annotation_schema import AnnotationSchema


@dataclass(frozen=True)
class Proposals:
    """The captioner's answers for N tiles.

    proposed: int [N, C, K], value indices, NOT_PROPOSED where a clause was not asked or the answer was invalid.
    distributions: per clause float [N, V], the captioner's probabilities, NaN where it was not asked.
    invalid: number of invalid answers by reason, those to repeated questions too. retried: candidates whose first
    answer was invalid and asked again; recovered: of those, the ones with a valid value for every clause in the end.
    injected: number of answers that fault injection damaged, by damage.
    """

    proposed: np.ndarray
    distributions: dict[str, np.ndarray]
    invalid: dict[str, int]
    retried: int = 0
    recovered: int = 0
    injected: dict[str, int] = field(default_factory=dict)

    @staticmethod
    def none_for(schema: AnnotationSchema, tiles: int, candidates: int) -> "Proposals":
        """No answer for any of `tiles` tiles, to be filled in."""
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
        """Enter one answered clause; distribution: float [V] where the answer came with one (the greedy one does)."""
        self.proposed[row, schema.column[clause], candidate] = schema.value_index[clause][value]
        if distribution is not None:
            self.distributions[clause][row] = distribution


@dataclass(frozen=True)
class LabelUpdate:
    """The next annotations, and what the aggregation of the label sources found on the way.

    accepted, rejected: bool [N, C]. models: the witnesses; exponents: per clause how far each is believed.
    wholly_wrong: float [N, W], probability of each way to be wrong as a whole, see `ways_to_be_wrong`.
    sharpness: exponent of all models together.
    """

    matrix: AnnotationMatrix
    accepted: np.ndarray
    rejected: np.ndarray
    models: tuple[str, ...]
    exponents: dict[str, list[float]]
    wholly_wrong: np.ndarray
    sharpness: float


def current_confidence(
    feedback: Feedback,
    current: AnnotationMatrix,
    seed: AnnotationMatrix,
    calibration: np.ndarray,
    acceptance: AcceptanceConfig,
) -> np.ndarray:
    """Probability of every current value given encoder and seed, float [N, C].

    Args:
        feedback: of the N tiles.
        current: annotations of today.
        seed: the annotations as they first came, with the known accuracy of each as its confidence.
        calibration: bool [N], tiles that no model was trained on. They are asked about like the others, so that
            the captioner can be calibrated on them; their annotations do not change.
        acceptance: how the seed's errors are estimated.
    """
    return weigh([feedback.zero_shot], seed, calibration, acceptance).probability(current.values)


def update_labels(
    feedback: Feedback,
    current: AnnotationMatrix,
    seed: AnnotationMatrix,
    proposals: Proposals,
    calibration: np.ndarray,
    config: AcceptanceConfig,
    captioner: ExponentPrior = TRAINED,
) -> LabelUpdate:
    """Weigh every proposal and keep or replace each clause; calibration tiles keep theirs.

    Args:
        feedback: the encoder's, of the N tiles.
        current: annotations of today.
        seed: the annotations as they first came, with the known accuracy of each as its confidence.
        proposals: the captioner's answers and distributions.
        calibration: bool [N], tiles that no model was trained on.
        config: how proposals are weighed and chosen.
        captioner: what is expected of it before held-out tiles are seen; of the encoder it is TRAINED.
    """
    values = current.values.copy()
    confidence = current.confidence.copy()
    source = np.full(values.shape, "kept", dtype=object)
    accepted = np.zeros(values.shape, dtype=bool)
    rejected = np.zeros(values.shape, dtype=bool)
    models = {
        name: (distributions, prior)
        for name, distributions, prior, used in (
            ("encoder", feedback.zero_shot, TRAINED, config.use_encoder),
            ("captioner", proposals.distributions, captioner, config.use_captioner),
        )
        if used
    }
    weighing = weigh(
        [each for each, _ in models.values()], seed, calibration, config, [prior for _, prior in models.values()]
    )
    for column, clause in enumerate(current.schema.names):
        proposed = np.where(calibration[:, None], NOT_PROPOSED, proposals.proposed[:, column])
        decision = decide(
            weighing.posterior[clause],
            current.column(clause),
            seed.column(clause),
            proposed,
            proposals.distributions[clause],
            config,
        )
        values[:, column] = decision.value
        confidence[:, column] = np.where(calibration, confidence[:, column], decision.confidence)
        accepted[:, column], rejected[:, column] = decision.accepted, decision.rejected
        back_to_seed = decision.value == seed.column(clause)
        source[:, column] = np.where(decision.accepted, np.where(back_to_seed, "seed", "captioner"), "kept")
    return LabelUpdate(
        AnnotationMatrix(current.schema, current.tile_ids, values, confidence, source),
        accepted,
        rejected,
        tuple(models),
        weighing.exponents,
        weighing.wholly_wrong,
        weighing.sharpness,
    )
