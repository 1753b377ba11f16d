"""SIGHUP of a terminal that closes ends a run as SIGTERM does, and not the processes that save its state."""

import os
import pty
import signal
import subprocess
import sys
import textwrap

import pytest

from orchestrator.cluster.signals import ending_on_signals
from support.paths import ROOT

DRIVER = """
    import subprocess, sys, time
    from pathlib import Path
    from orchestrator.cluster.signals import ending_on_signals, hang_up_blocked

    folder = Path(sys.argv[1])
    with ending_on_signals():
        with hang_up_blocked():
            worker = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (folder / "ready").touch()
        try:
            while True:
                print("a round", flush=True)
                time.sleep(0.01)
        except KeyboardInterrupt:
            time.sleep(0.3)  # the state is saved; the second signal comes meanwhile
            print("this goes nowhere", flush=True)
            (folder / "saved").write_text(f"the worker lives: {worker.poll() is None}")
            worker.kill()
    print("nor does this", flush=True)
    """


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_interrupts_and_the_handlers_of_before_come_back(number):
    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt), ending_on_signals():
        signal.raise_signal(number)
    assert signal.getsignal(number) is before


def test_a_hang_up_that_is_ignored_stays_so():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as below nohup
    try:
        with ending_on_signals():
            signal.raise_signal(signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_whose_terminal_is_closed_saves_its_state_and_ends_well(tmp_path):
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(DRIVER), str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # it becomes the controlling terminal
    )
    try:
        os.close(slave)
        while not (tmp_path / "ready").exists():
            assert process.poll() is None, os.read(master, 5000).decode()
            os.read(master, 5000)
        os.close(master)
        process.send_signal(signal.SIGHUP)  # the second, as a shell sends it
        assert process.wait(60) == 0
    finally:
        process.kill()
    assert (tmp_path / "saved").read_text() == "the worker lives: True"
