"""The actors of a run: how trainer, captioner and evaluator are made from its configuration."""

import logging
from dataclasses import dataclass
from typing import Any

import ray

from actors.captioner.base import Captioner, CaptionerInputs
from actors.captioner.deployment import remove_deployment, replicas_of
from actors.data.reservation import Reservation, cancel_reservation
from actors.evaluator import Evaluator
from actors.scorer.pool import ScorerPool
from actors.trainer.group import TrainerGroup
from actors.trainer.start_weights import StartWeights
from actors.weight_files import pretrained_of
from corpus.storage.rng import derive_seed
from orchestrator.cluster.capacity import capacity_of
from orchestrator.cluster.requirements import beside_training
from orchestrator.config.schema import RunConfig
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.state.records import read_initial_summary
from orchestrator.state.run_directory import RunDirectory

_log = logging.getLogger(__name__)
EvaluatorHandle = Any
"""An actor of actors.evaluator. Ray gives its remote methods no types."""


@dataclass(frozen=True)
class Actors:
    """The actors that the steps of a round call."""

    trainer: TrainerGroup
    captioner: Captioner
    evaluator: EvaluatorHandle
    scorers: ScorerPool


def started_from(directory: RunDirectory) -> dict[str, str]:
    """Which towers of the run's first weights started from a ViT of others: section -> SHA-256 of its file.

    Its record has it once those weights are deleted.
    """
    if directory.weights(0).exists():
        return pretrained_of(directory.weights(0))
    before = read_initial_summary(directory.path)
    return {} if before is None else dict(before.pretrained)


def owner_of(directory: RunDirectory) -> str:
    """A name for what a run holds on a cluster. Runs of one name may lie in several places."""
    return f"{directory.run_id}-{derive_seed(str(directory.path.resolve())) % 2**32:08x}"


def make_reservation(config: RunConfig, directory: RunDirectory) -> Reservation | None:
    """Reserve what has to find room beside an elastic training group; None where the group is not elastic."""
    if config.train.min_workers >= config.train.most_workers:
        return None
    owner = owner_of(directory)
    return Reservation(owner, lambda: beside_training(config, replicas_of(owner), capacity_of(ray.nodes()).total))


def end_leftovers(owner: str) -> None:
    """End what outlives the killed driver of another run: its captioner, and what it held back from training groups.

    Args:
        owner: what `owner_of` returned there.
    """
    if remove_deployment(owner):
        _log.warning("the captioner of %s, whose driver was killed, was ended: its room was needed", owner)
    cancel_reservation(owner)


def start_weights(config: RunConfig, directory: RunDirectory) -> StartWeights:
    """The weights of round 0."""
    return StartWeights(
        directory.weights(0),
        config.annotation_schema,
        config.model,
        derive_seed(config.seed, "weights"),
        config.start_weights,
        directory.writer,
    )


def make_trainer(config: RunConfig, directory: RunDirectory) -> TrainerGroup:
    """Start the training workers; `wait_until_ready` waits for them."""
    start = start_weights(config, directory)
    if start.comes_from_files:
        start.make()
    return TrainerGroup(
        config.train,
        run_seed=config.seed,
        run_dir=directory.path,
        start=start,
        feedback=config.captioner.feedback_in_prompt,
        levels=config.captioner.asks_by_levels,
        writer=directory.writer,
    )


def start_captioner(config: RunConfig, directory: RunDirectory, prepared: PreparedCorpus) -> Captioner:
    """Start the captioner, which goes on starting while the first round trains."""
    return config.captioner.start(
        CaptionerInputs(directory.weights(0), prepared.tiles, prepared.corpus_dir, owner_of(directory))
    )


def start_evaluator(config: RunConfig, prepared: PreparedCorpus) -> EvaluatorHandle:
    """Start the evaluator, the only one that is told where the truth lies. It ends with the connection to Ray."""
    truth_dir = None if prepared.truth_dir is None else str(prepared.truth_dir)
    return Evaluator.remote(config.annotation_schema, truth_dir, config.evaluation.all_tasks)
