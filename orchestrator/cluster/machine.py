"""What of this machine would keep a run from starting, or end it later: found, and named, before anything starts.

The functions that judge take plain values. `machine_troubles` looks at the machine and asks them.
"""

import os
import resource
from datetime import UTC, datetime
from pathlib import Path

from corpus.storage.disk import why_unwritable
from orchestrator.cluster.disk_space import ray_temp_dir, spill_dir
from orchestrator.config.schema import RunConfig

_LONGEST_SOCKET = 107 if os.uname().sysname == "Linux" else 103  # bytes, of the system's sun_path without its end
_LARGEST_PID = 4_194_304
MINIMUM_OPEN_FILES = 512
"""Files and sockets of one process. A guess with room: Linux gives 1,024 where nobody has set anything."""


def machine_troubles(config: RunConfig, run_dir: Path) -> list[str]:
    """Say what of this machine a run of this configuration cannot live with.

    Args:
        config: of the run.
        run_dir: where the run is going to write; it need not exist.

    Returns:
        One sentence or two for each trouble, with what to do; [] where there is none.
    """
    found = [
        unwritable_trouble("the run directory", run_dir, "name another one with --run-dir", why_unwritable(run_dir))
    ]
    if config.cluster.address is None:
        temp_dir, spill = ray_temp_dir(), spill_dir(config)
        home = os.environ.get("HOME") or None
        found += [
            socket_trouble(temp_dir),
            unwritable_trouble(
                "Ray's sockets and logs",
                temp_dir,
                "set RAY_TMPDIR, or TMPDIR, to another folder",
                why_unwritable(temp_dir),
            ),
            home_trouble(home, None if home is None else why_unwritable(Path(home))),
            open_files_trouble(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
        ]
        if spill is not None and spill != temp_dir:
            found.append(
                unwritable_trouble(
                    "what Ray's object store spills",
                    spill,
                    "name another place (cluster.spill_dir)",
                    why_unwritable(spill),
                )
            )
    return [each for each in found if each is not None]


def socket_trouble(temp_dir: Path) -> str | None:
    """Whether Ray's sockets get a name there that the system takes."""
    now = datetime.now(UTC)
    socket = temp_dir / f"session_{now:%Y-%m-%d_%H-%M-%S_%f}_{_LARGEST_PID}" / "sockets" / "plasma_store"
    over = len(os.fsencode(socket)) - _LONGEST_SOCKET
    if over <= 0:
        return None
    return (
        f"Ray keeps its sockets in {temp_dir}, and their path would be {over} bytes longer than the "
        f"{_LONGEST_SOCKET} that the system takes: set RAY_TMPDIR to a shorter folder, for instance "
        "`export RAY_TMPDIR=/tmp`; TMPDIR may stay as it is"
    )


def home_trouble(home: str | None, refused: str | None) -> str | None:
    """Whether Ray, Triton and torch find a place for what they keep in the home folder.

    Args:
        home: the variable HOME, None where it is not set.
        refused: why nothing can be written there; None where it can.
    """
    what = "Ray keeps its token there, and torch and DeepSpeed what they compile"
    todo = "set HOME to a folder of yours that can be written, for instance `export HOME=$PWD/home`"
    if home is None:
        return f"HOME is not set, and the system knows no home folder of this user; {what}: {todo}"
    if refused is not None:
        return f"nothing can be written to HOME, {home} ({refused}); {what}: {todo}"
    return None


def unwritable_trouble(what: str, path: Path, todo: str, refused: str | None) -> str | None:
    """Whether `what` can be written to `path`; `refused` says why it cannot, `todo` what helps."""
    return None if refused is None else f"{what} cannot be written to {path.absolute()} ({refused}): {todo}"


def open_files_trouble(limit: int) -> str | None:
    """Whether processes may open enough files: the hard limit, to which Ray raises the soft one."""
    if limit == resource.RLIM_INFINITY or limit >= MINIMUM_OPEN_FILES:
        return None
    return (
        f"a process may open {limit} files and sockets at a time (ulimit -Hn), and the processes of a local cluster "
        f"need {MINIMUM_OPEN_FILES}: raise the limit (ulimit -n, LimitNOFILE of systemd, --ulimit of Docker)"
    )
