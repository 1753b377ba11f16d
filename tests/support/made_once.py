"""What takes long to make is made once, also where several processes of pytest run at the same time or in a row."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

VARIABLE = "KNOWLIP_TESTS_SHARED"
"""Names a folder that several calls of pytest share; without it the processes of one call share one."""


def made_once(tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]) -> Path:
    """The folder `name`, which `make` fills unless another process has done so; whoever comes meanwhile waits."""
    folder = _shared(tmp_path_factory) / name
    folder.mkdir(parents=True, exist_ok=True)
    done = folder.with_name(f"{name}.done")
    with folder.with_name(f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make(folder)
            done.touch()
    return folder


def _shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if VARIABLE in os.environ:
        return Path(os.environ[VARIABLE])
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
