"""When a run counts as stalled, and what is said of it.

The policy is plain: how long nothing has moved and the limits decide what to do. orchestrator/monitoring/watchdog.py
carries the decision out.
"""

from dataclasses import dataclass
from enum import Enum

from pydantic import Field, model_validator

from corpus.storage.models import StrictModel


class WatchdogConfig(StrictModel):
    """What counts as a run that hangs. Steps trained, and tiles scored or answered, are signs of life."""

    warn_after_s: float = Field(
        default=1200,
        gt=0,
        description="a phase in which nothing moved for so long is named, with the resources that Ray waits for",
    )
    give_up_after_s: float = Field(
        default=7200, gt=0, description="a phase in which nothing moved for so long ends the run"
    )

    @model_validator(mode="after")
    def _ordered(self) -> "WatchdogConfig":
        if self.warn_after_s > self.give_up_after_s:
            raise ValueError(
                f"warn_after_s ({self.warn_after_s:g}) is larger than give_up_after_s ({self.give_up_after_s:g})"
            )
        return self


class Verdict(Enum):
    """What to do about a phase in which nothing has moved for a while."""

    QUIET = "quiet"
    WARN = "warn"
    GIVE_UP = "give up"


def judge(idle_s: float, config: WatchdogConfig, warned: bool) -> Verdict:
    """Decide what to do when nothing has moved for `idle_s` seconds; a silence is warned of once."""
    if idle_s >= config.give_up_after_s:
        return Verdict.GIVE_UP
    return Verdict.WARN if idle_s >= config.warn_after_s and not warned else Verdict.QUIET


@dataclass(frozen=True)
class PendingDemand:
    """What a Ray cluster has pending.

    Attributes:
        pending: each demand in words, such as "1 x actor or task that asks for 4 CPU".
        free: Free resources and all resources, in words.
    """

    pending: tuple[str, ...]
    free: str

    def __str__(self) -> str:
        if not self.pending:
            return f"Ray has nothing pending, so something that runs does not come to an end; free: {self.free}."
        return f"Ray waits for {'; '.join(self.pending)}; free: {self.free}."


def stall_message(phase: str, round_: int | None, idle_s: float, demand: str) -> str:
    """Say in which phase nothing moved, for how long, and what Ray waits for."""
    where = f"{phase} of round {round_}" if round_ else phase
    return f"Nothing has moved in {where} for {duration(idle_s)}. {demand}"


def duration(seconds: float) -> str:
    """A duration in words: seconds below two minutes, else minutes."""
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
