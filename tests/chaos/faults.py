"""Which faults are injected, and when."""

from dataclasses import dataclass

from corpus.seeds import derive_seed
from orchestrator.records import PHASES

BOUNDARY, INSIDE = "boundary", "inside"


@dataclass(frozen=True)
class Fault:
    """One kind of fault at one moment.

    victim: a kind of process (victims.VICTIMS), number: which of several, by process id. phase: of the loop.
    moment: as the phase begins, or somewhere inside. blow: kill (-9), terminate (SIGTERM, with its grace
    period), second driver (started on the same run directory) or pause (SIGSTOP until another driver has taken over).
    """

    victim: str
    phase: str
    moment: str
    blow: str = "kill"
    number: int = 0

    @property
    def name(self) -> str:
        """As the table's rows say it."""
        who = f"trainer rank {self.number}" if self.victim == "trainer" else self.victim
        what = {"kill": f"kill -9 {who}", "terminate": "SIGTERM to the driver", "second driver": "two drivers",
                "pause": "driver paused, another takes over"}[self.blow]
        return f"{what}, {'at the start of' if self.moment == BOUNDARY else 'inside'} {self.phase}"

    def delay_s(self, phase_s: float, seed: int) -> float:
        """Seconds to wait after the phase has begun, drawn from the time that an undisturbed phase takes."""
        if self.moment == BOUNDARY:
            return 0.0
        return phase_s * (0.1 + 0.8 * (derive_seed(seed, self.name, "delay") % 10_000) / 10_000)


@dataclass(frozen=True)
class Condition:
    """A fault that lasts: settings under which a whole run has to lose nothing, though it comes out differently.

    counted_by: the metric of the round records that says how often it struck.
    """

    name: str
    settings: tuple[str, ...]
    counted_by: str


CONDITIONS = (Condition("poison captions 10 %", ("captioner.engine.poison_share=0.1",), "poison_injected"),)

FAULTS = (
    *(Fault("driver", phase, moment) for phase in PHASES for moment in (BOUNDARY, INSIDE)),
    Fault("trainer", "train", INSIDE, number=0), Fault("trainer", "train", INSIDE, number=1),
    Fault("train controller", "train", INSIDE), Fault("mailbox", "train", INSIDE),
    Fault("captioner", "train", INSIDE), Fault("captioner", "publish", BOUNDARY), Fault("captioner", "label", INSIDE),
    Fault("scorer", "score", INSIDE),
    Fault("serve controller", "train", INSIDE), Fault("serve controller", "label", INSIDE),
    Fault("evaluator", "evaluate", BOUNDARY),
    Fault("node", "train", INSIDE), Fault("node", "label", INSIDE), Fault("gcs", "score", INSIDE),
    Fault("driver", "train", INSIDE, "terminate"), Fault("driver", "label", INSIDE, "terminate"),
    Fault("driver", "train", INSIDE, "second driver"), Fault("driver", "label", INSIDE, "second driver"),
    Fault("driver", "train", INSIDE, "pause"),
)
"""What `make chaos` injects."""
