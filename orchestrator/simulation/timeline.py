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


@dataclass(frozen=True)
class Work:
    """What one phase of one round has to do: the fields of its span, and its seconds with all cores that it can use."""

    round: int
    fold: int | None
    phase: str
    seconds: float
    units: float
    cores: float

    def span(self, begin_s: float, end_s: float, done: float | None = None) -> Span:
        """The phase as it was; done: of its own seconds those that were worked off, None: all."""
        lasted, worked = end_s - begin_s, self.seconds if done is None else done
        cores = self.cores * worked / lasted if lasted else self.cores
        return Span(self.round, self.fold, self.phase, begin_s, lasted, self.units, cores)


class Clock:
    """The time of a simulated run, in seconds: it moves where a phase is entered, or one that was begun is waited for.

    One phase at most goes on beside the others. Two that ask for more cores than there are slow each other down, both
    by the same factor.

    Args:
        cores: CPU cores of the cluster.
    """

    def __init__(self, cores: float) -> None:
        self._cores, self._spans = cores, list[Span]()
        self._beside: Work | None = None
        self._begun_s, self._left_s, self._ended_s = 0.0, 0.0, 0.0
        self.now_s = 0.0

    @property
    def spans(self) -> tuple[Span, ...]:
        """All phases that are over, in the order in which they began."""
        return tuple(sorted(self._spans, key=lambda span: span.begin_s))

    def spend(self, work: Work) -> None:
        """Enter a phase, and leave it when it is done."""
        begin_s, left_s = self.now_s, work.seconds
        if self._beside is not None and self._left_s:
            speed = min(1.0, self._cores / (work.cores + self._beside.cores))
            both = min(left_s, self._left_s)
            self.now_s += both / speed
            left_s, self._left_s = left_s - both, self._left_s - both
            self._ended_s = self.now_s
        self.now_s += left_s
        self._spans.append(work.span(begin_s, self.now_s))

    def begin(self, work: Work) -> None:
        """Have a phase go on beside those that are entered from now on."""
        self._beside, self._begun_s, self._left_s, self._ended_s = work, self.now_s, work.seconds, self.now_s

    def goes_on(self, round_: int, fold: int) -> bool:
        """Whether this is what goes on beside the others, or has ended and was not waited for."""
        return self._beside is not None and (self._beside.round, self._beside.fold) == (round_, fold)

    def wait(self) -> None:
        """Wait for what goes on beside the others."""
        if self._beside is not None:
            if self._left_s:
                self.now_s += self._left_s
                self._ended_s = self.now_s
            self._spans.append(self._beside.span(self._begun_s, self._ended_s))
            self._beside = None

    def stop(self) -> None:
        """End what goes on beside the others, done or not."""
        if self._beside is not None:
            end_s = self.now_s if self._left_s else self._ended_s
            self._spans.append(self._beside.span(self._begun_s, end_s, self._beside.seconds - self._left_s))
            self._beside = None


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


def end_of(spans: Sequence[Span]) -> float:
    """Seconds of the whole run."""
    return max(span.end_s for span in spans)


def usage(spans: Sequence[Span], crew: Crew) -> list[Usage]:
    """How much each kind of process works that has a phase of its own."""
    total = end_of(spans)
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
    scoring_s = sum(span.seconds for span in spans if span.phase == "score")
    held_s = {name: kind.count * end_of(spans) for name, kind in crew.kinds.items()}
    come_and_go = crew.count(SCORER) - crew.standing_scorers
    held_s[SCORER] += come_and_go * (scoring_s - end_of(spans))
    return (
        sum(seconds * crew.kinds[name].each.cpus for name, seconds in held_s.items()) / _HOUR_S,
        sum(seconds * crew.kinds[name].each.gpus for name, seconds in held_s.items()) / _HOUR_S,
    )


def used_cpu_hours(spans: Sequence[Span]) -> float:
    """CPU hours that the run uses."""
    return sum(span.seconds * span.cores for span in spans) / _HOUR_S
