"""The processes of one run, by the part they play."""

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

MARK = "KNOWLIP_CHAOS_RUN"
"""Environment variable that a run's driver is started with, and its Ray daemons inherit."""

# What a process calls itself. Ray's workers add the method they are in.
TITLE = {
    "trainer": "ray::RayTrainWorker",
    "train controller": "ray::TrainController",
    "captioner": "ray::ServeReplica:captioner",
    "serve controller": "ray::ServeController",
    "scorer": "ray::ScoreActor",
    "evaluator": "ray::Judge",
    "trainer channel": "ray::TrainerChannel",
}
_RANK_LOG = "ray-train-sys-worker-"
DAEMON = {"node": "raylet", "gcs": "gcs_server"}
TARGETS = ("driver", *TITLE, *DAEMON)


def of_run(driver_pid: int, mark: str) -> list[psutil.Process]:
    """All live processes of a run: the driver, Ray's daemons that carry its mark, and what they started."""
    roots = [process for process in psutil.process_iter() if process.pid == driver_pid or _has_mark(process, mark)]
    found = {process.pid: process for root in roots for process in [root, *_children(root)]}
    return [process for process in found.values() if _alive(process)]


def find(kind: str, number: int, driver_pid: int, mark: str) -> psutil.Process | None:
    """A live process of a kind, the trainer of rank `number`, or None while there is none."""
    if kind == "driver":
        return psutil.Process(driver_pid) if psutil.pid_exists(driver_pid) else None
    matches = [
        process
        for process in of_run(driver_pid, mark)
        if _is(process, kind) and (kind != "trainer" or rank_of(process) == number)
    ]
    return min(matches, key=lambda process: process.pid, default=None)


def rank_of(trainer: psutil.Process) -> int | None:
    """What Ray Train calls a worker in the log that this keeps open, or None while it has no rank."""
    try:
        logs = [file.path for file in trainer.open_files() if Path(file.path).name.startswith(_RANK_LOG)]
    except psutil.Error:
        return None
    ranks = [rank for log in logs for rank in re.findall(r'"world_rank": (\d+)', Path(log).read_text(encoding="utf-8"))]
    return int(ranks[-1]) if ranks else None


def kill(process: psutil.Process, patience_s: float = 20) -> None:
    """kill -9, and wait until the process is seen to be gone.

    Raises:
        RuntimeError: it is still there after `patience_s`: the fault was not injected.
    """
    process.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + patience_s
    while _alive(process):
        if time.monotonic() > deadline:
            raise RuntimeError(f"process {process.pid} survived kill -9 for {patience_s:g} s")
        time.sleep(0.01)


def clear(driver_pid: int, mark: str, patience_s: float = 30) -> int:
    """End what a run has left behind; returns how many processes had to be killed after `patience_s`."""
    deadline = time.monotonic() + patience_s
    # Ray's agents outlive the daemon that started them, and carry no mark: they are known from before.
    seen: dict[psutil.Process, None] = {}
    while True:
        seen.update(dict.fromkeys(of_run(driver_pid, mark)))
        left = [process for process in seen if _alive(process)]
        if not left or time.monotonic() > deadline:
            break
        time.sleep(0.25)
    for process in left:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    return len(left)


def _children(process: psutil.Process) -> Iterator[psutil.Process]:
    try:
        yield from process.children(recursive=True)
    except psutil.NoSuchProcess:
        return


def _has_mark(process: psutil.Process, mark: str) -> bool:
    try:
        return process.environ().get(MARK) == mark
    except (psutil.Error, OSError, UnicodeDecodeError):
        return False


def _alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is(process: psutil.Process, kind: str) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    if not command:
        return False
    if kind in DAEMON:
        return os.path.basename(command[0]) == DAEMON[kind]
    return command[0].startswith(TITLE[kind])
