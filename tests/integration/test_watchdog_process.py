"""The watchdog gets a real driver out of a wait that never ends."""

import logging
import subprocess
import sys
import textwrap
import time

import pytest

from orchestrator.monitoring.watchdog import RunStalled, Watchdog
from orchestrator.policies.stall import WatchdogConfig
from support.paths import ROOT


def test_a_driver_that_waits_for_an_infeasible_actor_is_named_and_ended():
    """Real Ray: one CPU, and an actor that asks for four. The driver blocks in ray.get, as the loop does."""
    import ray

    from orchestrator.cluster.connect import start_local
    from orchestrator.cluster.pending import pending_demand

    warned = []
    start_local(
        num_cpus=1,
        object_store_memory=100 * 2**20,
        logging_level=logging.ERROR,
    )
    dog = Watchdog(WatchdogConfig(warn_after_s=3, give_up_after_s=8), pending_demand, warned.append)
    dog.start()
    try:

        @ray.remote(num_cpus=4)
        class Scorer:
            def score(self):
                return 1

        scored, deadline = Scorer.remote().score.remote(), time.monotonic() + 60
        while not pending_demand().pending and time.monotonic() < deadline:  # which the cluster counts now and then
            time.sleep(0.1)
        with pytest.raises(RunStalled) as stalled, dog.phase("score", 2):
            ray.get(scored)
    finally:
        dog.stop()
        ray.shutdown()
    for said in (*warned, str(stalled.value)):
        assert "Nothing has moved in score of round 2" in said
        assert "1 x actor or task that asks for 4 CPU" in said
        assert "1 CPU of 1 CPU" in said
    assert len(warned) == 1
    assert "knowlip resume" in str(stalled.value)


def test_a_driver_that_does_not_even_stop_is_ended_with_its_process():
    """The main thread ignores the interrupt, as a call into a dead library might."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
        import time
        from orchestrator.monitoring.watchdog import Watchdog
        from orchestrator.policies.stall import WatchdogConfig

        dog = Watchdog(WatchdogConfig(warn_after_s=0.1, give_up_after_s=0.2), lambda: "", print, exit_after_s=0.5)
        dog.start()
        with dog.phase("publish", 1):
            while True:
                try:
                    time.sleep(100)
                except KeyboardInterrupt:
                    pass
        """),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert "Error: Nothing has moved in publish of round 1" in done.stderr
