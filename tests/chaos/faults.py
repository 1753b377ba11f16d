"""Which processes are struck, in which phase of the loop, and when."""

from dataclasses import dataclass

from corpus.storage.rng import derive_seed
from orchestrator.state.records import PHASES

START_UP = "start-up"
BOUNDARY, INSIDE = "boundary", "inside"

LIVES_IN = {
    "driver": (START_UP, *PHASES),
    "trainer": PHASES,
    "captioner": PHASES,
    "serve controller": PHASES,
    "node": PHASES,
    "scorer": ("score",),
}
"""Phases in which a process is killed, at their start and inside; of a trainer, each rank."""

ABSENT = {
    "scorer": "the scorer's actors wait for the next score, and Ray starts one that has died anew",
}
"""Why a kind of process is not killed in the other phases."""

TRAINERS = 2
"""Ranks of configs/chaos.yaml."""


@dataclass(frozen=True)
class Fault:
    """One kind of fault at one moment.

    target: a kind of process (targets.TARGETS), number: a trainer's rank. phase: of the loop.
    moment: as the phase begins, or somewhere inside. action: kill (-9), terminate (SIGTERM, with its grace
    period), second driver (started on the same run directory) or pause (SIGSTOP until another driver has taken over).
    """

    target: str
    phase: str
    moment: str
    action: str = "kill"
    number: int = 0

    @property
    def name(self) -> str:
        """As the table's rows say it."""
        what = {
            "kill": f"kill -9 {self.who}",
            "terminate": "SIGTERM to the driver",
            "second driver": "two drivers",
            "pause": "driver paused, another takes over",
        }[self.action]
        return f"{what}, {'at the start of' if self.moment == BOUNDARY else 'inside'} {self.phase}"

    @property
    def who(self) -> str:
        return f"trainer rank {self.number}" if self.target == "trainer" else self.target

    @property
    def ends_driver(self) -> bool:
        """Whether the run goes on only with `knowlip resume`."""
        return self._ends_a_process and self.target in ("driver", "node", "gcs", "train controller", "trainer channel")

    @property
    def shares(self) -> bool:
        """Whether other faults may strike the same run. Another driver takes longer to start than a phase lasts."""
        return self._ends_a_process

    def rounds(self, of_run: int) -> range:
        """Rounds of a run that it may fall into.

        What it breaks has to be needed again, so not the last one; a resume needs everything.
        """
        return range(1, of_run + 1 if self.ends_driver else of_run)

    @property
    def _ends_a_process(self) -> bool:
        """Whether it ends a process, and not a race of two drivers."""
        return self.action in ("kill", "terminate")

    def delay_s(self, phase_s: float, seed: int) -> float:
        """Seconds to wait after the phase has begun, drawn from the time that an undisturbed phase takes."""
        if self.moment == BOUNDARY:
            return 0.0
        return phase_s * (0.1 + 0.8 * (derive_seed(seed, self.name, "delay") % 10_000) / 10_000)


def _kills() -> list[Fault]:
    found = []
    for target, phases in LIVES_IN.items():
        for number in range(TRAINERS if target == "trainer" else 1):
            for phase in phases:
                # A run begins with start-up: there is no boundary before it.
                moments = (INSIDE,) if phase == START_UP else (BOUNDARY, INSIDE)
                found += [Fault(target, phase, moment, number=number) for moment in moments]
    return found


FAULTS = (
    *_kills(),
    Fault("train controller", "train", INSIDE),
    Fault("trainer channel", "train", INSIDE),
    Fault("evaluator", "evaluate", BOUNDARY),
    Fault("gcs", "score", INSIDE),
    Fault("driver", "train", INSIDE, "terminate"),
    Fault("driver", "label", INSIDE, "terminate"),
    Fault("driver", "train", INSIDE, "second driver"),
    Fault("driver", "label", INSIDE, "second driver"),
    Fault("driver", "train", INSIDE, "pause"),
)
"""Processes that are struck. Faults of other kinds, such as a full disk, stand in rows.py beside them."""
