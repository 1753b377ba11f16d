"""What Prometheus reads of a run at the metrics port of a real Ray node."""

import os
import subprocess
import sys

_READ = """
import time, urllib.request
import ray
from orchestrator.cluster.connect import start_local
from orchestrator.monitoring.gauges import RunGauges
from support.records import record
from support.ports import free_port

port = free_port()
gauges = RunGauges("default-1", rounds=3)
gauges.phase("train", 1)  # not connected: nothing is set, nothing fails
start_local(num_cpus=1, object_store_memory=80 * 2**20,
         _metrics_export_port=port, _system_config={"metrics_report_interval_ms": 500})
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
deadline, wanted = time.monotonic() + 90, 'knowlip_accepted_clauses{'
while time.monotonic() < deadline:
    gauges.phase("label", 2)
    gauges.progress(24, 96)
    gauges.trained(310.0, 2.5)
    gauges.recorded(record(1))
    gauges.waits(True)
    try:
        text = opener.open(f"http://127.0.0.1:{port}/metrics", timeout=5).read().decode()
    except OSError:
        text = ""
    if wanted in text:
        break
    time.sleep(0.5)
print("\\n".join(line for line in text.splitlines() if "knowlip" in line and not line.startswith("#")))
ray.shutdown()
"""


def test_prometheus_reads_the_gauges_of_a_run_at_a_nodes_metrics_port():
    there = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", _READ], capture_output=True, text=True, timeout=400, env=there)
    assert done.returncode == 0, done.stderr
    found = {}
    for line in done.stdout.splitlines():
        name, _, rest = line.partition("{")
        labels, _, value = rest.rpartition("} ")
        assert 'run="default-1"' in labels, line
        phase = next((part.split('"')[1] for part in labels.split(",") if part.strip().startswith("phase=")), "")
        found[name, phase] = float(value)
    assert found["ray_knowlip_phase", "label"] == 1
    assert found["ray_knowlip_phase", "train"] == 0
    assert {name: value for (name, phase), value in found.items() if not phase} == {
        "ray_knowlip_round": 2,
        "ray_knowlip_rounds": 3,
        "ray_knowlip_done": 24,
        "ray_knowlip_total": 96,
        "ray_knowlip_training_tiles_per_second": 310,
        "ray_knowlip_training_loss": 2.5,
        "ray_knowlip_accepted_clauses": 12,
        "ray_knowlip_flagged_clauses": 20,
        "ray_knowlip_annotation_accuracy": 0.91,
        "ray_knowlip_waits": 1,
    }
