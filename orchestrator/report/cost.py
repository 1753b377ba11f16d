"""What rounds cost: the CPU time that their processes used, and the CPUs and GPUs that the run held meanwhile."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from orchestrator.cluster.requirements import requirements
from orchestrator.config.schema import RunConfig
from orchestrator.state.records import RoundRecord

_HOUR_S = 3600


@dataclass(frozen=True)
class Cost:
    """Hours of processors.

    Attributes:
        cpu_hours_used: CPU time of the processes on the driver's node, in hours; None where a round has no measurement.
        cpu_hours_held: CPUs that the run reserved of Ray, times the time that it held them, in hours.
        gpu_hours_held: The same of GPUs.
    """

    cpu_hours_used: float | None
    cpu_hours_held: float
    gpu_hours_held: float

    def as_json(self) -> dict[str, float | None]:
        """The fields as plain values."""
        return asdict(self)


def held(config: RunConfig, workers: int) -> tuple[float, float]:
    """CPUs and GPUs that a run reserves with a number of training workers: what it needs at least beside them.

    Args:
        config: Configuration of the run.
        workers: Number of training workers.
    """
    worker, *others = requirements(config)
    counted = [(workers, worker.each), *((kind.count, kind.each) for kind in others)]
    return sum(count * each.cpus for count, each in counted), sum(count * each.gpus for count, each in counted)


def cost_of(config: RunConfig, records: Sequence[RoundRecord]) -> Cost:
    """What the recorded rounds of a run cost."""
    used = [None if record.cpu_s is None else sum(record.cpu_s.values()) for record in records]
    holding = [(record.timings.total_s, *held(config, record.world_size)) for record in records]
    return Cost(
        None if None in used else sum(value for value in used if value is not None) / _HOUR_S,
        sum(seconds * cpus for seconds, cpus, _ in holding) / _HOUR_S,
        sum(seconds * gpus for seconds, _, gpus in holding) / _HOUR_S,
    )
