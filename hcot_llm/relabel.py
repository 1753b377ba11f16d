"""From feedback to the next annotations: which clauses to ask for, and what becomes of the answers."""

from dataclasses import dataclass

import numpy as np

from hcot_llm.acceptance import (
    NOT_PROPOSED,
    AcceptanceConfig,
    decide,
    pool_evidence,
    posterior_of_truth,
)
from hcot_llm.feedback import VALUE_INDEX, Feedback, FlagConfig, doubtful_clauses
from hcot_llm.matrix import AnnotationMatrix
from hcot_llm.schema import CLAUSES, VOCABULARY, Clause


@dataclass(frozen=True)
class Proposals:
    """The captioner's answers for N tiles.

    proposed: int [N, 16, K], value indices, NOT_PROPOSED where a clause was not asked or the answer was invalid.
    distributions: per clause float [N, V], the captioner's probabilities, NaN where it was not asked.
    invalid: number of invalid answers by reason.
    """

    proposed: np.ndarray
    distributions: dict[Clause, np.ndarray]
    invalid: dict[str, int]

    @staticmethod
    def none_for(tiles: int, candidates: int) -> "Proposals":
        """No answer for any of `tiles` tiles, to be filled in."""
        return Proposals(np.full((tiles, len(CLAUSES), candidates), NOT_PROPOSED),
                         {clause: np.full((tiles, len(VOCABULARY[clause])), np.nan) for clause in CLAUSES}, {})

    def put(self, row: int, clause: Clause, candidate: int, value: str, distribution: np.ndarray) -> None:
        """Enter one answered clause."""
        self.proposed[row, CLAUSES.index(clause), candidate] = VALUE_INDEX[clause][value]
        if candidate == 0:
            self.distributions[clause][row] = distribution


@dataclass(frozen=True)
class Settlement:
    """The next annotations and what happened on the way."""

    matrix: AnnotationMatrix
    accepted: np.ndarray
    rejected: np.ndarray
    seed_accuracy_estimate: dict[Clause, float]


def _evidence(feedback: Feedback, clause: Clause, config: AcceptanceConfig) -> list[tuple[np.ndarray, float]]:
    evidence = [(feedback.zero_shot[clause], config.encoder_weight)]
    if config.neighbour_weight:
        evidence.append((feedback.neighbours[clause], config.neighbour_weight))
    return evidence


def find_doubtful(feedback: Feedback, current: AnnotationMatrix, seed: AnnotationMatrix, flag: FlagConfig,
                  acceptance: AcceptanceConfig) -> np.ndarray:
    """Clauses to write again, bool [N, 16], from the encoder's evidence and the seed alone."""
    confidence = np.empty(current.values.shape)
    rows = np.arange(len(current))
    for column, clause in enumerate(CLAUSES):
        pooled = pool_evidence(_evidence(feedback, clause, acceptance))
        posterior, _ = posterior_of_truth(pooled, current.column(clause), seed.column(clause), acceptance)
        confidence[:, column] = posterior[rows, current.column(clause)]
    return doubtful_clauses(feedback, confidence, flag)


def settle(feedback: Feedback, current: AnnotationMatrix, seed: AnnotationMatrix, proposals: Proposals,
           config: AcceptanceConfig) -> Settlement:
    """Weigh every proposal and keep or replace each clause."""
    values = current.values.copy()
    confidence = current.confidence.copy()
    source = np.empty(values.shape, dtype=object)
    accepted = np.zeros(values.shape, dtype=bool)
    rejected = np.zeros(values.shape, dtype=bool)
    seed_accuracy = {}
    for column, clause in enumerate(CLAUSES):
        pooled = pool_evidence([*_evidence(feedback, clause, config),
                                (proposals.distributions[clause], config.captioner_weight)])
        posterior, noise = posterior_of_truth(pooled, current.column(clause), seed.column(clause), config)
        decision = decide(posterior, current.column(clause), seed.column(clause), proposals.proposed[:, column],
                          config)
        values[:, column] = decision.value
        confidence[:, column] = decision.confidence
        accepted[:, column] = decision.accepted
        rejected[:, column] = decision.rejected
        back_to_seed = decision.value == seed.column(clause)
        source[:, column] = np.where(decision.accepted, np.where(back_to_seed, "seed", "captioner"), "kept")
        seed_accuracy[clause] = noise.accuracy
    return Settlement(AnnotationMatrix(current.tile_ids, values, confidence, source), accepted, rejected,
                      seed_accuracy)
