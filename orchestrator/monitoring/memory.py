"""Peak memory of all processes of a run.

Summing resident sizes counts shared pages (Ray's object store, libraries) once per process. So the proportional set
size (PSS) is summed where the kernel gives it cheaply (smaps_rollup), which counts every page once; elsewhere the
resident size minus the shared part, which leaves shared pages out.
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


class MemoryReport(StrictModel):
    """memory.json of a run directory. Sizes in bytes."""

    peak_rss_bytes: int = Field(ge=0, description="largest sum over all processes of the run at one moment")
    peak_by_process: dict[str, int] = Field(description="what each kind of process held at that moment")
    peak_at_s: float = Field(ge=0, description="seconds after the sampler's start")
    samples: int = Field(ge=0)
    method: str = Field(description="pss, or rss minus shared where the kernel does not tell")


class MemorySampler:
    """A thread that sums the memory of this process, its children, and the Ray processes they started.

    Ray's daemons leave the driver's process tree, so they are found by the session they belong to. Only this
    machine is seen; a cluster's other nodes are not.

    Args:
        directory: Where memory.json is written, and read first: a run that goes on keeps its earlier peak.
        interval_s: Seconds between two samples, at least.
    """

    def __init__(self, directory: StateFolder, interval_s: float = 1.0) -> None:
        self._directory, self._interval_s = directory, interval_s
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._begun = time.monotonic()
        self._roots = {os.getpid()}
        self._pss = True
        earlier = read_memory(directory.path)
        self._report = earlier or MemoryReport(
            peak_rss_bytes=0, peak_by_process={}, peak_at_s=0, samples=0, method="pss"
        )

    def start(self) -> None:
        """Begin sampling."""
        self._thread = threading.Thread(target=self._run, name="memory sampler", daemon=True)
        self._thread.start()

    def stop(self) -> MemoryReport:
        """Take a last sample and write memory.json. Harmless when not started."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
            self._thread = None
            self.sample()
        self._save()
        return self._report

    def sample(self) -> int:
        """Sum once, in bytes, and keep it if it is the peak."""
        held: dict[str, int] = {}
        for process in self._processes():
            try:
                kind, size = _kind(process), self._size(process)
            except psutil.Error:  # it ended meanwhile
                continue
            held[kind] = held.get(kind, 0) + size
        total = sum(held.values())
        update: dict = {"samples": self._report.samples + 1}
        if total > self._report.peak_rss_bytes:
            largest_first = dict(sorted(held.items(), key=lambda item: -item[1]))
            update |= {
                "peak_rss_bytes": total,
                "peak_by_process": largest_first,
                "peak_at_s": round(time.monotonic() - self._begun, 1),
                "method": "pss" if self._pss else "rss minus shared",
            }
        self._report = self._report.model_copy(update=update)
        return total

    def _run(self) -> None:
        saved = 0.0
        while not self._stop.is_set():
            begun = time.monotonic()
            self.sample()
            spent = time.monotonic() - begun
            if begun - saved > 10:  # a killed run still has its peak
                self._save()
                saved = begun
            # Never more than a fiftieth of a core.
            self._stop.wait(max(self._interval_s, 50 * spent))

    def _processes(self) -> list[psutil.Process]:
        """This process, its descendants, and whatever belongs to their Ray session."""
        session = _ray_session()
        found: dict[int, psutil.Process] = {}
        children: dict[int, list[psutil.Process]] = {}
        for process in psutil.process_iter():
            try:
                children.setdefault(process.ppid(), []).append(process)
                if process.pid in self._roots or (session and any(session in part for part in process.cmdline())):
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

    def _size(self, process: psutil.Process) -> int:
        if self._pss:
            try:
                return _pss(process.pid)
            except FileNotFoundError as error:
                if not Path(f"/proc/{process.pid}").exists():
                    raise psutil.NoSuchProcess(process.pid) from error
                self._pss = False
            except (ProcessLookupError, PermissionError) as error:
                raise psutil.AccessDenied(process.pid) from error
        info = process.memory_info()
        return max(info.rss - getattr(info, "shared", 0), 0)

    def _save(self) -> None:
        try:
            self._directory.write_json("memory.json", self._report)
        except (DiskFull, LeaseLost):
            # An observation ends no run: the loop meets the same disk, and the same lease, where it matters.
            return


def read_memory(run_dir: Path) -> MemoryReport | None:
    """The report of a run, or None before its first sample."""
    path = Path(run_dir) / "memory.json"
    return read_json(run_dir, path, MemoryReport) if path.exists() else None


def _pss(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    raise FileNotFoundError(f"/proc/{pid}/smaps_rollup has no Pss line")


def _ray_session() -> str | None:
    """Name of the Ray session this process is connected to: part of the command line of all its daemons."""
    import ray

    if not ray.is_initialized():
        return None
    return Path(ray._private.worker.global_worker.node.get_session_dir_path()).name


def _kind(process: psutil.Process) -> str:
    """A short name: the Ray role (ray::Captioner...), or the program's name."""
    words = process.cmdline()
    title = words[0] if words else process.name()
    if title.startswith("ray::"):
        return title.split(".")[0].split("(")[0][:60]
    return Path(title).name[:60] or process.name()
