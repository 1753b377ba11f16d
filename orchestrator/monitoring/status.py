"""What a run is doing at this moment, for readers of its directory such as `knowlip status`."""

import os
import time
from contextlib import suppress
from pathlib import Path

import psutil
from pydantic import Field

from corpus.storage.disk import DiskFull
from corpus.storage.lock import LeaseLost
from corpus.storage.models import FrozenModel
from corpus.storage.state_files import StateFolder, read_json

_FILE = "status.json"
_PROGRESS_EVERY_S = 5.0
WAITING = "waiting"
"""The phase before a run on a shared cluster is admitted."""


class Status(FrozenModel):
    """status.json of a run directory: the phase that began last."""

    phase: str = Field(description="start-up, waiting, one of the loop's phases, or ended")
    round: int | None = Field(default=None, description="None outside of rounds")
    since: float = Field(description="when the phase began, seconds since 1970")
    pid: int = Field(description="process of the driver, on its own host")
    started: float = Field(description="when that process began, seconds since 1970")
    done: int | None = Field(default=None, ge=0, description="steps or tiles of the phase that are done")
    total: int | None = Field(default=None, ge=0, description="steps or tiles of the phase")
    at: float | None = Field(default=None, description="when `done` was written, seconds since 1970")
    waits_for: str | None = Field(default=None, description="what keeps the run from beginning, and who holds it")


def write_status(directory: StateFolder, phase: str, round_: int | None = None) -> Status:
    """Write that a phase begins, and return what was written.

    Args:
        directory: The run directory.
        phase: Name of the phase.
        round_: The round, from 1; None outside of rounds.

    Raises:
        LeaseLost: Another driver has taken over.
        DiskFull: status.json does not fit on the disk.
    """
    now, started = time.time(), psutil.Process().create_time()
    status = Status(phase=phase, round=round_, since=now, pid=os.getpid(), started=started)
    directory.write_json(_FILE, status)
    return status


class PhaseStatus:
    """Keeps status.json during one phase: how far it is, at most every few seconds, and what it waits for.

    Making one writes that the phase begins; arguments and errors are those of `write_status`. What comes later may be
    lost: it is for readers, and the loop meets the same disk and the same lease where it matters.
    """

    def __init__(self, directory: StateFolder, phase: str, round_: int | None = None) -> None:
        self._directory = directory
        self._status = write_status(directory, phase, round_)
        self._written = time.monotonic()

    def progress(self, done: int, total: int) -> None:
        """The phase has come this far."""
        if time.monotonic() - self._written >= _PROGRESS_EVERY_S:
            self._write(done=done, total=total, at=time.time())

    def waits_for(self, said: str) -> None:
        """The phase waits for something; what is the same as before is not written again."""
        if said != self._status.waits_for:
            self._write(waits_for=said)

    def _write(self, **changes: float | str) -> None:
        self._status = self._status.model_copy(update=changes)
        self._written = time.monotonic()
        with suppress(DiskFull, LeaseLost):
            self._directory.write_json(_FILE, self._status)


def read_status(run_dir: Path) -> Status | None:
    """Return the phase that began last, None where none did.

    The run may have died in that phase: its lease tells.

    Raises:
        RecordError: status.json is damaged.
    """
    path = Path(run_dir) / _FILE
    return read_json(run_dir, path, Status) if path.exists() else None
