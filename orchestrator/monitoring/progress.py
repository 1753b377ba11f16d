"""What a person sees while a run goes on: a bar on a terminal, one line a phase elsewhere."""

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from orchestrator.state.records import RoundRecord


class Progress:
    """Shows phase, round, speed, time spent and time left. Quiet where the console is not a terminal.

    Attributes:
        console: what it is shown on.
        bars: the line that is shown, from the first moment to the end.
    """

    def __init__(self, console: Console) -> None:
        self.console = console
        self.bars = Bars(
            TextColumn("[bold]{task.fields[where]}"),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = None
        self._begun = time.monotonic()

    def __enter__(self) -> "Progress":
        self.bars.start()
        self.phase("starting")
        return self

    def __exit__(self, *_) -> None:
        self.bars.stop()

    def phase(self, name: str, round_: int | None = None, rounds: int | None = None) -> None:
        """A new phase begins."""
        where = f"round {round_}/{rounds}" if round_ else ""
        if self._task is not None:
            self.bars.remove_task(self._task)
        self._task = self.bars.add_task(name, total=None, where=where, speed="")
        self._begun = time.monotonic()

    def advance(self, done: int, total: int, speed: str = "") -> None:
        """The phase has come this far."""
        if self._task is None:
            return
        if speed == "tiles":
            speed = f"{done / max(time.monotonic() - self._begun, 1e-6):.0f} tiles/s"
        self.bars.update(self._task, completed=done, total=total, speed=speed)

    def preparing(self, name: str, done: int, total: int) -> None:
        """Progress of making a corpus, called by its phases by name."""
        if self._task is None or self.bars.tasks[-1].description != name:
            self.phase(name)
        self.advance(done, total)

    def round_done(self, record: RoundRecord) -> None:
        """One line a round, which stays; it is whole however narrow the console is."""
        accuracy = record.metrics.get("annotation_accuracy")
        counts = record.counts
        said = f"annotation accuracy {accuracy:.4f}" if accuracy is not None else "no truth to compare with"
        self.console.print(
            f"round {record.round}: {said}; flagged {counts.flagged:,} of {counts.scored:,} clauses, "
            f"regenerated {counts.regenerated:,}, accepted {counts.accepted:,}, rejected {counts.rejected:,}, "
            f"invalid {counts.invalid:,}; {record.timings.total_s:.0f} s",
            highlight=False,
            soft_wrap=True,
        )
        if record.end is not None:
            self.console.print(f"the run ends here: {record.end}", highlight=False, soft_wrap=True)
