"""Peak memory of all processes of a run.

Summing resident sizes counts shared pages (Ray's object store, libraries) once per process. So the proportional set
size (PSS) is summed, which counts every page once. Where the system does not tell it, the resident size minus the
shared part is summed, which leaves shared pages out.
"""

import os
import threading
import time
from pathlib import Path

import psutil
from pydantic import Field

from corpus.storage.disk import DiskFull
from corpus.storage.lock import LeaseLost
from corpus.storage.models import StrictModel
from corpus.storage.state_files import StateFolder, read_json

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

    Ray's daemons leave the driver's process tree, so they are found by the session they belong to. Only this machine is
    sampled, not the other nodes of a cluster.

    Args:
        directory: Where memory.json is written. It is read first: a run that goes on keeps its earlier peak.
        interval_s: Seconds between two samples, at least.
    """

    def __init__(self, directory: StateFolder, interval_s: float = 1.0) -> None:
        self._directory, self._interval_s = directory, interval_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun = time.monotonic()
        has_pss = hasattr(psutil.Process().memory_full_info(), "pss")
        self._size, self._method = (_pss, "pss") if has_pss else (_unshared, "rss minus shared")
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

    def sample(self) -> int:
        """Sum once, keep the sum if it is the peak, and return it in bytes."""
        held: dict[str, int] = {}
        for process in _processes_of_this_run():
            try:
                kind, size = _kind(process), self._size(process)
            except psutil.Error:  # it ended meanwhile
                continue
            held[kind] = held.get(kind, 0) + size
        total = sum(held.values())
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


def _processes_of_this_run() -> list[psutil.Process]:
    """Return this process, the daemons of its Ray session, and all their descendants."""
    session = _ray_session()
    found: dict[int, psutil.Process] = {}
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            children.setdefault(process.ppid(), []).append(process)
            if process.pid == os.getpid() or (session and any(session in part for part in process.cmdline())):
                found[process.pid] = process
        except psutil.Error:
            continue
    todo = list(found.values())
    while todo:
        for child in children.get(todo.pop().pid, []):
            if child.pid not in found:
                found[child.pid] = child
                todo.append(child)
    return list(found.values())


def _pss(process: psutil.Process) -> int:
    return process.memory_full_info().pss


def _unshared(process: psutil.Process) -> int:
    info = process.memory_info()
    return max(info.rss - getattr(info, "shared", 0), 0)


def _ray_session() -> str | None:
    """Return the name of the Ray session that this process is connected to: all its daemons have it as an argument."""
    import ray

    return ray.get_runtime_context().get_session_name() if ray.is_initialized() else None


def _kind(process: psutil.Process) -> str:
    """Return a short name: the Ray role (ray::Captioner...), or the program's name."""
    words = process.cmdline()
    title = words[0] if words else process.name()
    if title.startswith("ray::"):
        return title.split(".")[0].split("(")[0][:60]
    return Path(title).name[:60] or process.name()
