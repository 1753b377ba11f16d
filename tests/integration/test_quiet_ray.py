"""What Ray says by itself beside a run."""

import subprocess
import sys

_DEATHS = """
import os, signal, threading
import ray
from orchestrator.cluster.connect import start_local
import ray._private.worker as worker
from orchestrator.cluster.ray_output import quiet_ray

@ray.remote(num_cpus=0)
class Worker:
    def pid(self):
        return os.getpid()

said, print_it = threading.Event(), worker.print_to_stdstream

def print_and_note(data, **options):
    print_it(data, **options)
    said.set()

worker.print_to_stdstream = print_and_note

def kill_one():
    said.clear()
    pid = ray.get(Worker.remote().pid.remote())
    os.kill(pid, signal.SIGKILL)
    assert said.wait(120), "the raylet says nothing of the death"
    return pid

start_local(num_cpus=1, object_store_memory=80 * 2**20)
with quiet_ray():
    within = kill_one()
after = kill_one()
print("killed", within, after)
ray.shutdown()
"""


def test_a_worker_that_is_gone_is_one_plain_line():
    done = subprocess.run([sys.executable, "-c", _DEATHS], capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    [killed] = [line for line in done.stdout.splitlines() if line.startswith("killed")]
    _, within, after = killed.split()
    lines = (done.stdout + done.stderr).splitlines()
    [line] = [line for line in lines if within in line and line != killed]
    assert line.startswith(f"Ray: process {within} on ")
    assert line.endswith("What the run still needs of it is started anew.")
    # Ray's words for the same, in colour: should it find others, or none, this line is where to see it.
    assert [line for line in lines if f"Worker PID: {after}" in line and "\x1b" in line], lines
