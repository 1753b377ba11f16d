"""What shallow classifiers on statistics say of every tile, concluded from the initial annotations alone.

Each classifier of the committee learns the annotations of some tiles and is asked about others. Its members are weighed
with the initial annotations as all models are, and the next turn learns what was concluded. Turns end where initial
annotations of held-out tiles, which no turn learns from, become no more probable.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from actors.statistics.config import StatisticsConfig
from actors.statistics.cross_fit import by_clause, cross_fit, folds_of
from actors.statistics.features import Features
from actors.statistics.members import MEMBERS
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.clause import ClauseSources, weigh_clause
from hcot_llm.aggregation.held_out_likelihood import held_out_log_likelihood
from hcot_llm.aggregation.initial_accuracy import known_accuracy, with_accuracy
from hcot_llm.aggregation.matrix import AnnotationMatrix, select
from hcot_llm.aggregation.posterior import weigh
from hcot_llm.schema.annotation_schema import AnnotationSchema

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StatisticsSource:
    """What the committee says of N tiles.

    Attributes:
        distributions: Per clause float64 [N, V]; rows sum to one. No tile's is learned from its own annotation.
        accuracy: float64 [N, C], accuracy of the initial annotations: as stated, or estimated from the first turn.
        turns: Turns that count.
        standing: Clauses of which the committee cannot tell, see `AnnotationMatrix.standing`.
    """

    distributions: dict[str, np.ndarray]
    accuracy: np.ndarray
    turns: int
    standing: frozenset[str] = frozenset()

    def of(self, mask: np.ndarray) -> dict[str, np.ndarray]:
        """The distributions of some tiles; mask is bool [N]."""
        return {clause: each[mask] for clause, each in self.distributions.items()}

    def believed(self, initial: AnnotationMatrix) -> AnnotationMatrix:
        """The initial annotations with the accuracy of each as its confidence."""
        return replace(initial, confidence=self.accuracy.astype(np.float32), standing=self.standing)


def fit_source(
    features: Features,
    initial: AnnotationMatrix,
    held_out: np.ndarray,
    groups: Sequence[str],
    config: StatisticsConfig,
    acceptance: AcceptanceConfig,
    run_seed: int,
) -> StatisticsSource:
    """Fit the committee.

    Args:
        features: of N tiles.
        initial: Their initial annotations.
        held_out: bool [N], tiles that no turn learns from.
        groups: N names; of tiles that show the same, none is learned from where another is asked about.
        config: of the committee.
        acceptance: how sources are weighed.
        run_seed: Seed of the run.
    """
    schema, everywhere = initial.schema, np.ones(len(initial), dtype=bool)
    stated = acceptance.stated
    features = features.reduced(~held_out, derive_seed(run_seed, "statistics", "components") % 2**32)
    targets: Mapping[str, np.ndarray] = {
        clause: np.eye(len(words))[initial.column(clause)] for clause, words in schema.vocabulary.items()
    }
    found, highest = None, -np.inf
    for turn in range(config.turns if held_out.any() else 1):
        said = _committee(
            schema, features, targets, held_out, groups, config, derive_seed(run_seed, "statistics", turn)
        )
        if turn == 0:  # what later ones say comes from what earlier ones concluded, and agrees with it
            initial = with_accuracy(said, initial, everywhere, acceptance)
        # What the committee says is said of standing clauses too, though it will not count there.
        accuracy = known_accuracy(initial)
        pooled = {
            clause: weigh_clause(
                ClauseSources([each[clause] for each in said], initial.column(clause), accuracy[:, column]),
                everywhere,
                stated.noise_pseudo_count,
            ).pooled
            for column, clause in enumerate(schema.names)
        }
        likelihood = _held_out(pooled, initial, held_out, stated)
        _log.info("turn %d on statistics: log-likelihood of held-out annotations %.4f", turn + 1, likelihood)
        if found is not None and likelihood <= highest:
            break
        found, highest = StatisticsSource(pooled, accuracy, turn + 1, initial.standing), likelihood
        if len(initial.standing) == len(schema):
            break  # nothing is concluded, so there is nothing new to learn
        targets = weigh(said, initial, everywhere, stated).posterior
    assert found is not None  # there is a first turn
    return found


def _committee(
    schema: AnnotationSchema,
    features: Features,
    targets: Mapping[str, np.ndarray],
    held_out: np.ndarray,
    groups: Sequence[str],
    config: StatisticsConfig,
    seed: int,
) -> list[dict[str, np.ndarray]]:
    """What each classifier says out of fold, by clause."""
    fold = folds_of(groups, held_out, config.folds, derive_seed(seed, "folds"))
    taught = np.concatenate(list(targets.values()), axis=1)
    return [
        by_clause(schema, cross_fit(member, features, taught, fold, config.most_tiles, derive_seed(seed, name)))
        for name, member in MEMBERS.items()
    ]


def _held_out(
    pooled: Mapping[str, np.ndarray], initial: AnnotationMatrix, held_out: np.ndarray, acceptance: AcceptanceConfig
) -> float:
    """Mean log-likelihood of the initial annotations of held-out tiles; of none minus infinity."""
    theirs = {clause: each[held_out] for clause, each in pooled.items()}
    found = held_out_log_likelihood(theirs, select(initial, held_out), acceptance)
    return -np.inf if found is None else found
