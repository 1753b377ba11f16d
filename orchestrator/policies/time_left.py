"""How long a run still takes, by its phase's progress and the times of its finished rounds. An estimate, for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Position:
    """Where a run is.

    Attributes:
        phase: one of the phases.
        round: number of the round, from 1.
        rounds: rounds of the run.
        spent_s: seconds since the phase began.
        share: share of the phase that is done, in 0..1; None where it is not known.
    """

    phase: str
    round: int
    rounds: int
    spent_s: float
    share: float | None = None


def phase_left_s(position: Position) -> float | None:
    """Return the seconds that the phase still takes at the pace that it has had; None where nothing is known of it."""
    if not position.share:
        return None
    return position.spent_s * (1 - position.share) / position.share


def run_left_s(position: Position, phases: Sequence[str], finished: Sequence[Mapping[str, float]]) -> float | None:
    """Return the seconds that the run still takes; None before a round is finished.

    The first round trains longer than the others, so it counts only where no other is finished.

    Args:
        position: where the run is.
        phases: all phases of a round in their order.
        finished: of each finished round the seconds by phase.
    """
    if not finished or position.phase not in phases:
        return None
    rounds = finished[1:] or finished
    mean = {phase: sum(each[phase] for each in rounds) / len(rounds) for phase in phases}
    left = phase_left_s(position)
    if left is None:
        left = max(0.0, mean[position.phase] - position.spent_s)
    later = sum(mean[phase] for phase in phases[phases.index(position.phase) + 1 :])
    return left + later + (position.rounds - position.round) * sum(mean.values())
