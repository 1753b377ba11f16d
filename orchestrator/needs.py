"""The least that a run needs of a cluster: which processes, how many, and what each reserves."""

from dataclasses import dataclass

from orchestrator.config import RunConfig
from orchestrator.offer import Resources


@dataclass(frozen=True)
class Keys:
    """Of the configuration: how many CPUs and GPUs a process reserves, and how many processes there are at least."""

    cpus: str
    gpus: str
    count: str


@dataclass(frozen=True)
class Need:
    """Processes of one kind that a run cannot do without. Each reserves its resources on one node.

    keys: None where nothing can be configured.
    """

    name: str
    count: int
    each: Resources
    keys: Keys | None = None


def needs(config: RunConfig, total: Resources) -> list[Need]:
    """The training group that starts on so much, captioners, scorers, and one CPU for Ray Data's tasks."""
    train, captioner, score = config.train, config.captioner, config.score
    workers = "train.max_workers" if config.cluster.address is None else "train.min_workers"
    return [
        Need("training worker", trainers(config, total), Resources(train.cpus_per_worker, train.gpus_per_worker),
             Keys("train.cpus_per_worker", "train.gpus_per_worker", workers)),
        Need("captioner", captioner.replicas_needed, Resources(captioner.cpus_per_replica, captioner.gpus_per_replica),
             Keys("captioner.cpus_per_replica", "captioner.gpus_per_replica", "captioner.min_replicas")),
        Need("scorer", score.min_workers, Resources(score.cpus_per_worker, score.gpus_per_worker),
             Keys("score.cpus_per_worker", "score.gpus_per_worker", "score.min_workers")),
        Need("task of Ray Data", 1, Resources(1, 0)),
    ]


def needed(config: RunConfig, total: Resources) -> Resources:
    """The sum of `needs`, and the memory that the configuration names."""
    kinds = needs(config, total)
    # Ray counts in ten-thousandths; 2 x 0.1 and 7 x 0.4 GPUs would be a little more than 3.
    cpus, gpus = (round(sum(amounts), 4) for amounts in
                  ([kind.count * kind.each.cpus for kind in kinds], [kind.count * kind.each.gpus for kind in kinds]))
    return Resources(cpus, gpus, config.cluster.memory_gib)


def trainers(config: RunConfig, total: Resources) -> int:
    """Training workers that captioner and scorer have to find room beside.

    The group takes as many as fit, whatever else will want to start there. On a cluster that may grow the least of them
    counts; a local one is never larger than it is.
    """
    train = config.train
    if config.cluster.address is not None:
        return train.min_workers
    fit = total.cpus // train.cpus_per_worker
    if train.gpus_per_worker:
        fit = min(fit, total.gpus // train.gpus_per_worker)
    return max(train.min_workers, min(train.max_workers, int(fit)))
