"""Processes are started while threads of this one speak gRPC, with real gRPC and real processes."""

import subprocess
import sys

import pytest

pytest.importorskip("grpc")

# Six threads call a server of their own without a pause; the main thread starts processes as Ray starts its own.
_FORKS = """
import os, subprocess, sys, threading, time
from concurrent import futures
if sys.argv[1] == "left alone":
    from orchestrator.cluster.connect import leave_forks_alone
    leave_forks_alone()
import grpc

class Echo(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.unary_unary_rpc_method_handler(lambda request, context: request)

server = grpc.server(futures.ThreadPoolExecutor(4))
server.add_generic_rpc_handlers((Echo(),))
port = server.add_insecure_port("127.0.0.1:0")
server.start()

def call():
    echo = grpc.insecure_channel(f"127.0.0.1:{port}").unary_unary("/echo/echo")
    while True:
        echo(b"something")

for _ in range(6):
    threading.Thread(target=call, daemon=True).start()
time.sleep(0.5)
ended = [subprocess.Popen(["/bin/true"], preexec_fn=lambda: None).wait(60) for _ in range(150)]
print("aborted", sum(status != 0 for status in ended), flush=True)
os._exit(0)
"""


def aborted(how: str, monkeypatch) -> int:
    monkeypatch.delenv("GRPC_ENABLE_FORK_SUPPORT", raising=False)
    done = subprocess.run([sys.executable, "-c", _FORKS, how], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout.split()[-1])


def test_no_process_aborts_that_is_started_while_threads_speak_grpc(monkeypatch):
    assert aborted("left alone", monkeypatch) == 0


def test_some_would_abort_if_grpc_handled_forks(monkeypatch):
    """Where this fails, gRPC has mended it, and `leave_forks_alone` can go."""
    assert aborted("handled", monkeypatch) > 0
