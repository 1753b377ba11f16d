"""The tracker that tells nobody anything."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.state.records import InitialSummary, RoundRecord
from orchestrator.state.run_end import RunStatus
from orchestrator.tracking.base import CorpusRole, Repair, TrackedRound, TrackedRun


@dataclass(frozen=True)
class UntrackedRound:
    """The handle of a round that nobody is told of."""

    number: int
    run_id: None = None


class NoTracker:
    """Tells nobody anything. The run directory has the records, losses and pictures all the same."""

    def __init__(self, run: TrackedRun) -> None:
        del run

    waiting = 0
    undelivered = None
    view = None

    def check_reachable(self) -> None:
        """Do nothing."""

    def start(self, params: Mapping[str, Any]) -> None:
        """Do nothing."""

    def log_initial(self, summary: InitialSummary) -> None:
        """Do nothing."""

    @contextmanager
    def round(self, number: int) -> Iterator[UntrackedRound]:
        """Give a handle without an id."""
        yield UntrackedRound(number)

    def log_losses(self, round_: TrackedRound, losses: Sequence[Mapping[str, float]]) -> None:
        """Do nothing."""

    def log_record(self, round_: TrackedRound, record: RoundRecord) -> None:
        """Do nothing."""

    def log_repairs(self, round_: TrackedRound, repairs: Sequence[Repair]) -> None:
        """Do nothing."""

    def log_metrics(self, values: Mapping[str, float], step: int, round_: TrackedRound | None = None) -> None:
        """Do nothing."""

    def log_corpus(self, round_: TrackedRound, table: Path, version: int, digest: str, role: CorpusRole) -> None:
        """Do nothing."""

    def log_checkpoint(self, round_: TrackedRound, weights_dir: Path, weights_sha256: str) -> None:
        """Do nothing."""

    def log_files(self, round_: TrackedRound | None, paths: Sequence[Path], folder: str) -> None:
        """Do nothing."""

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Do nothing."""

    def log_prompts(self, texts: Mapping[str, str], sha256: str) -> None:
        """Do nothing."""

    def describe(self, text: str) -> None:
        """Do nothing."""

    def log_champion(self, number: int, held_out: float) -> None:
        """Do nothing."""

    def log_deletion(self, number: int) -> None:
        """Do nothing."""

    def finish(self, status: RunStatus) -> None:
        """Do nothing."""

    def deliver(self) -> None:
        """Do nothing."""
