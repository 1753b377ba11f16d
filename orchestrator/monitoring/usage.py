"""How busy the machine of the driver is while a run goes on: a sample every few seconds, told to whoever listens."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psutil

from orchestrator.monitoring.gpus import Gpus
from orchestrator.monitoring.memory import MemorySampler
from orchestrator.monitoring.processes import CpuMeter

_MIB, _GIB = 2**20, 2**30
_PATIENCE_S = 10.0


class UsageSampler:
    """A thread that samples what the run and its machine use.

    The run's memory is of all its processes, on a shared cluster of those on all nodes. Everything else is of the
    driver's node.

    Args:
        folder: The run directory; the free space of its disk is sampled.
        memory: Sums the memory of the run.
        cpu: Sums the CPU time of the run.
        interval_s: Seconds between two samples.
        tell: Is told each sample: value by name, and the step, which is seconds since 1970: it counts on over restarts.
        say: Is told why sampling has ended early.
    """

    def __init__(
        self,
        folder: Path,
        memory: MemorySampler,
        cpu: CpuMeter,
        interval_s: float,
        tell: Callable[[Mapping[str, float], int], None],
        say: Callable[[str], None],
    ) -> None:
        self._folder, self._memory, self._cpu, self._interval_s = folder, memory, cpu, interval_s
        self._tell, self._say = tell, say
        self._gpus = Gpus()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: tuple[float, int, int] | None = None
        self._cpu_before, self._cores = cpu.seen(), 0.0

    def start(self) -> None:
        """Begin sampling."""
        self._thread = threading.Thread(target=self._run, name="usage sampler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End sampling; nothing is told after it. Harmless when not started."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=_PATIENCE_S)
            self._thread = None

    def sample(self) -> dict[str, float]:
        """Look once. Rates are of the time since the last look, and missing in the first one.

        Returns:
            Value by name: run_memory_gib; run_cpu_cores (cores that the run keeps busy); of the node
            cpu_utilization_percentage, system_memory_usage_percentage, disk_available_gib, network_receive_mib_per_s,
            network_transmit_mib_per_s; of each GPU of the node what `Gpus` names.
        """
        network = _network()
        values = {
            "run_memory_gib": self._memory.last_bytes / _GIB,
            "system_memory_usage_percentage": psutil.virtual_memory().percent,
            "disk_available_gib": psutil.disk_usage(str(self._folder)).free / _GIB,
            **self._gpus.sample(),
        }
        now = (time.monotonic(), *network)
        busy = psutil.cpu_percent(None)  # since its last call
        if self._before is not None and (passed := now[0] - self._before[0]) > 0:
            received, sent = (after - before for after, before in zip(now[1:], self._before[1:], strict=True))
            values["cpu_utilization_percentage"] = busy
            values["run_cpu_cores"] = self._busy_cores()
            values["network_receive_mib_per_s"] = received / _MIB / passed
            values["network_transmit_mib_per_s"] = sent / _MIB / passed
        self._before = now
        return values

    def _busy_cores(self) -> float:
        """The run's CPU time is looked at by the memory sampler, on a busy machine more rarely than this one looks."""
        used, at = self._cpu.seen()
        used_before, before = self._cpu_before
        if at > before:
            self._cores, self._cpu_before = (used - used_before) / (at - before), (used, at)
        return self._cores

    def _run(self) -> None:
        self.sample()
        while not self._stop.wait(self._interval_s):
            values = self.sample()
            try:
                self._tell(values, int(time.time()))
            except Exception as error:  # of any tracker: a measurement must not end a run
                self._say(f"The use of this machine is not tracked any more: {type(error).__name__}: {error}")
                return


def _network() -> tuple[int, int]:
    """Bytes that the node has received and sent until now, without what its processes told one another (loopback)."""
    counted = [each for name, each in psutil.net_io_counters(pernic=True).items() if not name.startswith("lo")]
    return sum(each.bytes_recv for each in counted), sum(each.bytes_sent for each in counted)
