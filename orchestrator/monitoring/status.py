"""What a run is doing at this moment, for whoever looks at its directory from outside."""

import os
import time
from pathlib import Path

import psutil
from pydantic import Field

from corpus.storage.models import FrozenModel
from corpus.storage.state_files import StateFolder, read_json


class Now(FrozenModel):
    """now.json of a run directory: the phase that began last."""

    phase: str = Field(description="start-up, one of the loop's phases, or ended")
    round: int | None = Field(None, description="None outside of rounds")
    since: float = Field(description="when the phase began, seconds since 1970")
    pid: int = Field(description="process of the driver, on its own host")
    started: float = Field(description="when that process began, seconds since 1970")


def write_now(directory: StateFolder, phase: str, round_: int | None = None) -> None:
    """Say that a phase begins."""
    directory.write_json(
        _path(directory.path),
        Now(phase=phase, round=round_, since=time.time(), pid=os.getpid(), started=psutil.Process().create_time()),
    )


def read_now(run_dir: Path) -> Now | None:
    """The phase that began last, or None where none did. The run may have died in it: see its lease."""
    return read_json(run_dir, _path(run_dir), Now) if _path(run_dir).exists() else None


def _path(run_dir: Path) -> Path:
    return Path(run_dir) / "now.json"
