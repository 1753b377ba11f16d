"""The thread that ends a run that makes no progress, instead of letting it hang.

The watchdog carries out the policy of orchestrator/policies/stall.py. The loop sends it heartbeats: a phase begins, a
step was trained, tiles were scored or answered. Ray's pending demand is looked up only after a long silence.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager

from corpus.storage.errors import UserError
from orchestrator.policies.stall import Verdict, WatchdogConfig, duration, judge, stall_message


class RunStalled(UserError):
    """A phase made no progress for too long; the message names the phase and what Ray waits for."""


class Watchdog:
    """Watches the phases of one run. Use `phase` around each, and call `heartbeat` at every sign of progress.

    Args:
        config: How long a silence may last.
        demand: Looks up what Ray waits for. It may raise, and it may hang.
        warn: Called from the watchdog's own thread, once for each silence.
        exit_after_s: The process is ended if its main thread has not stopped so many seconds after it was interrupted.
        interval_s: Seconds between two polls. None: chosen by `config`.
        clock: Returns seconds of a monotonic clock.
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
        """Begin to watch. Call it from the main thread."""
        signal.signal(signal.SIGUSR1, self._interrupt)
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop watching. Harmless when not started."""
        self._over.set()
        if self._thread is not None:
            self._thread.join(timeout=self._interval_s)

    @contextmanager
    def phase(self, name: str, round_: int | None = None) -> Iterator[None]:
        """Watch the body as a phase.

        Raises:
            RunStalled: It made no progress for `give_up_after_s` seconds.
        """
        self._phase, self._sign = (name, round_), None
        self.heartbeat(("begin", name, round_))
        try:
            yield
        except KeyboardInterrupt:
            if self._given_up is None:
                raise
            raise RunStalled(self._given_up) from None
        finally:
            self._phase = None

    def heartbeat(self, sign: Hashable) -> None:
        """Report how far the phase is. A sign that equals the one before counts as silence."""
        if sign != self._sign:
            self._sign, self._since, self._warned = sign, self._clock(), False

    def poll(self) -> Verdict:
        """Ask the policy once, and warn or interrupt the main thread as it decides."""
        phase, since = self._phase, self._since
        idle_s = self._clock() - since
        if phase is None or (verdict := judge(idle_s, self._config, self._warned)) is Verdict.QUIET:
            return Verdict.QUIET
        said = stall_message(*phase, idle_s, self._ask())
        if phase != self._phase or since != self._since:  # there was progress while Ray was asked
            return Verdict.QUIET
        if verdict is Verdict.WARN:
            self._warned = True
            self._warn(
                f"{said} The run is ended after {duration(self._config.give_up_after_s)} (watchdog.give_up_after_s)."
            )
        else:
            self._hanging = phase
            self._given_up = (
                f"{said} The run was ended (watchdog.give_up_after_s). Recorded rounds, finished shards and the "
                "trainer's checkpoints are kept: see that the cluster has what is waited for, then `knowlip "
                "resume RUN_DIR`."
            )
            signal.pthread_kill(_main_thread_id(), signal.SIGUSR1)
        return verdict

    def _watch(self) -> None:
        while not self._over.wait(self._interval_s):
            if self.poll() is Verdict.GIVE_UP and not self._over.wait(self._exit_after_s):
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
        """Return what Ray waits for, or why that is not known. A Ray that hangs must not keep the watchdog waiting."""
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


def _main_thread_id() -> int:
    ident = threading.main_thread().ident
    if ident is None:
        raise RuntimeError("the main thread has no id, although it runs")
    return ident
