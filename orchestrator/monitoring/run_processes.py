"""Which processes of a machine belong to a run, and what memory each holds. Nothing here imports Ray."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from actors.logs import ENVIRONMENT


@dataclass(frozen=True)
class Held:
    """The memory of one process.

    Attributes:
        key: names the process among those of all machines.
        kind: what it is for people: its Ray role (ray::Captioner...), or its program's name.
        size: in bytes, see `measure`.
    """

    key: tuple[str, int]
    kind: str
    size: int


def has_pss() -> bool:
    """Return whether the system tells the proportional set size."""
    return hasattr(psutil.Process().memory_full_info(), "pss")


def measure(processes: Iterable[psutil.Process]) -> list[Held]:
    """Return what processes hold: the proportional set size, or the resident size without its shared part."""
    size, machine, found = _pss if has_pss() else _unshared, machine_name(), []
    for process in processes:
        try:
            found.append(Held((machine, process.pid), _kind(process), size(process)))
        except psutil.Error:  # it ended meanwhile
            continue
    return found


def machine_name() -> str:
    """Return a name of where process ids are unique: nodes of a cluster may share a machine."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # not Linux
        return os.uname().nodename


def processes_of_session(session: str | None) -> list[psutil.Process]:
    """Return this process, the daemons of a Ray session that it has started, and all their descendants.

    Daemons leave the tree of the process that starts them; all have the session's name among their arguments.
    """
    return _with_descendants(lambda process: session is not None and any(session in part for part in process.cmdline()))


def processes_of_run() -> list[psutil.Process]:
    """Return this process and those that have its run's mark in their environment, and all their descendants.

    The mark is the variable that says where a run's processes log, which no two runs have in common. On a cluster that
    runs share it tells a run's actors from others'.
    """
    mark = os.environ.get(ENVIRONMENT)
    return _with_descendants(lambda process: mark is not None and process.environ().get(ENVIRONMENT) == mark)


def _with_descendants(is_one) -> list[psutil.Process]:
    found: dict[int, psutil.Process] = {}
    children: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            children.setdefault(process.ppid(), []).append(process)
            if process.pid == os.getpid() or is_one(process):
                found[process.pid] = process
        except (psutil.Error, OSError):  # it ended, or is another user's
            continue
    todo = list(found.values())
    while todo:
        for child in children.get(todo.pop().pid, []):
            if child.pid not in found:
                found[child.pid] = child
                todo.append(child)
    return list(found.values())


def _pss(process: psutil.Process) -> int:
    return process.memory_full_info().pss


def _unshared(process: psutil.Process) -> int:
    info = process.memory_info()
    return max(info.rss - getattr(info, "shared", 0), 0)


def _kind(process: psutil.Process) -> str:
    words = process.cmdline()
    title = words[0] if words else process.name()
    if title.startswith("ray::"):
        return title.split(".")[0].split("(")[0][:60]
    return Path(title).name[:60] or process.name()
