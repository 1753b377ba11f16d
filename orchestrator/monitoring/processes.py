"""The processes of a run on the driver's node, and the CPU time that they have used."""

import threading
import time
from collections.abc import Iterable

import psutil

from orchestrator.monitoring.run_processes import processes_of_run, processes_of_session


def processes_here(shared: bool) -> list[psutil.Process]:
    """Return this process and the run's others on this machine.

    Args:
        shared: Whether the cluster may be used by others too. Of one that is not, Ray's daemons are the run's as well.
    """
    return processes_of_run() if shared else processes_of_session(_ray_session())


def _ray_session() -> str | None:
    """Return the name of the Ray session that this process is connected to: all its daemons have it as an argument."""
    import ray

    return ray.get_runtime_context().get_session_name() if ray.is_initialized() else None


class CpuMeter:
    """Sums the CPU time of the run's processes, also of those that have ended since they were last seen.

    What a process used between the last look at it and its end is missed. Any thread may call. Only this machine is
    looked at, not the other nodes of a cluster.

    Args:
        shared: see `processes_here`.
    """

    def __init__(self, shared: bool = False) -> None:
        self._shared = shared
        self._lock = threading.Lock()
        self._used: dict[tuple[int, float], float] = {}
        self._looked_at = time.monotonic()

    def add(self, processes: Iterable[psutil.Process]) -> None:
        """Note how much CPU time each process has used until now."""
        found = {}
        for process in processes:
            try:
                times = process.cpu_times()
                found[process.pid, process.create_time()] = times.user + times.system
            except psutil.Error:  # it ended meanwhile
                continue
        with self._lock:
            for process, used in found.items():
                self._used[process] = max(used, self._used.get(process, 0.0))  # two threads may look at the same time
            self._looked_at = time.monotonic()

    def total_s(self) -> float:
        """Look now, and return the CPU time of all processes in seconds."""
        self.add(processes_here(self._shared))
        return self.seen()[0]

    def seen(self) -> tuple[float, float]:
        """Return the CPU time of all processes in seconds, and when it was last looked at, in seconds, monotonic."""
        with self._lock:
            return sum(self._used.values()), self._looked_at
