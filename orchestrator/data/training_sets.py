"""What a round is trained on: the targets that an earlier round left, and the shuffled rows made of them."""

from dataclasses import replace

import numpy as np
import pyarrow as pa

from actors.data.round_rows import shuffle_round
from actors.statistics.source import StatisticsSource
from hcot_llm.aggregation.relabel import statistics_confidence
from orchestrator.config.schema import RunConfig
from orchestrator.data.corpus_state import CorpusState
from orchestrator.data.training_targets import (
    TrainingSet,
    TrainingTargets,
    label_accuracy,
    training_rows,
    training_view,
)
from orchestrator.policies.schedule import Schedule
from orchestrator.state.run_directory import RunDirectory


def targets_of(
    config: RunConfig, directory: RunDirectory, corpus: CorpusState, committed: int
) -> tuple[TrainingTargets, np.ndarray | None]:
    """The targets that a round left, and what stands in place of its annotations' confidence; None: nothing does.

    Args:
        config: Configuration of the run.
        directory: Directory of the run.
        corpus: The corpus as that round committed it.
        committed: Number of the round; 0: the targets of initial annotations.
    """
    if committed:
        return with_decided(corpus, TrainingTargets.read(directory.feedback(committed))), None
    targets = TrainingTargets.first(int(corpus.in_training.sum()), len(corpus.annotations.schema))
    if (statistics := corpus.statistics) is None:
        return with_decided(corpus, targets), None
    confidence = _doubts(config, corpus, statistics)
    trusted = confidence[corpus.in_training] >= config.acceptance.minimum_trust
    targets = TrainingTargets(targets.caption_mask & trusted, targets.loss_mask & trusted, targets.hints)
    return with_decided(corpus, targets), confidence


def with_decided(corpus: CorpusState, targets: TrainingTargets) -> TrainingTargets:
    """The targets, and what people decided among them."""
    return targets if corpus.people is None else targets.with_decided(corpus.people.decided[corpus.in_training])


def training_set(
    config: RunConfig,
    corpus: CorpusState,
    targets: TrainingTargets,
    round_: int,
    confidence: np.ndarray | None = None,
) -> TrainingSet:
    """What a round is trained on, of these annotations; confidence: in place of the annotations' own."""
    plan, drawn = schedule_of(config).plan(round_), {"run_seed": config.seed, "round_": round_}
    training = corpus.training
    if confidence is not None:
        training = replace(training, confidence=confidence[corpus.in_training])
    view = training_view(training, corpus.training_initial, targets, plan, **drawn)
    rows = training_rows(training, view, targets, corpus.prepared.knowledge, plan, **drawn)
    mine = [rows.filter(pa.array(fold.trains[corpus.in_training])) for fold in corpus.folds]
    shuffled = tuple(
        shuffle_round(corpus.image_index, table, rows_per_block=config.corpus.rows_per_block, **drawn) for table in mine
    )
    return TrainingSet(round_, corpus.version, corpus.digest, shuffled, label_accuracy(view))


def _doubts(config: RunConfig, corpus: CorpusState, statistics: StatisticsSource) -> np.ndarray:
    """Probability of every initial annotation before an encoder was trained, float32 [N, clauses].

    Round 1 is trained on annotations that are as probable as those of later rounds have to be.
    """
    return statistics_confidence(
        statistics.distributions,
        corpus.annotations,
        corpus.initial,
        ~corpus.in_training,
        corpus.acceptance(config.acceptance),
    ).astype(np.float32)


def schedule_of(config: RunConfig) -> Schedule:
    """The schedule of a run."""
    return Schedule(config.schedule, config.train, config.acceptance)
