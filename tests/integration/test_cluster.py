"""Connecting to Ray leaves SIGTERM with whoever handles it: Ray's own handler would end a run with nothing saved."""

import os
import subprocess
import sys

from chaos.nodes import authentication, first_node

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


def test_a_real_cluster_that_was_looked_at_leaves_the_handler():
    """As the preflight of a resume does."""
    with first_node(1) as cluster:
        done = subprocess.run(
            [sys.executable, "-c", _CONNECT, cluster.address],
            env=os.environ | authentication(),
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert (done.returncode, done.stdout) == (0, "handled\n" * 2), done.stderr
