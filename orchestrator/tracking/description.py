"""What stands at the top of a run's page: is it improving, what does it do, what does it wait for."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from orchestrator.state.records import InitialSummary, RoundRecord
from orchestrator.state.run_end import RunStatus


@dataclass
class Description:
    """Keeps what is known of a run while it goes on, and puts it in words.

    Attributes:
        rounds: Rounds of the run by its configuration.
        run_dir: Directory of the run.
        records: The recorded rounds; whoever describes the run sees to it.
        initial: What the run started from; None before start-up has found it.
        waits: What a phase in which nothing moves waits for; None: something moves.
        clock: Seconds since 1970.
    """

    rounds: int
    run_dir: str
    records: Sequence[RoundRecord] = ()
    initial: InitialSummary | None = None
    waits: str | None = None
    clock: Callable[[], float] = time.time
    _where: str = field(default="start-up", init=False)
    _begun: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self._begun = self.clock()

    def enter(self, phase: str, round_: int | None) -> str:
        """Describe the run as it begins a phase."""
        self._where = phase if round_ is None else f"round {round_} of {self.rounds}, {phase}"
        self.waits = None
        return self.now()

    def now(self) -> str:
        """Describe a run that goes on."""
        since = datetime.fromtimestamp(self.clock(), UTC)
        lines = [f"**{self._where}**, as of {since:%Y-%m-%d %H:%M} UTC", self._progress(), self._time()]
        if self.waits:
            lines.append(f"**Waits:** {self.waits}")
        return "\n\n".join(lines)

    def ended(self, status: RunStatus) -> str:
        """Describe a run that has ended, in whatever way."""
        done = f"**{status}** after {len(self.records)} of {self.rounds} rounds"
        if status != "finished":
            done += f", in {self._where}; go on with `knowlip resume {self.run_dir}`"
        elif self.records and self.records[-1].end:
            done += f": {self.records[-1].end}"
        return "\n\n".join([done, self._progress(), self._time()])

    def _progress(self) -> str:
        initial = None if self.initial is None else self.initial.annotation_accuracy
        if not self.records:
            return f"Annotation accuracy {_share(initial)} initially; no round is recorded yet."
        last = self.records[-1]
        accuracy = last.metrics.get("annotation_accuracy")
        if accuracy is None:
            return f"No truth to compare with; round {last.round} accepted {last.counts.accepted:,} clauses."
        return f"Annotation accuracy {_share(initial)} → {_share(accuracy)} after round {last.round}."

    def _time(self) -> str:
        recorded = sum(record.timings.total_s for record in self.records)
        here = self.clock() - self._begun
        return f"{recorded / 60:.1f} minutes in recorded rounds; {here / 60:.1f} minutes since this start."


def of_round(record: RoundRecord) -> str:
    """Describe a recorded round."""
    counts, accuracy = record.counts, record.metrics.get("annotation_accuracy")
    lines = [] if accuracy is None else [f"Annotation accuracy **{accuracy:.4f}** after this round."]
    lines.append(
        f"{counts.flagged:,} clauses flagged, {counts.regenerated:,} written again, {counts.accepted:,} accepted; "
        f"{record.timings.total_s:.0f} seconds."
    )
    return "\n\n".join(lines)


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4f}"
