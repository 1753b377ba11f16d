"""What a tracker is: whoever is told what a run does, such as an MLflow server."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from corpus.storage.errors import UserError
from corpus.storage.state_files import StateFolder
from orchestrator.state.records import RoundRecord
from orchestrator.state.run_end import RunStatus


class TrackerAway(Exception):
    """The tracker cannot be reached now; the message says which one and why."""


class TrackerUnusable(UserError):
    """What is configured is no tracker that this run can tell anything; the message says why and what to do."""


@dataclass(frozen=True)
class TrackedRun:
    """The run that a tracker is about.

    Args:
        directory: The run's directory, where a tracker may keep what it has not delivered yet. Its writer refuses to
            write once another driver has taken over.
        experiment: Name that runs of one configuration share.
        name: Name of the run.
        kind: What is tracked: a run of the loop, or an ablation.
    """

    directory: StateFolder
    experiment: str
    name: str
    kind: Literal["loop", "ablation"] = "loop"


class TrackedRound(Protocol):
    """A round that is tracked."""

    @property
    def number(self) -> int:
        """The number of the round, from 1."""
        ...

    @property
    def run_id(self) -> str | None:
        """The tracker's id of the round; None where it has none, or none yet."""
        ...


class Tracker(Protocol):
    """Is told what one run does.

    Making a tracker reads and writes nothing. A run that goes on after an interruption has a new tracker, which tells
    things again that the earlier one may have told: equal ones must not be entered twice. Any thread may call.
    """

    def check_reachable(self) -> None:
        """See, before a new run begins, that the tracker can be told something.

        Raises:
            TrackerAway: Not now.
            TrackerUnusable: Not as it is configured.
        """
        ...

    def start(self, params: Mapping[str, Any]) -> None:
        """Begin the run, or go on with it. `params` is the configuration with dotted keys, secrets included."""
        ...

    def round(self, number: int) -> AbstractContextManager[TrackedRound]:
        """Track a round while the body runs. A round that was interrupted, and runs again, is the same one."""
        ...

    def log_losses(self, round_: TrackedRound, losses: Sequence[Mapping[str, float]]) -> None:
        """Tell the losses of training steps: a mapping a step, whose `step` counts over the whole run."""
        ...

    def log_record(self, round_: TrackedRound, record: RoundRecord) -> None:
        """Tell the numbers of a round. The record is written to the run directory after this call."""
        ...

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Tell numbers of the whole run."""
        ...

    def log_corpus(self, round_: TrackedRound, table: Path, version: int, digest: str) -> None:
        """Tell which version of the annotations, a Delta table below the run directory, the round has made."""
        ...

    def log_checkpoint(self, round_: TrackedRound, weights_dir: Path, weights_sha256: str) -> None:
        """Tell where below the run directory the weights of a round lie."""
        ...

    def log_files(self, round_: TrackedRound | None, paths: Sequence[Path], folder: str) -> None:
        """Hand over files of a round, or of the whole run. They may change after the call."""
        ...

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Tell facts of the whole run; a later value takes the place of an earlier one."""
        ...

    def log_deletion(self, number: int) -> None:
        """Tell that the weights of round `number` are about to be deleted."""
        ...

    def finish(self, status: RunStatus) -> None:
        """Tell how the run ended, and whatever else waits."""
        ...

    def deliver(self) -> None:
        """Tell what waits of a run that has ended. Called without `start`."""
        ...

    @property
    def waiting(self) -> int:
        """How many things could not be told yet. Also of a run that another process works on."""
        ...

    @property
    def undelivered(self) -> str | None:
        """What to say to the user while things wait: why, where, and how they get delivered. None if nothing waits."""
        ...

    @property
    def view(self) -> str | None:
        """The shell command or address that shows the run to a reader; None if there is nothing to look at."""
        ...
