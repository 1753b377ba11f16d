"""Runs that share one small real cluster are admitted one after the other, and a killed one is forgotten."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import ray

from chaos.nodes import first_node
from orchestrator.cluster import admission
from orchestrator.policies import admission as policy
from orchestrator.policies.admission import Processes, waiting_message

ALL = [Processes(3, 4, 1.0)]

DRIVER = """
import sys, ray
from orchestrator.cluster.admission import Turn
from orchestrator.policies.admission import Processes

ray.init(address=sys.argv[1], log_to_driver=False, logging_level="ERROR")
Turn("second", "second of the test", [Processes(3, 4, 1.0)]).wait(lambda verdict: print("waits", flush=True))
print("admitted", flush=True)
sys.stdin.read()
"""


class Claimant:
    """Claims all CPUs of the cluster that this process is connected to."""

    def __init__(self, name: str) -> None:
        self.turn, self.said = admission.Turn(name, f"{name} of the test", ALL), set()
        self.admitted = threading.Event()
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        self.turn.wait(lambda verdict: self.said.add(waiting_message(self.turn.claim, verdict).partition(", since")[0]))
        self.admitted.set()

    def waits(self) -> str:
        """What it waits for, as it was told first."""
        deadline = time.monotonic() + 60
        while not self.said:
            assert not self.admitted.is_set()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        return next(iter(self.said))


@pytest.fixture
def hasty(monkeypatch):
    """A claim expires after four seconds and not sixty; the desk's class is sent to the cluster as it is here."""

    class Desk(admission.AdmissionDesk):
        def __init__(self) -> None:
            super().__init__()
            self._admission.expires_after_s = 4.0
            if self._admission.closed_until > 0:
                self._admission.closed_until = time.monotonic() + 3.0

    assert policy.EXPIRES_AFTER_S == 60
    monkeypatch.setattr(admission, "AdmissionDesk", Desk)
    monkeypatch.setattr(admission, "RENEWED_EVERY_S", 0.5)
    monkeypatch.setattr(admission, "ASKED_EVERY_S", 0.2)


def test_claimants_of_one_cluster_take_turns_and_a_killed_one_is_forgotten(hasty):
    with first_node(4) as cluster:
        ray.init(address=cluster.address, log_to_driver=False, logging_level="ERROR")
        other = None
        try:
            first = Claimant("first")
            assert first.admitted.wait(60)
            other = subprocess.Popen(
                [sys.executable, "-c", DRIVER, cluster.address],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert other.stdout.readline() == "waits\n"
            third = Claimant("third")
            assert third.waits() == "room on the cluster for 4 CPUs; held by first of the test (4 CPUs"
            first.turn.close()
            while (line := other.stdout.readline()) == "waits\n":
                pass
            assert line == "admitted\n"
            assert not third.admitted.is_set(), "the second had asked before"

            os.kill(other.pid, signal.SIGKILL)
            killed = time.monotonic()
            assert third.admitted.wait(60)
            assert time.monotonic() - killed > 1, "it was admitted while the killed one's claim lasted"

            desk = third.turn._desk
            ray.kill(desk, no_restart=False)  # as when it crashes: the new one has to learn who is at work
            late = Claimant("late")
            time.sleep(2)
            assert not late.admitted.is_set()
            third.turn.close()
            assert late.admitted.wait(120)
            late.turn.close()
        finally:
            if other is not None:
                other.kill()
                other.wait(10)
            ray.shutdown()
