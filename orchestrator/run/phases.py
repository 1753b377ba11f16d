"""The phases of a run: each one is shown, and watched while it lasts."""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from corpus.storage.state_files import StateFolder
from orchestrator.monitoring.gauges import RunGauges
from orchestrator.monitoring.progress import Progress
from orchestrator.monitoring.status import PhaseStatus
from orchestrator.monitoring.watchdog import Watchdog

_log = logging.getLogger(__name__)


@dataclass
class Phases:
    """Enters the phases of one round, or of the start-up, and passes on how far each one has come.

    Attributes:
        directory: the run directory, whose status file names the phase.
        progress: shows the phase on the console.
        watchdog: ends a phase in which nothing moves.
        round: number of the round, counted from 1; None during start-up.
        rounds: rounds of the run.
        on_phase: is told of every phase that begins, by its name and the round.
        gauges: show the run to Prometheus.
        on_losses: is told of the losses of steps while they are trained, by the fold.
    """

    directory: StateFolder
    progress: Progress
    watchdog: Watchdog
    round: int | None = None
    rounds: int | None = None
    on_phase: Callable[[str, int | None], None] | None = None
    gauges: RunGauges | None = None
    on_losses: Callable[[int, list[dict[str, float]]], None] | None = None
    _responses: int = field(default=0, init=False)
    _status: PhaseStatus | None = field(default=None, init=False)

    @contextmanager
    def enter(self, name: str) -> Iterator[None]:
        """Run the body as phase `name`.

        Raises:
            LeaseLost: another driver has taken over; the body was not run.
            RunStalled: nothing moved in the body for too long.
        """
        self.progress.phase(name, self.round, self.rounds)
        self.directory.writer.check()
        where = name if self.round is None else f"{name} of round {self.round}"
        begun = time.monotonic()
        _log.info("%s begins", where)
        with self.watchdog.phase(name, self.round):
            self._status = PhaseStatus(self.directory, name, self.round)
            if self.gauges is not None:
                self.gauges.phase(name, self.round)
            if self.on_phase is not None:
                self.on_phase(name, self.round)
            yield
        _log.info("%s took %.1f s", where, time.monotonic() - begun)

    def tiles_done(self, done: int, total: int) -> None:
        """Pass on that `done` of `total` tiles are done."""
        self._advance(done, total, "tiles")
        self.watchdog.heartbeat((done, total))

    def step_trained(self, report: dict) -> None:
        """Pass on what the trainer reports: round, step, steps, tiles_per_s and the losses by name.

        The trainer goes on reporting the round before until a new one begins; such a report is left out.
        """
        if report.get("round") == self.round:
            self.watchdog.heartbeat(("step", report["step"]))
            speed = f"{report['tiles_per_s']:.0f} tiles/s, loss {report['total']:.2f}"
            self._advance(report["step"], report["steps"], speed)
            if self.gauges is not None:
                self.gauges.trained(report["tiles_per_s"], report["total"])

    def losses_trained(self, fold: int, losses: list[dict[str, float]]) -> None:
        """Pass on the losses of steps of a fold's model, as in a RoundResult."""
        if self.on_losses is not None:
            self.on_losses(fold, losses)

    def response_received(self, done: int, total: int) -> None:
        """Pass on a response of the captioner, after which `done` of `total` tiles are done.

        A response that ends no tile is a sign of life as well.
        """
        self._responses += 1
        self._advance(done, total, "tiles")
        self.watchdog.heartbeat(("response", self._responses))

    def waits_for(self, said: str) -> None:
        """Pass on that the phase waits for something outside of the run, which is no sign that it hangs.

        Args:
            said: what it waits for and who holds it.
        """
        self.watchdog.heartbeat(("waits", time.monotonic()))
        if self._status is not None:
            self._status.waits_for(said)

    def _advance(self, done: int, total: int, speed: str) -> None:
        self.progress.advance(done, total, speed)
        if self._status is not None:
            self._status.progress(done, total)
        if self.gauges is not None:
            self.gauges.progress(done, total)
