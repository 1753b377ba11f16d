"""The cluster that is simulated: how many processes of each kind find room on it, by the rules of a real run."""

from dataclasses import dataclass, replace

from corpus.storage.errors import InputError
from orchestrator.cluster.placement import find_unplaced, missing_room
from orchestrator.cluster.requirements import Requirement, requirements, total_requirement
from orchestrator.cluster.resources import ClusterCapacity, Resources
from orchestrator.config.schema import RunConfig

TRAINER, CAPTIONER, SCORER = "training worker", "captioner", "scorer"


@dataclass(frozen=True)
class Hardware:
    """The nodes of a cluster.

    Attributes:
        nodes: Number of nodes.
        cpus: Logical CPUs of each.
        gpus: GPUs of each.
        cores: CPU cores of all nodes together. A local cluster may have more logical CPUs than that.
    """

    nodes: int
    cpus: float
    gpus: float
    cores: float

    @property
    def capacity(self) -> ClusterCapacity:
        """The nodes as a run's preflight sees them."""
        return ClusterCapacity((Resources(self.cpus, self.gpus),) * self.nodes)


def choose_hardware(
    config: RunConfig, cores: float, nodes: int | None, cpus: float | None, gpus: float | None
) -> Hardware:
    """The stated cluster, or the local one of the configuration where nothing is stated.

    Args:
        config: Configuration of the run.
        cores: CPU cores of the machine on which costs were measured.
        nodes: Number of nodes; None: one.
        cpus: CPUs of each node, which are cores; None: those of a local cluster.
        gpus: GPUs of each node; None: none.
    """
    if cpus is None:
        return Hardware(nodes or 1, config.cluster.local_cpus, gpus or 0, cores * (nodes or 1))
    return Hardware(nodes or 1, cpus, gpus or 0, cpus * (nodes or 1))


@dataclass(frozen=True)
class Crew:
    """The processes of a run: for each kind its number and what one process reserves.

    Attributes:
        kinds: By name.
        standing_scorers: Scorers that a run keeps between its rounds; the others are there while it scores.
    """

    kinds: dict[str, Requirement]
    standing_scorers: int

    def count(self, name: str) -> int:
        """Number of processes of a kind."""
        return self.kinds[name].count


def crew_of(config: RunConfig, hardware: Hardware) -> Crew:
    """The processes that a run has on a cluster: training group and scorers as large as they find room.

    The training group grows first, as it does in a run: captioner, scorers and a task of Ray Data are held back from it
    at their least number.

    Raises:
        InputError: What the run needs at least finds no room.
    """
    least = requirements(config)
    capacity = hardware.capacity
    total, needed = capacity.total, total_requirement(config)
    together = total.cpus >= needed.cpus and total.gpus >= needed.gpus
    problems = missing_room(least, capacity, together)
    if not together:
        problems.append(
            f"the run needs {needed.cpus:g} CPUs and {needed.gpus:g} GPUs at least (`knowlip plan` says for what), and "
            f"the simulated cluster has {total.cpus:g} and {total.gpus:g}"
        )
    if problems:
        raise InputError(
            f"The run does not fit on {hardware.nodes} nodes of {hardware.cpus:g} CPUs and {hardware.gpus:g} GPUs: "
            f"{'; '.join(problems)}. Give larger --nodes, --cpus or --gpus."
        )
    kinds = {kind.name: kind for kind in least}
    for name, most in ((TRAINER, config.train.most_workers), (SCORER, config.score.max_workers)):
        kinds[name] = _largest(kinds, name, most, capacity)
    return Crew(kinds, config.score.min_workers)


def _largest(kinds: dict[str, Requirement], name: str, most: int, capacity: ClusterCapacity) -> Requirement:
    """A kind with as many processes as fit beside all others, at most `most`."""
    others = [kind for kind in kinds.values() if kind.name != name]
    for count in range(most, kinds[name].count, -1):
        larger = replace(kinds[name], count=count)
        if find_unplaced([larger, *others], capacity.nodes) is None:
            return larger
    return kinds[name]


def speed_of_training(config: RunConfig, workers: int, cores: float) -> float:
    """How many workers' work a group does in the time of one worker.

    The micro-batches of a step are dealt out to the workers; CPU workers have no more cores than there are.
    """
    batches = config.train.micro_batches_per_step
    dealt = batches / -(-batches // workers)
    return dealt if config.train.gpus_per_worker else min(dealt, max(1.0, cores / config.train.threads_per_worker))


def speed(processes: int, gpus: float, cores: float) -> float:
    """How many processes' work is done in the time of one process."""
    return float(processes) if gpus else min(processes, max(1.0, cores))
