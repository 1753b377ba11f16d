"""What the steps of a round share: the round itself, and what its evaluation came to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.config.schema import RunConfig
from orchestrator.policies.folds import Fold
from orchestrator.policies.schedule import RoundPlan
from orchestrator.run.phases import Phases
from orchestrator.state.records import PhaseClock
from orchestrator.state.run_directory import RunDirectory


@dataclass(frozen=True)
class Round:
    """One round as its steps see it.

    Attributes:
        number: counted from 1.
        plan: Plan of the round, made by the schedule.
        config: Configuration of the run.
        directory: Directory of the run.
        phases: shows and watches what the round does.
        clock: times it.
    """

    number: int
    plan: RoundPlan
    config: RunConfig
    directory: RunDirectory
    phases: Phases
    clock: PhaseClock

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Run the body as a phase of this round; the times of one that is entered twice add up. See `Phases.enter`."""
        with self.clock.phase(name), self.phases.enter(name):
            yield

    def weights(self, fold: Fold) -> Path:
        """Directory of the weights that this round trains for a fold."""
        return self.directory.weights(self.number, fold.number)


@dataclass(frozen=True)
class Evaluation:
    """What the evaluation of a round came to.

    Attributes:
        metrics: by name; None where there is no truth to compare with.
        by_clause: accuracy of the training tiles' annotations; empty without truth.
        figures: the pictures that were drawn.
    """

    metrics: dict[str, float | None]
    by_clause: dict[str, float | None]
    figures: list[Path]
