"""Connecting to a real cluster: it asks for a token, and SIGTERM stays with whoever handles it.

Ray's own handler would end a run with nothing saved.
"""

import os
import subprocess
import sys

import pytest

from chaos.nodes import first_node

_CONNECT = """
import signal, sys
from orchestrator.cluster.connect import connect, leave

def mine(number, frame):
    print("handled", flush=True)

signal.signal(signal.SIGTERM, mine)
connect(sys.argv[1])
signal.raise_signal(signal.SIGTERM)
leave()
signal.raise_signal(signal.SIGTERM)
"""


@pytest.fixture(scope="module")
def address():
    with first_node(1) as cluster:
        yield cluster.address


def connect(address: str, **change: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _CONNECT, address],
        env=os.environ | change,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_real_cluster_that_was_looked_at_leaves_the_handler(address):
    """As the preflight of a resume does."""
    done = connect(address)
    assert (done.returncode, done.stdout) == (0, "handled\n" * 2), done.stderr


def test_a_cluster_that_a_test_starts_lets_nobody_in_without_its_token(address):
    done = connect(address, RAY_AUTH_MODE="disabled")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"cluster.address={address}: no Ray cluster lets this driver in" in done.stderr
