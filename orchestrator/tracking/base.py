"""What a tracker is: whoever is told what a run does, such as an MLflow server."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from corpus.storage.errors import UserError
from corpus.storage.state_files import StateFolder
from orchestrator.state.records import InitialSummary, RoundRecord
from orchestrator.state.run_end import RunStatus

WAITING_TAG = "knowlip.waiting"
"""Tag of a run that waits, or has waited, for room on its cluster."""
CorpusRole = Literal["training", "output"]
"""What a version of the annotations is to a round: what it trained on, or what it made."""


class TrackerAway(Exception):
    """The tracker cannot be reached now; the message says which one and why."""


class TrackerUnusable(UserError):
    """What is configured is no tracker that this run can tell anything; the message says why and what to do."""


class TrackerMisconfigured(TrackerUnusable):
    """The same, and asking again is of no use: an address that means nothing, a package that is not installed."""


@dataclass(frozen=True)
class TrackedRun:
    """The run that a tracker is about.

    Args:
        directory: The run's directory, where a tracker may keep what it has not delivered yet. Its writer refuses to
            write once another driver has taken over.
        experiment: Name that runs of one configuration share.
        name: Name of the run.
        kind: What is tracked: a run of the loop, an ablation, a search, or a benchmark.
        facts: What is known beside the configuration: user, source, version, git_commit, schedule.
        children: Number -> name of children that are tracked as rounds; one without a name is a round of the loop.
    """

    directory: StateFolder
    experiment: str
    name: str
    kind: Literal["loop", "ablation", "search", "benchmark"] = "loop"
    facts: Mapping[str, str] = field(default_factory=dict)
    children: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Repair:
    """A clause of a tile whose value a round has changed, and who said what of it.

    Attributes:
        tile_id: The tile.
        clause: The clause.
        before: Its value before the round.
        value: Its value after the round.
        confidence: Probability of `value`, 0 to 1.
        source: Who the value came from.
        why: In words, why it changed.
        sayings: Source -> value, probability of it, of_kept_value (probability of `value`), weight. The last source is
            that of all together, with the rules. Numbers that are not known are missing.
        picture: The tile as JPEG; None where it cannot be read.
    """

    tile_id: str
    clause: str
    before: str
    value: str
    confidence: float
    source: str
    why: str
    sayings: Mapping[str, Mapping[str, str | float]]
    picture: bytes | None = None


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

    def log_initial(self, summary: InitialSummary) -> None:
        """Tell what the run starts from: the values before its first round. Told again by every start, equal ones."""
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

    def log_repairs(self, round_: TrackedRound, repairs: Sequence[Repair]) -> None:
        """Tell a sample of the clauses that the round has changed. A round that runs again tells equal ones again."""
        ...

    def log_metrics(self, values: Mapping[str, float], step: int, round_: TrackedRound | None = None) -> None:
        """Tell numbers of the whole run, or of one of its rounds."""
        ...

    def log_corpus(self, round_: TrackedRound, table: Path, version: int, digest: str, role: CorpusRole) -> None:
        """Tell which version of the annotations, a Delta table below the run directory, the round trains on or made."""
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

    def log_prompts(self, texts: Mapping[str, str], sha256: str) -> None:
        """Tell what the captioner is asked with: name of a template -> its text, and the hash of all of them."""
        ...

    def describe(self, text: str) -> None:
        """Tell in Markdown how the run stands now; it takes the place of the last description."""
        ...

    def log_champion(self, number: int, held_out: float) -> None:
        """Tell that round `number` is the best of the run now, by a metric of held-out tiles; larger is better."""
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
