"""The least that a run requires of a cluster: which processes, how many, and what each reserves."""

from dataclasses import dataclass, replace

from orchestrator.cluster.resources import Resources
from orchestrator.config.schema import RunConfig
from orchestrator.policies.admission import Processes


@dataclass(frozen=True)
class Keys:
    """Configuration keys: how many CPUs and GPUs a process reserves, and how many processes there are at least."""

    cpus: str
    gpus: str
    count: str


@dataclass(frozen=True)
class Requirement:
    """Processes of one kind that a run cannot do without. Each process reserves its resources on one node.

    Args:
        name: What a process is called in messages, in the singular.
        count: How many processes there are at least.
        each: What one process reserves.
        keys: The keys that configure this, None where nothing can be configured.
    """

    name: str
    count: int
    each: Resources
    keys: Keys | None = None


def requirements(config: RunConfig) -> list[Requirement]:
    """Return the least training group, captioners, scorers, and one CPU for Ray Data's tasks."""
    train, captioner, score = config.train, config.captioner.replicas, config.score
    return [
        Requirement(
            "training worker",
            train.min_workers,
            Resources(train.cpus_per_worker, train.gpus_per_worker),
            Keys("train.cpus_per_worker", "train.gpus_per_worker", "train.min_workers"),
        ),
        Requirement(
            "captioner",
            captioner.count,
            Resources(captioner.cpus, captioner.gpus),
            Keys("captioner.cpus_per_replica", "captioner.gpus_per_replica", "captioner.min_replicas"),
        ),
        Requirement(
            "scorer",
            score.min_workers,
            Resources(score.cpus_per_worker, score.gpus_per_worker),
            Keys("score.cpus_per_worker", "score.gpus_per_worker", "score.min_workers"),
        ),
        Requirement("task of Ray Data", 1, Resources(1, 0)),
    ]


def most_processes(config: RunConfig) -> list[Processes]:
    """Return the processes of `requirements`, and how many of each kind there may be at one time."""
    most = (config.train.most_workers, config.captioner.replicas.most, config.score.max_workers, 1)
    return [
        Processes(kind.count, max(kind.count, number), kind.each.cpus, kind.each.gpus)
        for kind, number in zip(requirements(config), most, strict=True)
    ]


def total_requirement(config: RunConfig) -> Resources:
    """Return the sum of `requirements`, and the memory that the configuration names."""
    return Resources(*_sum(requirements(config)), config.cluster.memory_gib)


def beside_training(config: RunConfig, captioners: int, total: Resources) -> list[dict[str, float]]:
    """Return what is held back from an elastic training group, process by process, as Ray counts resources.

    Captioners are always held back. Scorers and Ray Data's tasks are held back only where the largest group would take
    what they need: Ray Data may use nothing that is held back, so where there is more than enough it gets what is left.

    Args:
        config: The run's configuration.
        captioners: How many captioners there are now, where they have grown beyond the least number.
        total: The resources of the whole cluster.
    """
    worker, captioner, *others = requirements(config)
    captioner = replace(captioner, count=max(captioner.count, captioners))
    largest = replace(worker, count=config.train.most_workers)
    cpus, gpus = _sum([largest, captioner, *others])
    kinds = [captioner] if cpus <= total.cpus and gpus <= total.gpus else [captioner, *others]
    return [{"CPU": kind.each.cpus, "GPU": kind.each.gpus} for kind in kinds for _ in range(kind.count)]


def _sum(kinds: list[Requirement]) -> tuple[float, float]:
    """Return CPUs and GPUs of all processes.

    Ray counts in ten-thousandths. Without rounding, 2 x 0.1 and 7 x 0.4 GPUs would be a little more than 3.
    """
    return (
        round(sum(kind.count * kind.each.cpus for kind in kinds), 4),
        round(sum(kind.count * kind.each.gpus for kind in kinds), 4),
    )
