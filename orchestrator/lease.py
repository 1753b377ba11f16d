"""One driver per run directory: a lease with a fencing token.

A driver that was paused longer than the lease lasts may wake up while another one has taken over. It holds an
older token then, and every write of the run's state checks the token first, so that it stops instead of writing.
"""

import os
import socket
import threading
import time
from pathlib import Path

import psutil
from pydantic import BaseModel, ConfigDict

from actors.fence import LEASE, Fence, LockHeld, lease_lock
from orchestrator.records import read_json, write_json

LASTS_S = 30.0


class LeaseHeld(RuntimeError):
    """Another driver works on this run directory; nothing was changed."""


class Owner(BaseModel):
    """A process on a host; started is its start time in seconds since 1970, since process ids are used again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str
    pid: int
    started: float

    @staticmethod
    def of_this_process() -> "Owner":
        return Owner(host=socket.gethostname(), pid=os.getpid(), started=psutil.Process().create_time())

    def is_dead(self) -> bool:
        """Whether the process is known to have ended; of another host nothing is known."""
        if self.host != socket.gethostname():
            return False
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > 1
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease(BaseModel):
    """lease.json: who works on a run directory. `token` grows with every change of hands."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    token: int
    owner: Owner
    renewed: float
    released: bool = False

    def is_held(self, lasts_s: float = LASTS_S) -> bool:
        """Whether its owner may still be at work."""
        return not self.released and time.time() - self.renewed < lasts_s and not self.owner.is_dead()


def read_lease(run_dir: Path) -> Lease | None:
    """The lease of a run directory, or None where none was ever taken."""
    path = Path(run_dir) / LEASE
    return read_json(run_dir, path, Lease) if path.exists() else None


def killed_driver(run_dir: Path) -> Owner | None:
    """The driver that held the lease last, if it ended on this host without giving it back."""
    lease = read_lease(run_dir)
    return lease.owner if lease is not None and not lease.released and lease.owner.is_dead() else None


class LeaseKeeper:
    """Takes, renews and releases the lease of a run directory.

    Args:
        lasts_s: seconds after its last renewal for which a lease is respected.
    """

    def __init__(self, run_dir: Path, lasts_s: float = LASTS_S) -> None:
        self._run_dir, self._path, self._lasts_s = run_dir, run_dir / LEASE, lasts_s
        self._owner = Owner.of_this_process()
        self._token: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> int:
        """Take the lease and keep renewing it; returns the fencing token.

        Raises:
            LeaseHeld: another driver holds it. LockHeld: it was stopped in the middle of a write.
        """
        with lease_lock(self._run_dir, self._lasts_s):
            found = self._read()
            if found is not None and found.is_held(self._lasts_s):
                raise LeaseHeld(
                    f"Another driver ({found.owner}) is working on {self._run_dir}; it was alive "
                    f"{time.time() - found.renewed:.0f} s ago. "
                    f"Wait until it has ended (one that dies elsewhere is given up after {self._lasts_s:.0f} s), or end it.")
            self._token = 1 if found is None else found.token + 1
            self._write()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return self._token

    @property
    def fence(self) -> Fence:
        """What whoever writes the run's state on our behalf has to hold."""
        if self._token is None:
            raise RuntimeError("the lease was not acquired")
        return Fence(str(self._run_dir), self._token)

    def check(self) -> None:
        """Call before every write of the run's state.

        Raises:
            LeaseLost: the lease has changed hands.
        """
        self.fence.check()

    def release(self) -> None:
        """Give the lease back, if it is still ours."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        with lease_lock(self._run_dir):
            found = self._read()
            if found is not None and found.token == self._token:
                self._write(released=True)

    def _renew(self) -> None:
        while not self._stop.wait(self._lasts_s / 4):
            try:
                with lease_lock(self._run_dir):
                    found = self._read()
                    if found is None or found.token != self._token:
                        return  # the next check says so
                    self._write()
            except (OSError, LockHeld):
                # The token still guards what is written, and the loop meets the same disk; so no more than another try.
                continue

    def _read(self) -> Lease | None:
        return read_lease(self._run_dir)

    def _write(self, released: bool = False) -> None:
        write_json(self._run_dir, self._path, Lease(token=self._token, owner=self._owner, renewed=time.time(),
                                                    released=released))
