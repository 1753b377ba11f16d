"""`knowlip simulate`: the loop and the schedule of a run, with steps that take time only on a clock of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from corpus.storage.errors import InputError
from orchestrator.config.schema import RunConfig
from orchestrator.loop import run_loop
from orchestrator.policies.folds import make_folds
from orchestrator.policies.schedule import Schedule
from orchestrator.simulation.costs import Costs
from orchestrator.simulation.hardware import Crew, Hardware, crew_of
from orchestrator.simulation.steps import SimulatedAnswers, SimulatedCorpus, SimulatedRound, SimulatedSteps
from orchestrator.simulation.timeline import Clock, Span, Work, end_of, held_hours, usage, used_cpu_hours


@dataclass(frozen=True)
class Simulation:
    """What a simulated run came to.

    Attributes:
        hardware: The cluster.
        crew: The processes on it.
        spans: All phases in the order in which they began.
        end: Why the schedule ended the run before its last round; None: it did not.
    """

    hardware: Hardware
    crew: Crew
    spans: tuple[Span, ...]
    end: str | None

    @property
    def total_s(self) -> float:
        """Seconds of the whole run."""
        return end_of(self.spans)

    @property
    def round_s(self) -> dict[int, float]:
        """Seconds by round, from one record to the next; the first one has the start-up, as in a run's records."""
        recorded = {span.round: span.end_s for span in self.spans if span.phase == "evaluate"}
        return {number: end_s - recorded.get(number - 1, 0.0) for number, end_s in sorted(recorded.items())}

    def as_json(self) -> dict[str, Any]:
        """The simulation as plain values.

        Returns:
            A dictionary with these keys:
                hardware: nodes, cpus and gpus of each, and cores of all.
                total_s: Seconds of the whole run.
                rounds: Seconds by round; the first one has the start-up.
                ended_early: Why the schedule ended the run; None: it did not.
                timeline: For each phase of each round its fields (`Span`) and end_s.
                processes: For each kind its fields (`Usage`), utilisation, idle_cpu_hours and idle_gpu_hours.
                core_utilisation: Share of the cluster's cores that were busy on average.
                cpu_hours_used, cpu_hours_held, gpu_hours_held: what the run costs.
        """
        cpus, gpus = held_hours(self.spans, self.crew)
        used = used_cpu_hours(self.spans)
        return {
            "hardware": asdict(self.hardware),
            "total_s": self.total_s,
            "rounds": [{"round": number, "seconds": seconds} for number, seconds in self.round_s.items()],
            "ended_early": self.end,
            "timeline": [asdict(span) | {"end_s": span.end_s} for span in self.spans],
            "processes": [
                asdict(each)
                | {
                    "utilisation": each.utilisation,
                    "idle_cpu_hours": each.idle_cpu_hours,
                    "idle_gpu_hours": each.idle_gpu_hours,
                }
                for each in usage(self.spans, self.crew)
            ],
            "core_utilisation": used * 3600 / (self.total_s * self.hardware.cores) if self.total_s else 0.0,
            "cpu_hours_used": used,
            "cpu_hours_held": cpus,
            "gpu_hours_held": gpus,
        }


class SimulatedSession:
    """What `Session` is to a run: start-up, the rounds by the schedule, and their records."""

    def __init__(self, config: RunConfig, costs: Costs, hardware: Hardware, clock: Clock) -> None:
        self._config, self._costs, self._hardware, self._clock = config, costs, hardware, clock
        self._schedule = Schedule(config.schedule, config.train, config.acceptance)
        self.end: str | None = None

    def start(self) -> tuple[SimulatedCorpus, SimpleNamespace]:
        """Spend the start-up, and lay out as many tiles as there are."""
        cost = self._costs.startup
        cores = 1.0 if cost.busy_cores is None else cost.busy_cores
        self._clock.spend(Work(0, None, "startup", cost.first_s + cost.start_s + cost.each_s, 1, cores))
        tiles = tiles_of(self._config, self._costs)
        in_training = np.arange(tiles) < max(1, round(self._costs.training_share * tiles))
        names = [f"tile-{number:06d}" for number in range(tiles)]
        folds = make_folds(names, in_training, self._schedule.folds, self._config.seed)
        actors = SimpleNamespace(trainer=None, captioner=None, scorers=None, evaluator=None)
        return SimulatedCorpus(folds, in_training, len(self._config.annotation_schema)), actors

    def remaining_rounds(self) -> Iterator[SimulatedRound]:
        """The rounds, until all are done or the schedule ends the run."""
        for number in range(1, self._config.rounds + 1):
            yield SimulatedRound(number, self._schedule.plan(number))
            if self.end is not None:
                return

    @contextmanager
    def recording(self, round_: SimulatedRound) -> Iterator["_Recorder"]:
        """Run the body as a round, after which the schedule decides whether the run goes on."""
        recorder = _Recorder()
        yield recorder
        if round_.number < self._config.rounds:
            self.end = self._schedule.why_end(round_.number, recorder.regenerated, recorder.accepted)

    def finish(self) -> None:
        """End a training that nobody waits for, as the schedule has ended the run."""
        self._clock.stop()


class _Recorder:
    """Keeps what the schedule asks for after a round."""

    def __init__(self) -> None:
        self.findings: list[SimulatedAnswers] = []
        self.regenerated, self.accepted = 0, 0

    def add_training(self, result: None) -> None:
        """Nothing of a simulated training is kept."""

    def add_labelling(self, *parts: Any) -> None:
        """Keep the answers, which come last."""
        self.findings.append(parts[-1])

    def add_update(self, corpus: SimulatedCorpus, findings: SimulatedAnswers, accepted: int) -> None:
        """Keep how many clauses were answered and accepted."""
        self.regenerated, self.accepted = findings.regenerated, accepted

    def add_evaluation(self, *parts: Any) -> None:
        """Nothing of a simulated evaluation is kept."""


def simulate(config: RunConfig, costs: Costs, hardware: Hardware) -> Simulation:
    """Run the loop of a configuration on a simulated cluster.

    Raises:
        InputError: The run does not fit on the cluster, or nobody says how many tiles there are.
        ConfigError: A fold has no training tile.
    """
    crew, clock = crew_of(config, hardware), Clock(hardware.cores)
    session = SimulatedSession(config, costs, hardware, clock)
    run_loop(session, SimulatedSteps(config, costs, hardware, crew, clock))
    return Simulation(hardware, crew, clock.spans, session.end)


def tiles_of(config: RunConfig, costs: Costs) -> int:
    """Number of tiles of the corpus.

    Raises:
        InputError: They are cut from scenes, and the costs do not say how many there are.
    """
    if costs.tiles is not None:
        return costs.tiles
    if config.corpus.kind == "simulated":
        return config.corpus.simulated.tiles
    raise InputError(
        "How many tiles scenes are cut into is not known before: state `tiles` in the file of --costs, or give the "
        "directory of a finished run on them."
    )
