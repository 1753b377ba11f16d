"""A local cluster obeys its token alone."""

import contextlib
import http.client
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from actors.weights import create_weights
from support.hcot import HCOT
from support.paths import ROOT
from support.training_job import toy_model

SMOKE = ROOT / "configs" / "smoke.yaml"


@pytest.fixture(scope="module")
def good_weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "round-0001"
    create_weights(HCOT, path, toy_model(), seed=0)
    return path


@pytest.fixture
def weights(good_weights, tmp_path):
    return Path(shutil.copytree(good_weights, tmp_path / "weights"))


LOCAL_CLUSTER = """
import sys, time
from pathlib import Path
import ray
from actors.captioner.native import NativeCaptionerConfig
from actors.captioner.native_replica import NativeCaptioner
from orchestrator.cluster.connect import start_cluster
from orchestrator.config.load import load_config
start_cluster(load_config(Path(sys.argv[1]), ["cluster.local_cpus=2", "cluster.object_store_memory_gib=0.2"]))
NativeCaptioner(NativeCaptionerConfig(), Path(sys.argv[3])).wait_until_running()
Path(sys.argv[2]).write_text(ray.get_runtime_context().gcs_address)
time.sleep(600)
"""

INTRUDER = """
import sys, ray
from orchestrator.cluster.connect import connect
connect(sys.argv[1])
print(ray.get(ray.remote(lambda: "intruded").remote()))
"""


def answers_http(port: int) -> bool:
    try:
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
    except urllib.error.HTTPError:
        return True
    except (OSError, http.client.HTTPException):
        return False
    return True


def test_a_local_cluster_obeys_its_token_alone_and_its_captioner_has_no_port(tmp_path, good_weights):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {
        "HOME": str(tmp_path),
        # What vLLM finds out of a model's class is kept; finding it out anew takes a minute of one core.
        "VLLM_CACHE_ROOT": os.environ.get("VLLM_CACHE_ROOT", str(Path.home() / ".cache" / "vllm")),
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    told = tmp_path / "address"
    cluster = subprocess.Popen(
        [sys.executable, "-c", LOCAL_CLUSTER, SMOKE, told, good_weights],
        env=environment,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    try:
        while not told.exists() or not told.read_text():
            assert cluster.poll() is None, cluster.stderr.read()[-3000:]
            time.sleep(0.2)
        assert (tmp_path / ".ray" / "auth_token").stat().st_mode & 0o077 == 0

        def intrude(**change):
            return subprocess.run(
                [sys.executable, "-c", INTRUDER, told.read_text()],
                text=True,
                capture_output=True,
                env={**environment, **change},
                timeout=120,
            )

        with ThreadPoolExecutor() as pool:
            friend, *intruders = pool.map(
                lambda change: intrude(**change),
                [
                    {"RAY_AUTH_MODE": "token"},
                    {"RAY_AUTH_MODE": "disabled"},
                    {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64},
                ],
            )
        assert "intruded" in friend.stdout, f"who has the token is let in: {friend.stderr[-3000:]}"
        for refused in intruders:
            assert refused.returncode != 0
            assert "intruded" not in refused.stdout
            assert re.search(r"(?i)authenticat|token", refused.stderr), refused.stderr[-2000:]
            assert f"ClusterUnreachable: cluster.address={told.read_text()}: no Ray cluster lets this driver in" in (
                refused.stderr
            ), refused.stderr[-2000:]

        replicas = 0
        for process in [psutil.Process(cluster.pid), *psutil.Process(cluster.pid).children(recursive=True)]:
            try:
                command, connections = " ".join(process.cmdline()), process.net_connections()
            except psutil.NoSuchProcess:  # it has ended since
                continue
            assert "ProxyActor" not in command
            listening = {each.laddr.port for each in connections if each.status == psutil.CONN_LISTEN}
            assert not listening & {8000, 9000, 8265}, f"{command} listens on {listening}"
            if "ServeReplica" in command:
                replicas += 1
                assert not any(map(answers_http, listening)), f"a captioner answers on one of {listening}"
        assert replicas == 1
    finally:
        family = psutil.Process(cluster.pid).children(recursive=True)
        cluster.terminate()
        cluster.wait(30)
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
