"""A run in which nothing moves says so, and in the end stops, instead of hanging.

The policy is plain: how long nothing has moved, and the limits, against what to do. The thread that asks it is fed by
the loop: a phase that begins, a step that was trained, tiles that were scored or answered. What Ray waits for is looked
up only once nothing has moved for long.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum

from pydantic import Field, model_validator

from corpus.storage.errors import UserError
from corpus.storage.models import StrictModel


class RunStalled(UserError):
    """Nothing moved for too long; the message names the phase and what Ray waits for."""


class WatchdogConfig(StrictModel):
    """What counts as a run that hangs. Steps trained, and tiles scored or answered, are signs of life."""

    warn_after_s: float = Field(
        1200,
        gt=0,
        description="a phase in which nothing moved for so long is named, with the resources that Ray waits for",
    )
    give_up_after_s: float = Field(7200, gt=0, description="a phase in which nothing moved for so long ends the run")

    @model_validator(mode="after")
    def _ordered(self) -> "WatchdogConfig":
        if self.warn_after_s > self.give_up_after_s:
            raise ValueError(
                f"warn_after_s ({self.warn_after_s:g}) is larger than give_up_after_s ({self.give_up_after_s:g})"
            )
        return self


class Verdict(Enum):
    QUIET = "quiet"
    WARN = "warn"
    GIVE_UP = "give up"


def judge(idle_s: float, config: WatchdogConfig, warned: bool) -> Verdict:
    """What to do when nothing has moved for `idle_s`; a silence is warned of once."""
    if idle_s >= config.give_up_after_s:
        return Verdict.GIVE_UP
    return Verdict.WARN if idle_s >= config.warn_after_s and not warned else Verdict.QUIET


@dataclass(frozen=True)
class Demand:
    """What Ray has pending, in words ("1 actor or task that asks for 4 CPU"), and what is free and there in all."""

    pending: tuple[str, ...]
    free: str

    def __str__(self) -> str:
        if not self.pending:
            return f"Ray has nothing pending, so something that runs does not come to an end; free: {self.free}."
        return f"Ray waits for {'; '.join(self.pending)}; free: {self.free}."


def stall_message(phase: str, round_: int | None, idle_s: float, demand: str) -> str:
    """The phase, for how long nothing moved, and what Ray waits for."""
    where = f"{phase} of round {round_}" if round_ else phase
    return f"Nothing has moved in {where} for {_duration(idle_s)}. {demand}"


class Watchdog:
    """Watches the phases of one run. Use `phase` around each; call `moved` whenever something has.

    Args:
        demand: looks up what Ray waits for; it may raise, and it may hang.
        warn: called from the watchdog's own thread, once a silence.
        exit_after_s: a main thread that does not stop so long after it was told to is ended with its process.
        clock: seconds, monotonic. interval_s: between two looks.
    """

    def __init__(
        self,
        config: WatchdogConfig,
        demand: Callable[[], object],
        warn: Callable[[str], None],
        exit_after_s: float = 120.0,
        interval_s: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._config, self._demand, self._warn, self._clock = config, demand, warn, clock
        self._exit_after_s = exit_after_s
        self._interval_s = interval_s or min(5.0, config.warn_after_s / 4)
        self._phase: tuple[str, int | None] | None = None
        self._sign: Hashable = None
        self._since = clock()
        self._warned = False
        self._given_up: str | None = None
        self._hanging: tuple[str, int | None] | None = None  # the phase that was given up
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to watch; call it from the main thread."""
        signal.signal(signal.SIGUSR1, self._interrupt)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Watch no more. Harmless when not started."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=self._interval_s)

    @contextmanager
    def phase(self, name: str, round_: int | None = None) -> Iterator[None]:
        """The body is a phase.

        Raises:
            RunStalled: nothing moved in it for `give_up_after_s`.
        """
        self._phase, self._sign = (name, round_), None
        self.moved(("begin", name, round_))
        try:
            yield
        except KeyboardInterrupt:
            if self._given_up is None:
                raise
            raise RunStalled(self._given_up) from None
        finally:
            self._phase = None

    def moved(self, sign: Hashable) -> None:
        """Say how far the phase is. It counts as life if it differs from what was said before."""
        if sign != self._sign:
            self._sign, self._since, self._warned = sign, self._clock(), False

    def look(self) -> Verdict:
        """Ask the policy once, and warn, or interrupt the main thread, if it says so."""
        phase, since = self._phase, self._since
        idle_s = self._clock() - since
        verdict = Verdict.QUIET if phase is None else judge(idle_s, self._config, self._warned)
        if verdict is Verdict.QUIET:
            return verdict
        said = stall_message(*phase, idle_s, self._ask())
        if phase != self._phase or since != self._since:  # it moved while Ray was asked
            return Verdict.QUIET
        if verdict is Verdict.WARN:
            self._warned = True
            self._warn(
                f"{said} The run is ended after {_duration(self._config.give_up_after_s)} (watchdog.give_up_after_s)."
            )
        else:
            self._hanging = phase
            self._given_up = (
                f"{said} The run was ended (watchdog.give_up_after_s). Recorded rounds, finished shards and the "
                "trainer's checkpoints are kept: see that the cluster has what is waited for, then `knowlip "
                "resume RUN_DIR`."
            )
            signal.pthread_kill(threading.main_thread().ident, signal.SIGUSR1)
        return verdict

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            if self.look() is Verdict.GIVE_UP and not self._over.wait(self._exit_after_s):
                said = self._given_up
                if said is not None:  # else the phase came to its end after all
                    # Nothing in this process answers any more, the way out included.
                    print(f"Error: {said}", file=sys.stderr, flush=True)
                    os._exit(1)

    def _interrupt(self, signal_number, frame) -> None:
        if self._given_up is None:
            return
        # Compared by identity: every fold has a phase of the same name.
        if self._phase is not self._hanging:
            self._given_up = None  # it ended before the signal came
            return
        # KeyboardInterrupt is the one exception that Ray's waiting calls let through.
        raise KeyboardInterrupt

    def _ask(self) -> str:
        """What Ray waits for, or why that is not known: a Ray that hangs must not keep the watchdog waiting."""
        answer: list[str] = []

        def ask() -> None:
            try:
                answer.append(str(self._demand()))
            except Exception as error:  # becomes part of what is said
                answer.append(f"Ray does not say what it waits for: {' '.join(str(error).split())[:300]}")

        thread = threading.Thread(target=ask, name="watchdog asks Ray", daemon=True)
        thread.start()
        thread.join(timeout=20)
        return answer[0] if answer else "Ray does not answer."


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} minutes" if seconds >= 120 else f"{seconds:.0f} s"
