"""How busy the machine is, sampled while a run goes on."""

import threading
import time
from types import SimpleNamespace

import pytest

from orchestrator.monitoring.memory import MemorySampler
from orchestrator.monitoring.processes import CpuMeter
from orchestrator.monitoring.usage import UsageSampler
from orchestrator.tracking.charts import first_stands, of_usage
from support.unguarded import unguarded


class Listener:
    def __init__(self, error: Exception | None = None) -> None:
        self.told, self.said, self._error = [], [], error
        self.heard = threading.Event()

    def tell(self, values, step):
        self.told.append((dict(values), step))
        if len(self.told) > 1 or self._error is not None:
            self.heard.set()
        if self._error is not None:
            raise self._error


def sampler(tmp_path, listener, interval_s=0.05):
    cpu = CpuMeter()
    memory = MemorySampler(unguarded(tmp_path), cpu=cpu)
    memory.sample()
    return UsageSampler(tmp_path, memory, cpu, interval_s, listener.tell, listener.said.append), memory


def test_a_busy_process_is_seen_as_a_busy_core_and_as_memory(tmp_path):
    usage, memory = sampler(tmp_path, Listener())
    first = usage.sample()
    assert "run_cpu_cores" not in first  # a rate needs two looks
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    memory.sample()
    second = usage.sample()
    assert 0.01 < second["run_cpu_cores"] < 2
    assert second["run_memory_gib"] == pytest.approx(memory.last_bytes / 2**30)
    assert second["run_memory_gib"] > 0.01
    assert second["disk_available_gib"] > 0
    assert 0 <= second["cpu_utilization_percentage"] <= 100
    assert set(of_usage(second)) == {f"system/{name}" for name in second}
    assert all(map(first_stands, of_usage(second)))


def test_what_processes_of_a_node_tell_one_another_is_no_network(tmp_path, monkeypatch):
    counted = {"lo": SimpleNamespace(bytes_recv=0, bytes_sent=0), "eth0": SimpleNamespace(bytes_recv=0, bytes_sent=0)}
    monkeypatch.setattr("psutil.net_io_counters", lambda pernic: counted)
    usage, _ = sampler(tmp_path, Listener())
    usage.sample()
    counted["lo"].bytes_recv = counted["lo"].bytes_sent = 2**40
    assert usage.sample()["network_receive_mib_per_s"] == 0
    counted["eth0"].bytes_recv = 2**20
    values = usage.sample()
    assert values["network_receive_mib_per_s"] > 0
    assert values["network_transmit_mib_per_s"] == 0


def test_samples_are_told_until_the_end_and_their_steps_count_on(tmp_path):
    listener = Listener()
    usage, _ = sampler(tmp_path, listener)
    begun = int(time.time())
    usage.start()
    assert listener.heard.wait(10)
    usage.stop()
    told = len(listener.told)
    time.sleep(0.15)
    assert len(listener.told) == told
    steps = [step for _, step in listener.told]
    assert steps == sorted(steps)
    assert begun <= steps[0] <= steps[-1] <= time.time()  # so that a later start of the run goes on counting
    assert listener.said == []


def test_a_tracker_that_fails_ends_the_samples_and_not_the_run(tmp_path):
    listener = Listener(error=RuntimeError("no room"))
    usage, _ = sampler(tmp_path, listener)
    usage.start()
    assert listener.heard.wait(10)
    usage.stop()
    assert len(listener.told) == 1
    assert listener.said == ["The use of this machine is not tracked any more: RuntimeError: no room"]
