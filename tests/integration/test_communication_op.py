"""A compilation that was killed in the middle does not stop the ones after it."""

import os
import signal
import subprocess
import sys
import time

from torch.utils.file_baton import FileBaton

from actors.trainer.communication_op import alone_in

HOLD = """
import sys, time
from pathlib import Path
from torch.utils.file_baton import FileBaton
from actors.trainer.communication_op import alone_in
folder = Path(sys.argv[1])
with alone_in(folder):
    assert FileBaton(str(folder / "lock")).try_acquire()
    print("compiling", flush=True)
    time.sleep(600)
"""


def test_the_file_of_a_killed_process_is_removed(tmp_path):
    folder = tmp_path / "op"
    compiling = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    try:
        assert compiling.stdout.readline() == "compiling\n"
        assert not FileBaton(str(folder / "lock")).try_acquire(), "PyTorch would wait for this file"
        os.kill(compiling.pid, signal.SIGKILL)
        compiling.wait()
        assert (folder / "lock").exists()
        with alone_in(folder):
            assert FileBaton(str(folder / "lock")).try_acquire()
    finally:
        compiling.kill()


def test_a_living_process_is_waited_for(tmp_path):
    folder = tmp_path / "op"
    compiling = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    waiting = None
    try:
        assert compiling.stdout.readline() == "compiling\n"
        waiting = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
        time.sleep(3)
        assert waiting.poll() is None
        assert (folder / "lock").exists()
        compiling.kill()
        assert waiting.stdout.readline() == "compiling\n"
    finally:
        for process in (compiling, waiting):
            if process is not None:
                process.kill()
