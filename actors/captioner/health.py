"""Health of a captioner engine, as a pure state machine: no Ray, no clock, no engine.

The rule that matters: an engine that (re)started holds some weights, but not provably the current ones. It is
STALE, and may not label, until a probe has shown that it serves the weights of this round.
"""

from dataclasses import dataclass, replace
from enum import StrEnum


class EngineState(StrEnum):
    """What is known of an engine: it starts, holds unproven weights, serves the current ones, or failed the probe."""

    STARTING = "starting"
    STALE = "stale"
    CURRENT = "current"
    FAILED = "failed"


class EngineEvent(StrEnum):
    """What happens to an engine."""

    STARTED = "started"
    PUBLISHED = "published"  # new weights exist; whatever the engine holds is old
    PROBE_MATCHED = "probe_matched"
    PROBE_DIFFERED = "probe_differed"
    CRASHED = "crashed"


class IllegalTransition(RuntimeError):
    """An event that cannot happen in the state the engine is in."""


@dataclass(frozen=True)
class EngineHealth:
    """The health of one engine.

    Attributes:
        state: What is known of the engine.
        wanted: Hash of the weights that it is to serve.
        proven: Hash of the weights that a probe has shown it to serve.
    """

    state: EngineState = EngineState.STARTING
    wanted: str | None = None
    proven: str | None = None

    @property
    def may_label(self) -> bool:
        """Whether the engine is proven to serve the wanted weights."""
        return self.state is EngineState.CURRENT and self.proven == self.wanted

    def on(self, event: EngineEvent, weights_sha256: str | None = None) -> "EngineHealth":
        """Return the health after an event.

        Args:
            event: What happened.
            weights_sha256: The weights that PUBLISHED and PROBE_MATCHED are about.

        Raises:
            IllegalTransition: The event cannot happen in this state.
        """
        match event:
            case EngineEvent.CRASHED:
                return replace(self, state=EngineState.STARTING, proven=None)
            case EngineEvent.STARTED if self.state is EngineState.STARTING:
                return replace(self, state=EngineState.STALE, proven=None)
            case EngineEvent.PUBLISHED if weights_sha256:
                state = self.state
                if state is not EngineState.STARTING and weights_sha256 != self.proven:
                    state = EngineState.STALE
                return replace(self, state=state, wanted=weights_sha256)
            case EngineEvent.PROBE_MATCHED if weights_sha256 and self.state in (EngineState.STALE, EngineState.CURRENT):
                state = EngineState.CURRENT if weights_sha256 == self.wanted else EngineState.STALE
                return replace(self, state=state, proven=weights_sha256)
            case EngineEvent.PROBE_DIFFERED if self.state in (EngineState.STALE, EngineState.CURRENT):
                return replace(self, state=EngineState.FAILED, proven=None)
        raise IllegalTransition(f"engine is {self.state}, and '{event}' cannot happen then")
