"""Peak memory of all processes of a run.

Summing resident sizes counts shared pages (Ray's object store, libraries) once per process. So the proportional set
size (PSS) is summed, which counts every page once. Where the system does not tell it, the resident size minus the
shared part is summed, which leaves shared pages out.
"""

import threading
import time
from pathlib import Path

from pydantic import Field

from corpus.storage.disk import DiskFull
from corpus.storage.lock import LeaseLost
from corpus.storage.models import StrictModel
from corpus.storage.state_files import StateFolder, read_json
from orchestrator.monitoring.node_memory import OtherNodes
from orchestrator.monitoring.processes import CpuMeter, processes_here
from orchestrator.monitoring.run_processes import has_pss, measure

_FILE = "memory.json"
_SAVED_EVERY_S = 10.0  # so that a run that is killed has its peak on disk
_LARGEST_SHARE = 1 / 50  # of a core, which sampling takes at most


class MemoryReport(StrictModel):
    """memory.json of a run directory. Sizes are in bytes."""

    peak_rss_bytes: int = Field(ge=0, description="largest sum over all processes of the run at one moment")
    peak_by_process: dict[str, int] = Field(description="what each kind of process held at that moment")
    peak_at_s: float = Field(ge=0, description="seconds after the sampler's start")
    samples: int = Field(ge=0)
    method: str = Field(description="pss, or rss minus shared where the kernel does not tell")


class MemorySampler:
    """A thread that sums the memory of this process, its children, and the Ray processes they started.

    On a cluster of its own a run's processes are all of that cluster, Ray's daemons included. On one that others use
    too they are those of this run alone, on all nodes; Ray's daemons and object stores belong to nobody there.

    Args:
        directory: Where memory.json is written. It is read first: a run that goes on keeps its earlier peak.
        shared: Whether the cluster may be used by others too.
        interval_s: Seconds between two samples, at least.
        cpu: Is told of the processes of each sample, so that it misses none that ends soon.
    """

    def __init__(
        self,
        directory: StateFolder,
        shared: bool = False,
        interval_s: float = 1.0,
        cpu: CpuMeter | None = None,
    ) -> None:
        self._directory, self._shared, self._interval_s, self._cpu = directory, shared, interval_s, cpu
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun, self._last_bytes = time.monotonic(), 0
        self._others = OtherNodes() if shared else None
        self._method = "pss" if has_pss() else "rss minus shared"
        self._report = read_memory(directory.path) or MemoryReport(
            peak_rss_bytes=0, peak_by_process={}, peak_at_s=0, samples=0, method=self._method
        )

    def start(self) -> None:
        """Begin sampling."""
        self._thread = threading.Thread(target=self._run, name="memory sampler", daemon=True)
        self._thread.start()

    def stop(self) -> MemoryReport:
        """Take a last sample, write memory.json and return the report. Harmless when not started."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
            self.sample()
        self._save()
        return self._report

    @property
    def last_bytes(self) -> int:
        """The sum of the last sample; 0 before the first."""
        return self._last_bytes

    def sample(self) -> int:
        """Sum once, keep the sum if it is the peak, and return it in bytes."""
        held: dict[str, int] = {}
        processes = processes_here(self._shared)
        if self._cpu is not None:
            self._cpu.add(processes)
        found = measure(processes)
        if self._others is not None:
            found += self._others.held()
        for each in found:
            held[each.kind] = held.get(each.kind, 0) + each.size
        total = self._last_bytes = sum(held.values())
        update: dict = {"samples": self._report.samples + 1}
        if total > self._report.peak_rss_bytes:
            update |= {
                "peak_rss_bytes": total,
                "peak_by_process": dict(sorted(held.items(), key=lambda item: -item[1])),
                "peak_at_s": round(time.monotonic() - self._begun, 1),
                "method": self._method,
            }
        self._report = self._report.model_copy(update=update)
        return total

    def _run(self) -> None:
        saved = 0.0
        while not self._stop.is_set():
            begun = time.monotonic()
            self.sample()
            spent = time.monotonic() - begun
            if begun - saved > _SAVED_EVERY_S:
                self._save()
                saved = begun
            self._stop.wait(max(self._interval_s, spent / _LARGEST_SHARE))

    def _save(self) -> None:
        try:
            self._directory.write_json(_FILE, self._report)
        except (DiskFull, LeaseLost):
            # A measurement must not end a run. The loop meets the same disk, and the same lease, where it matters.
            return


def read_memory(run_dir: Path) -> MemoryReport | None:
    """Return the report of a run, None before its first sample.

    Raises:
        RecordError: memory.json is damaged.
    """
    path = Path(run_dir) / _FILE
    return read_json(run_dir, path, MemoryReport) if path.exists() else None
