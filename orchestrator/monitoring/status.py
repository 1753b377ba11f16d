"""What a run is doing at this moment, for readers of its directory such as `knowlip status`."""

import os
import time
from pathlib import Path

import psutil
from pydantic import Field

from corpus.storage.models import FrozenModel
from corpus.storage.state_files import StateFolder, read_json

_FILE = "status.json"


class Status(FrozenModel):
    """status.json of a run directory: the phase that began last."""

    phase: str = Field(description="start-up, one of the loop's phases, or ended")
    round: int | None = Field(default=None, description="None outside of rounds")
    since: float = Field(description="when the phase began, seconds since 1970")
    pid: int = Field(description="process of the driver, on its own host")
    started: float = Field(description="when that process began, seconds since 1970")


def write_status(directory: StateFolder, phase: str, round_: int | None = None) -> None:
    """Write that a phase begins.

    Args:
        directory: The run directory.
        phase: Name of the phase.
        round_: The round, from 1; None outside of rounds.

    Raises:
        LeaseLost: Another driver has taken over.
        DiskFull: status.json does not fit on the disk.
    """
    now, started = time.time(), psutil.Process().create_time()
    directory.write_json(_FILE, Status(phase=phase, round=round_, since=now, pid=os.getpid(), started=started))


def read_status(run_dir: Path) -> Status | None:
    """Return the phase that began last, None where none did.

    The run may have died in that phase: its lease tells.

    Raises:
        RecordError: status.json is damaged.
    """
    path = Path(run_dir) / _FILE
    return read_json(run_dir, path, Status) if path.exists() else None
