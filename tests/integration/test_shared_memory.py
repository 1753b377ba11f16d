"""Memory of a run on a cluster that it shares: its own processes, and nobody else's."""

import json
import subprocess
import sys

from chaos.nodes import first_node

SIZE = 150 * 2**20
DRIVER = """
import json, sys, ray
from pathlib import Path
from actors.logs import asked_run_log, run_log
from corpus.storage.writer import UNGUARDED
from orchestrator.monitoring.memory import MemorySampler
from orchestrator.state.run_directory import RunDirectory

class Holder:
    def __init__(self):
        self.held = bytearray(b"x") * int(sys.argv[3])
    def ready(self):
        return True

address, folder, size, name = sys.argv[1:]
Holder.__name__ = name
with run_log(Path(folder)):
    ray.init(address, log_to_driver=False, logging_level="ERROR", runtime_env={"env_vars": asked_run_log()})
    holder = ray.remote(num_cpus=1)(Holder).remote()
    ray.get(holder.ready.remote())
    print("ready", flush=True)
    sys.stdin.readline()
    sampler = MemorySampler(RunDirectory(Path(folder), UNGUARDED), shared=True)
    sampler.sample()
    print(json.dumps(sampler.stop().peak_by_process), flush=True)
    sys.stdin.read()
""".replace("int(sys.argv[3])", str(SIZE))


def start(address: str, folder, name: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", DRIVER, address, folder, str(SIZE), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def test_a_run_counts_its_own_processes_and_not_those_of_another_run(tmp_path):
    with first_node(2) as cluster:
        names = ("FirstHolder", "SecondHolder")
        runs = [start(cluster.address, tmp_path / name, name) for name in names]
        try:
            for each in runs:
                assert each.stdout.readline() == "ready\n"
            for each, own, other in zip(runs, names, reversed(names), strict=True):
                each.stdin.write("\n")
                each.stdin.flush()
                held = json.loads(each.stdout.readline())
                assert SIZE < held[f"ray::{own}"] < 2 * SIZE
                assert f"ray::{other}" not in held
                assert not [kind for kind in held if "raylet" in kind or "gcs" in kind]
        finally:
            for each in runs:
                each.kill()
                each.wait(10)
