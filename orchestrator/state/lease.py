"""One driver per run directory: a lease with a fencing token.

A driver that was paused longer than the lease lasts may wake up while another one has taken over. It holds an older
token then. Every write checks the token (corpus/storage/writer.py), so the driver stops instead of writing.
"""

import os
import socket
import threading
import time
from pathlib import Path

import psutil
from pydantic import Field

from corpus.storage.errors import UserError
from corpus.storage.lock import LEASE, LockHeld, lease_lock
from corpus.storage.models import FrozenModel
from corpus.storage.state_files import StateFolder, read_json, write_json
from corpus.storage.writer import Writer

LASTS_S = 30.0
_PROC = Path("/proc")
_TOLERANCE_S = 1.0  # of a start time where there are no ticks


class LeaseHeld(UserError):
    """Another driver works on this run directory; nothing was changed."""


class Owner(FrozenModel):
    """A process: on which host its id means something, and when it started, since process ids are used again.

    The last three fields are of Linux, and None elsewhere.
    """

    host: str
    pid: int = Field(gt=0, lt=2**31)
    started: float = Field(description="seconds since 1970, by a clock that may be set meanwhile")
    boot_id: str | None = None
    pid_namespace: str | None = Field(
        default=None, description="containers of one host name have process ids of their own"
    )
    start_ticks: int | None = Field(default=None, description="clock ticks from boot to its start, which nobody sets")

    @staticmethod
    def of_this_process() -> "Owner":
        """Return the owner that this process is."""
        return Owner(
            host=socket.gethostname(),
            pid=os.getpid(),
            started=psutil.Process().create_time(),
            boot_id=_boot_id(),
            pid_namespace=_pid_namespace(),
            start_ticks=_start_ticks(os.getpid()),
        )

    def can_be_looked_up(self) -> bool:
        """Return whether its process id means the same here: one host, not rebooted since, and one PID namespace."""
        if (self.boot_id is None) != (self.pid_namespace is None):
            return False  # on Linux both are known, unless /proc was of another namespace
        return (self.host, self.boot_id, self.pid_namespace) == (socket.gethostname(), _boot_id(), _pid_namespace())

    def is_dead(self) -> bool:
        """Return whether the process is known to have ended. Of one that cannot be looked up nothing is known."""
        if not self.can_be_looked_up():
            return False
        if not _exists(self.pid):
            return True
        if self.start_ticks is not None:
            return _start_ticks(self.pid) not in (self.start_ticks, None)
        try:
            return abs(psutil.Process(self.pid).create_time() - self.started) > _TOLERANCE_S
        except psutil.NoSuchProcess:
            return True

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Lease(FrozenModel):
    """lease.json: which driver works on a run directory. `token` grows with every change of hands."""

    token: int
    owner: Owner
    renewed: float
    released: bool = False

    def is_held(self, lasts_s: float = LASTS_S) -> bool:
        """Return whether its owner may still be at work. A lease lasts `lasts_s` seconds after its last renewal."""
        return not self.released and time.time() - self.renewed < lasts_s and not self.owner.is_dead()


def read_lease(run_dir: Path) -> Lease | None:
    """Return the lease of a run directory, None where none was ever taken."""
    path = Path(run_dir) / LEASE
    return read_json(run_dir, path, Lease) if path.exists() else None


def killed_driver(run_dir: Path) -> Owner | None:
    """Return the driver that held the lease last, if it ended on this host without giving the lease back.

    A driver that cannot be looked up any more, as after a reboot, has ended when its lease has run out.
    """
    lease = read_lease(run_dir)
    if lease is None or lease.released or lease.owner.host != socket.gethostname():
        return None
    ended = lease.owner.is_dead() if lease.owner.can_be_looked_up() else not lease.is_held()
    return lease.owner if ended else None


class LeaseKeeper:
    """Takes, renews and releases the lease of a run directory.

    While the lease is held, `directory.writer` writes under its token.

    Args:
        directory: The run directory.
        lasts_s: Seconds after its last renewal for which a lease is respected.
    """

    def __init__(self, directory: StateFolder, lasts_s: float = LASTS_S) -> None:
        self._directory, self._run_dir, self._lasts_s = directory, directory.path, lasts_s
        self._owner = Owner.of_this_process()
        self._token: int | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self) -> int:
        """Take the lease, keep renewing it, and return the fencing token.

        Raises:
            LeaseHeld: Another driver holds the lease.
            LockHeld: Another driver was stopped in the middle of a write.
        """
        with lease_lock(self._run_dir, self._lasts_s):
            found = self._read()
            if found is not None and found.is_held(self._lasts_s):
                raise LeaseHeld(
                    f"Another driver ({found.owner}) is working on {self._run_dir}; it was alive "
                    f"{time.time() - found.renewed:.0f} s ago. Wait until it has ended (one that dies elsewhere is "
                    f"given up after {self._lasts_s:.0f} s), or end it."
                )
            self._token = 1 if found is None else found.token + 1
            self._write()
        self._directory.writer = Writer(str(self._run_dir), self._token)
        self._directory.writer.remove_unfinished(self._run_dir)  # of drivers that were killed in a write
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()
        return self._token

    def check(self) -> None:
        """See that the lease is still ours.

        Raises:
            LeaseLost: The lease has changed hands.
        """
        Writer(str(self._run_dir), self._token).check()

    def release(self) -> None:
        """Give the lease back, if it is still ours. From then on nothing is written."""
        self._directory.writer = Writer(str(self._run_dir))
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
                        return  # lost: the next check raises
                    self._write()
            except (OSError, LockHeld):
                # Try again later. The token still guards what is written, and the loop meets the same disk.
                continue

    def _read(self) -> Lease | None:
        return read_lease(self._run_dir)

    def _write(self, released: bool = False) -> None:
        """Write lease.json. The caller holds the lock, which is what guards this file."""
        if self._token is None:
            raise RuntimeError("the lease was not acquired")
        lease = Lease(token=self._token, owner=self._owner, renewed=time.time(), released=released)
        write_json(self._run_dir, self._run_dir / LEASE, lease)


def _boot_id() -> str | None:
    """Return the id of this start of the system's kernel; None where that cannot be read, as on other systems."""
    try:
        return (_PROC / "sys" / "kernel" / "random" / "boot_id").read_text().strip()
    except OSError:
        return None


def _pid_namespace() -> str | None:
    """Return the namespace that our process ids are of; None where /proc shows the processes of another one."""
    try:
        return os.readlink(_PROC / "self" / "ns" / "pid") if os.readlink(_PROC / "self") == str(os.getpid()) else None
    except OSError:
        return None


def _start_ticks(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot; None where that cannot be read."""
    try:
        stat = (_PROC / str(pid) / "stat").read_bytes()
    except OSError:
        return None
    # It is field 22. Field 2 is the program's name, in parentheses, which may hold anything.
    return int(stat.rpartition(b")")[2].split()[19])


def _exists(pid: int) -> bool:
    # The kernel is asked, as /proc may hide the processes of other users.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is another user's
    return True
