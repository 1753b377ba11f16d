"""How each service of a run begins and ends.

A session enters these context managers on its stack, so that each service ends whatever becomes of the others. What an
end does depends on how the run's own body ended (`Ending`), and not on what has gone wrong in another end meanwhile.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from actors.captioner.base import Captioner
from actors.data.reservation import Reservation
from actors.trainer.group import TrainerGroup
from corpus.storage.disk import DiskFull, is_disk_full
from corpus.storage.lock import LeaseLost
from corpus.storage.state_files import StateFolder
from orchestrator.cluster.admission import Turn
from orchestrator.cluster.connect import leave
from orchestrator.monitoring.memory import MemorySampler
from orchestrator.monitoring.status import write_status
from orchestrator.monitoring.usage import UsageSampler
from orchestrator.monitoring.watchdog import Watchdog
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.run_end import RunStatus, forget_end, status_of, write_end
from orchestrator.tracking.base import Tracker

_CAPTIONER_PATIENCE_S, _TRAINERS_PATIENCE_S = 10.0, 10.0


@dataclass
class Ending:
    """How the body of a run ended. The session sets `error` before the services end."""

    error: BaseException | None = None

    @property
    def interrupted(self) -> bool:
        """Whether the user, or SIGTERM, ended the run."""
        return isinstance(self.error, KeyboardInterrupt)

    @property
    def status(self) -> RunStatus:
        """The status that the tracker is told."""
        return status_of(self.error)

    def hides(self, trouble: Exception) -> bool:
        """Whether the run's own error is raised although `trouble` came up while the services ended.

        The exception is an interrupted run whose state could not be saved: its user has to hear of that.
        """
        return self.error is not None and not (self.interrupted and isinstance(trouble, (DiskFull, LeaseLost)))

    def is_repeated_by(self, trouble: Exception) -> bool:
        """Whether `trouble` says what the run's own error says already."""
        return type(trouble) is type(self.error) or (
            isinstance(trouble, DiskFull) and self.error is not None and is_disk_full(self.error)
        )


@contextmanager
def watched(watchdog: Watchdog) -> Iterator[None]:
    """Watch until everything else has ended: the watchdog ends a process that does not come to its end."""
    watchdog.start()
    try:
        yield
    finally:
        watchdog.stop()


@contextmanager
def leased(lease: LeaseKeeper) -> Iterator[None]:
    """Hold the lease of the run directory.

    Raises:
        LeaseHeld: another driver works on it.
    """
    lease.acquire()
    try:
        yield
    finally:
        lease.release()


@contextmanager
def marked_as_ended(directory: StateFolder, is_ours: Callable[[], bool]) -> Iterator[None]:
    """Say in the status file that the run has ended, unless the run directory is another driver's by then."""
    try:
        yield
    finally:
        if is_ours():
            write_status(directory, "ended")


@contextmanager
def disconnected() -> Iterator[None]:
    """Disconnect from Ray at the end, if this process was connected, and end a cluster that it started."""
    try:
        yield
    finally:
        leave()


@contextmanager
def sampled(memory: MemorySampler) -> Iterator[None]:
    """Sample the memory of the run's processes."""
    memory.start()
    try:
        yield
    finally:
        memory.stop()


@contextmanager
def usage_sampled(usage: UsageSampler | None) -> Iterator[None]:
    """Sample how busy the machine is, if that is asked for."""
    if usage is not None:
        usage.start()
    try:
        yield
    finally:
        if usage is not None:
            usage.stop()


@contextmanager
def end_recorded(directory: StateFolder, ending: Ending) -> Iterator[None]:
    """Keep in the run directory how the run ended, once the tracker was told: by then it has ended for both."""
    forget_end(directory)
    raised = None
    try:
        yield
    except BaseException as error:  # of the body, or of what ended until now
        raised = error
        raise
    finally:
        write_end(directory, ending.error or raised)


@contextmanager
def tracked(tracker: Tracker, ending: Ending, last_words: Callable[[RunStatus], str]) -> Iterator[None]:
    """Close the run in the tracker, where it is open by then, with the status of its ending and a description."""
    try:
        yield
    finally:
        try:
            tracker.describe(last_words(ending.status))
        finally:
            tracker.finish(ending.status)


@contextmanager
def reserved(reservation: Reservation, is_ours: Callable[[], bool]) -> Iterator[None]:
    """Keep the reservation, and give it up unless another driver goes on with it."""
    try:
        yield
    finally:
        reservation.close(cancel=is_ours())


@contextmanager
def claiming(turn: Turn) -> Iterator[None]:
    """Claim room on a shared cluster, and give the claim up once everything that used it has ended."""
    try:
        yield
    finally:
        turn.close()


@contextmanager
def training(trainer: TrainerGroup, ending: Ending) -> Iterator[None]:
    """Let the training workers go. After an interruption `state_saved` has stopped them already."""
    try:
        yield
    finally:
        if ending.error is None:
            trainer.close()
        elif not ending.interrupted:
            trainer.let_go(_TRAINERS_PATIENCE_S)


@contextmanager
def state_saved(trainer: TrainerGroup, grace_s: float, ending: Ending) -> Iterator[None]:
    """After an interruption, have the workers save their state within `grace_s` seconds, before anything else ends."""
    try:
        yield
    finally:
        if ending.interrupted:
            trainer.stop(grace_s)


@contextmanager
def captioning(
    captioner: Captioner, ending: Ending, is_ours: Callable[[], bool], say: Callable[[str], None]
) -> Iterator[None]:
    """Shut the captioner down, unless a driver that has taken over has one of the same name on the same cluster."""
    try:
        yield
    finally:
        if ending.error is None:
            captioner.shutdown()
        elif is_ours():
            _let_go(captioner, say)


def _let_go(captioner: Captioner, say: Callable[[str], None]) -> None:
    """Shut the captioner down after an error; Ray may be what failed, and may answer no more."""

    def shut_down() -> None:
        try:
            captioner.shutdown(wait=False)
        except Exception as trouble:  # the run's own error is the one to be raised
            say(f"The captioner was not shut down: {trouble}")

    thread = threading.Thread(target=shut_down, name="captioner's end", daemon=True)
    thread.start()
    thread.join(_CAPTIONER_PATIENCE_S)
