"""What happened when in a simulated run, and what follows from it: utilisation, idle time, cost."""

from collections.abc import Sequence
from dataclasses import dataclass

from orchestrator.simulation.hardware import CAPTIONER, SCORER, TRAINER, Crew

WORKS_IN = {"train": TRAINER, "score": SCORER, "label": CAPTIONER}
"""Phase -> the kind of process that works in it. In the other phases the driver and tasks of Ray Data do."""
_HOUR_S = 3600


@dataclass(frozen=True)
class Span:
    """One phase of one round.

    Attributes:
        round: Number of the round; 0: the start-up.
        fold: Number of the fold; None where the phase is of all folds.
        phase: Name of the phase.
        begin_s: Seconds since the start of the run.
        seconds: How long it lasts.
        units: How many units there were (`orchestrator.simulation.costs.UNITS`).
        cores: CPU cores busy on average.
    """

    round: int
    fold: int | None
    phase: str
    begin_s: float
    seconds: float
    units: float
    cores: float

    @property
    def end_s(self) -> float:
        """Seconds since the start of the run."""
        return self.begin_s + self.seconds


class Clock:
    """The time of a simulated run, in seconds: it moves where a phase is entered."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    @property
    def now_s(self) -> float:
        """Seconds since the start of the run."""
        return self.spans[-1].end_s if self.spans else 0.0

    def spend(self, round_: int, fold: int | None, phase: str, seconds: float, units: float, cores: float) -> None:
        """Enter a phase that lasts so long."""
        self.spans.append(Span(round_, fold, phase, self.now_s, seconds, units, cores))


@dataclass(frozen=True)
class Usage:
    """How much processes of one kind work.

    Attributes:
        name: The kind.
        count: Number of processes.
        cpus: CPUs that all of them hold together.
        gpus: GPUs that all of them hold together.
        busy_s: Seconds in which they work.
        idle_s: Seconds in which they are held and wait.
    """

    name: str
    count: int
    cpus: float
    gpus: float
    busy_s: float
    idle_s: float

    @property
    def utilisation(self) -> float:
        """Share of the time in which they work, in [0, 1]."""
        whole = self.busy_s + self.idle_s
        return self.busy_s / whole if whole else 0.0

    @property
    def idle_cpu_hours(self) -> float:
        """CPUs held for nothing, in hours."""
        return self.cpus * self.idle_s / _HOUR_S

    @property
    def idle_gpu_hours(self) -> float:
        """GPUs held for nothing, in hours."""
        return self.gpus * self.idle_s / _HOUR_S


def usage(spans: Sequence[Span], crew: Crew) -> list[Usage]:
    """How much each kind of process works that has a phase of its own."""
    total = spans[-1].end_s
    found = []
    for phase, name in WORKS_IN.items():
        kind = crew.kinds[name]
        if kind.count:
            busy = sum(span.seconds for span in spans if span.phase == phase)
            cpus, gpus = kind.count * kind.each.cpus, kind.count * kind.each.gpus
            found.append(Usage(name, kind.count, cpus, gpus, busy, total - busy))
    return found


def held_hours(spans: Sequence[Span], crew: Crew) -> tuple[float, float]:
    """CPU hours and GPU hours that the run's processes hold."""
    hours = spans[-1].end_s / _HOUR_S
    kinds = crew.kinds.values()
    return (
        hours * sum(kind.count * kind.each.cpus for kind in kinds),
        hours * sum(kind.count * kind.each.gpus for kind in kinds),
    )


def used_cpu_hours(spans: Sequence[Span]) -> float:
    """CPU hours that the run uses."""
    return sum(span.seconds * span.cores for span in spans) / _HOUR_S
