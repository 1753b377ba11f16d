"""Runs are submitted to a real Ray head that asks for a token, followed, refused, listed and stopped there."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
from mlflow import MlflowClient

from orchestrator.tracking.mlflow_store import local_uri
from support.paths import ROOT
from support.ports import free_port

SMOKE = ROOT / "configs" / "smoke.yaml"
TOKEN = "7" * 64
HOLDER = """
import sys, ray
from orchestrator.cluster.admission import Turn
from orchestrator.policies.admission import Processes
ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
Turn("other", "ada on desk, /runs/other", [Processes(4, 4, 1.0)]).wait(print)
print("admitted", flush=True)
sys.stdin.read()
"""


@contextmanager
def head(environment):
    """A head with its job server; yields (address of the cluster, of the job server)."""
    temporary = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # the system limits the length of a socket's path
    port, dashboard = free_port(), free_port()
    program = Path(sys.executable).with_name("ray")
    # The agent takes jobs, and its own fixed port may be taken by another cluster of this machine.
    arguments = (
        f"--head --block --num-cpus=4 --port={port} --dashboard-port={dashboard} --temp-dir={temporary} "
        f"--dashboard-agent-listen-port={free_port()}"
    )
    process = subprocess.Popen(
        [program, "start", *arguments.split(), "--object-store-memory=200000000", "--disable-usage-stats"],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
    finally:
        family = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        psutil.wait_procs(family, timeout=20)
        for each in family:
            if each.is_running():
                each.kill()
        process.wait(20)
        shutil.rmtree(temporary, ignore_errors=True)


class CommandLine:
    """knowlip with a token and an address."""

    def __init__(self, environment, address: str) -> None:
        self.environment, self.address = environment, address

    def __call__(self, *arguments, status: int = 0, **change) -> str:
        done = subprocess.run(
            [Path(sys.executable).with_name("knowlip"), *map(str, arguments), "--address", self.address],
            env=self.environment | change,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    def until(self, *arguments, seen, patience_s: float = 300):
        """Ask again and again for JSON until it is as it has to be."""
        deadline = time.monotonic() + patience_s
        while not seen(found := json.loads(self(*arguments, "--json"))):
            assert time.monotonic() < deadline, found
            time.sleep(1)
        return found


def test_a_run_is_submitted_once_followed_and_stopped_on_a_cluster_that_asks_for_a_token(tmp_path):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_JOB_STOP_WAIT_TIME_S": "120",
        "RAY_raylet_start_wait_time_s": "120",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    environment.pop("MLFLOW_TRACKING_URI", None)
    with head(environment) as (cluster, address):
        knowlip = CommandLine(environment, address)
        deadline = time.monotonic() + 120
        while True:  # until the job server answers
            try:
                assert "No run was submitted" in knowlip("list")
                break
            except AssertionError:
                assert time.monotonic() < deadline
                time.sleep(1)
        refused = knowlip("list", status=1, RAY_AUTH_TOKEN="0" * 64)
        assert "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN" in refused
        assert "has no run 'other'. It has: none." in knowlip("stop", "other", status=2)

        # What cannot be used ends with 2, which --wait passes on.
        wrong = ("submit", SMOKE, "--name", "wrong", "--storage", tmp_path, "--wait", "--set", "cluster.memory_gib=1")
        nowhere = ("--set", "corpus.kind=geotiff", "--set", "corpus.tiles=nowhere")
        said = knowlip(*wrong, *nowhere, status=2)
        assert "Error: " in said
        assert str(tmp_path / "nowhere") in said

        holder = subprocess.Popen(
            [sys.executable, "-c", HOLDER, cluster],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert holder.stdout.readline() == "admitted\n"
            small = ("submit", SMOKE, "--name", "small", "--storage", tmp_path, "--set", "cluster.memory_gib=1")
            assert "submitted attempt 1 of small" in knowlip(*small)
            found = knowlip.until(
                "status", "small", seen=lambda found: "held by" in ((found["run"] or {}).get("waiting_for") or "")
            )
            assert found["run"]["state"] == "waiting"
            assert "held by ada on desk, /runs/other (4 CPUs" in found["run"]["waiting_for"]
            assert found["run"]["run_dir"] == str(tmp_path / "runs" / "small")
            assert "attempt 1 of small is running already; nothing was submitted" in knowlip(*small)
            jobs = json.loads(knowlip("list", "--json"))
            assert [(job["name"], job["attempt"], job["exit_status"]) for job in jobs] == [
                ("small", 1, None),
                ("wrong", 1, 2),
            ]
            assert "was asked to save its state and end" in knowlip("stop", "small")
            said = knowlip("logs", "small", "--follow", status=3)
            assert "Waiting for room on the cluster" in said
            assert "Resume with: knowlip resume" in said

            assert "submitted attempt 2 of small" in knowlip(*small)
            client = MlflowClient(local_uri(tmp_path / "runs" / "small"))
            deadline = time.monotonic() + 300
            while True:
                [experiment] = client.search_experiments(filter_string="name = 'smoke'")
                [run] = client.search_runs([experiment.experiment_id])
                if run.data.tags.get("knowlip.attempt") == "2" and "**Waits:**" in run.data.tags["mlflow.note.content"]:
                    break
                assert time.monotonic() < deadline
                time.sleep(1)
            assert run.data.tags["knowlip.job_id"] == "knowlip-small.2"
            assert run.data.tags["knowlip.cluster"] == address
            assert {"knowlip.host", "knowlip.user"} <= set(run.data.tags)
            assert "**Waits:** room on the cluster for" in run.data.tags["mlflow.note.content"]
            knowlip("stop", "small")
        finally:
            holder.kill()
            holder.wait(10)
