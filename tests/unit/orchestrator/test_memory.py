"""The memory sampler against real processes."""

import subprocess
import sys

import pytest

from corpus.storage.state_files import RecordError
from orchestrator.monitoring.memory import MemorySampler, read_memory
from orchestrator.monitoring.processes import CpuMeter
from support.unguarded import unguarded

HOLD = "import sys; held = bytearray(b'x') * (80 * 2**20); print('ready', flush=True); sys.stdin.read()"


def test_children_count_and_the_peak_outlives_them(tmp_path):
    sampler = MemorySampler(unguarded(tmp_path))
    before = sampler.sample()
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline().strip() == b"ready"
        during = sampler.sample()
        child.stdin.close()
    report = sampler.stop()
    assert during - before > 70 * 2**20
    assert report.peak_rss_bytes == during == sum(report.peak_by_process.values())
    assert read_memory(tmp_path) == report


BURN = """
import sys, time
while time.process_time() < 0.5:
    pass
print("ready", flush=True)
sys.stdin.read()
"""


def test_cpu_time_of_a_child_counts_and_stays_when_the_child_has_ended(tmp_path):
    meter = CpuMeter()
    before = meter.total_s()
    with subprocess.Popen([sys.executable, "-c", BURN], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout.readline().strip() == b"ready"
        MemorySampler(unguarded(tmp_path), cpu=meter).sample()
        child.stdin.close()
    assert meter.total_s() - before >= 0.5


def test_a_resumed_run_keeps_the_higher_peak(tmp_path):
    first = MemorySampler(unguarded(tmp_path))
    first.sample()
    peak = first.stop().peak_rss_bytes
    raised = read_memory(tmp_path).model_copy(update={"peak_rss_bytes": 100 * peak})
    (tmp_path / "memory.json").write_text(raised.model_dump_json())
    second = MemorySampler(unguarded(tmp_path))
    second.sample()
    assert second.stop().peak_rss_bytes == 100 * peak


def test_the_thread_samples_and_stops(tmp_path):
    sampler = MemorySampler(unguarded(tmp_path), interval_s=0.01)
    sampler.start()
    assert sampler.stop().samples >= 1


def test_an_absent_report_is_none_and_a_damaged_one_is_named(tmp_path):
    assert read_memory(tmp_path) is None
    (tmp_path / "memory.json").write_text("{")
    with pytest.raises(RecordError, match="memory.json is damaged"):
        read_memory(tmp_path)
