"""How a run ended, in the run directory: ended.json.

The file is removed under the lease when a driver begins and written when it ends. So a run directory without it has a
driver at work, or one that was killed, or none yet; the lease tells which.
"""

import time
from pathlib import Path
from typing import Literal

from pydantic import Field

from corpus.storage.models import StateModel
from corpus.storage.redaction import without_user
from corpus.storage.state_files import StateFolder, read_json
from orchestrator.state.lease import read_lease

RunStatus = Literal["finished", "failed", "interrupted"]


class RunEnd(StateModel):
    """ended.json: how the driver that worked last ended."""

    status: RunStatus = Field(description="finished, failed by an error, or interrupted by the user")
    at: float = Field(description="when the driver ended, seconds since 1970")
    error: str | None = Field(default=None, description="type and first line of the error that ended it; else null")


def status_of(error: BaseException | None) -> RunStatus:
    """Return what becomes of a run that an error ends; None is no error."""
    return "finished" if error is None else "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"


def forget_end(directory: StateFolder) -> None:
    """Remove the end of an earlier driver, as another one begins.

    Raises:
        LeaseLost: Another driver has taken over; nothing was removed.
    """
    with directory.writer.holding():
        _path(directory.path).unlink(missing_ok=True)


def write_end(directory: StateFolder, error: BaseException | None) -> None:
    """Write how the driver ended: by `error`, or well.

    Raises:
        LeaseLost: Another driver has taken over; nothing was written.
        DiskFull: The file does not fit on the disk.
    """
    status = status_of(error)
    first_line = without_user(next(iter(str(error).splitlines()), ""))
    said = f"{type(error).__name__}: {first_line}" if status == "failed" else None
    directory.write_json(_path(directory.path), RunEnd(status=status, at=time.time(), error=said))


def read_end(run_dir: Path) -> RunEnd | None:
    """Return how the driver that worked last ended, None if it has not, or was killed.

    Raises:
        RecordError: ended.json is damaged.
    """
    path = _path(run_dir)
    return read_json(run_dir, path, RunEnd, "remove it and resume") if path.exists() else None


def was_cut_off(run_dir: Path) -> bool:
    """Return whether a driver has worked here and did not come to the end of the run."""
    end = read_end(run_dir)
    return read_lease(run_dir) is not None if end is None else end.status != "finished"


def _path(run_dir: Path) -> Path:
    return Path(run_dir) / "ended.json"
