"""Free disk space: checked before a run starts, and named where a run fails for want of it."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from corpus.storage.disk import DiskFull, causes, disk_full, free_bytes, is_disk_full, room, total_bytes
from orchestrator.cluster.ray_output import quiet_ray
from orchestrator.config.schema import RunConfig

_RAY_WORDS = "local disk is full"
_LOGS_BYTES = 0.1 * 2**30
_SHARED_MEMORY = Path("/dev/shm")
_NODE = re.compile(r"\bip=([\w.:]+)")


def ray_temp_dir() -> Path:
    """Return where a local cluster keeps its sockets and logs, and spills to if nothing else is named.

    Seen in Ray 2.60.0, ray/_common/utils.py, get_default_ray_temp_dir.
    """
    named = os.environ.get("RAY_TMPDIR", os.environ.get("TMPDIR") if sys.platform == "linux" else None)
    return Path("/tmp" if named is None else named) / "ray"


def spill_dir(config: RunConfig) -> Path | None:
    """Return where Ray's object store spills to on this machine, None where the cluster is elsewhere."""
    if config.cluster.address is not None:
        return None
    elsewhere = os.environ.get("RAY_object_spilling_directory")  # noqa: SIM112  # Ray spells it so
    return config.cluster.spill_dir or (Path(elsewhere) if elsewhere else ray_temp_dir())


@dataclass(frozen=True)
class Place:
    """Somewhere a run writes to.

    Args:
        what: what is written there.
        path: the place; it need not exist.
        need: bytes that have to be free.
        key: how the user says what has to be free; '' where that is fixed.
        elsewhere: how the user names another place.
        kept: share of the disk that counts as full.
    """

    what: str
    path: Path
    need: float
    key: str
    elsewhere: str
    kept: float = 0.0

    def shortfall(self, free: float, total: float) -> str | None:
        """Say that there is too little room, given the bytes that are free and those of the whole disk, or None."""
        usable = max(0.0, free - self.kept * total)
        if usable >= self.need:
            return None
        kept = f" (Ray leaves the last {self.kept:.0%} of a disk)" if self.kept else ""
        return (
            f"{_gib(self.need)} GiB of disk are needed{f' ({self.key})' if self.key else ''} for {self.what} and "
            f"{usable / 2**30:.2f} GiB are free at {self.path}{kept}: make room there, name another place "
            f"({self.elsewhere})" + (", or lower the key if you know that less will do" if self.key else "")
        )


def places_of(config: RunConfig, run_dir: Path) -> list[Place]:
    """Return the places on this machine that a run writes to."""
    need, key = config.cluster.free_disk_gib * 2**30, "cluster.free_disk_gib"
    places = [Place("the run directory", run_dir, need, key, "--run-dir")]
    if (spill := spill_dir(config)) is not None:
        places.append(Place("what Ray's object store spills", spill, need, key, "cluster.spill_dir", _kept_free()))
        places.append(Place("Ray's sockets and logs", ray_temp_dir(), _LOGS_BYTES, "", "RAY_TMPDIR, or TMPDIR"))
    return places


def shortfalls(config: RunConfig, run_dir: Path) -> list[str]:
    """Return every place of a run that has less free space than it needs, in words."""
    short = [place.shortfall(free_bytes(place.path), total_bytes(place.path)) for place in places_of(config, run_dir)]
    if config.cluster.address is None and _SHARED_MEMORY.exists():
        temp_dir = ray_temp_dir()
        short.append(store_shortfall(config, free_bytes(_SHARED_MEMORY), temp_dir, free_bytes(temp_dir)))
    return [each for each in short if each is not None]


def store_shortfall(config: RunConfig, shared: float, temp_dir: Path, free: float) -> str | None:
    """Say that the object store has no room; where shared memory is too small for it, Ray makes it a file on disk.

    Args:
        config: of the run.
        shared: bytes free in shared memory.
        temp_dir: Ray's.
        free: bytes free there.
    """
    need = config.cluster.object_store_memory_gib * 2**30
    if shared >= need or free >= need:
        return None
    return (
        f"{_gib(need)} GiB of shared memory are needed (cluster.object_store_memory_gib), {shared / 2**30:.2f} GiB are "
        f"free in {_SHARED_MEMORY}, and {free / 2**30:.2f} GiB at {temp_dir}, which Ray would use in its place: give "
        "the container more shared memory (--shm-size of Docker), or lower the key"
    )


def _gib(size: float) -> str:
    return f"{size / 2**30:.4g}"


def _kept_free() -> float:
    """Share of a disk that Ray leaves free."""
    return 1.0 - float(os.environ.get("RAY_local_fs_capacity_threshold") or 0.95)  # noqa: SIM112


def why_ray_waits(config: RunConfig) -> str:
    """Say that Ray has no room to spill to, as a reason why a run makes no progress. Empty where it has room."""
    place = spill_dir(config)
    if place is None or free_bytes(place) > _kept_free() * total_bytes(place):
        return ""
    return (
        f" Ray has no room to spill to {place}: that file system has {room(place)}, and Ray leaves the last 5 % of it "
        "free."
    )


@contextmanager
def naming_a_full_disk(config: RunConfig, run_dir: Path) -> Iterator[None]:
    """Have an error of the body that a full disk caused say so; what Ray itself prints about it is left out.

    Args:
        config: The run's configuration.
        run_dir: Its directory.

    Raises:
        DiskFull: In place of an error that a full disk has caused. All other errors pass.
    """
    try:
        with quiet_ray():
            yield
    except DiskFull:
        raise
    except Exception as error:
        if _ray_could_not_spill(error):
            raise _cannot_spill(config, error) from error
        if is_disk_full(error, run_dir):
            raise disk_full("a file of the run", run_dir) from error
        raise


def _ray_could_not_spill(error: BaseException) -> bool:
    return any(_RAY_WORDS in str(each).lower() for each in causes(error))


def _cannot_spill(config: RunConfig, error: BaseException) -> DiskFull:
    what, end = "what does not fit into Ray's object store", "Rounds that have a record are whole."
    place = spill_dir(config)
    if place is None:
        node = next((found[1] for each in causes(error) if (found := _NODE.search(str(each)))), "of the cluster")
        return DiskFull(
            f"The disk is full: {what} could not be written where node {node} spills to, of which Ray leaves the last "
            f"5 % free. {end} Make room there, or give the cluster's nodes a larger object store, then `knowlip resume "
            "RUN_DIR`."
        )
    return DiskFull(
        f"The disk is full: {what} could not be written to {place}. That file system has {room(place)} now that Ray "
        f"has removed what it had spilled; Ray leaves the last 5 % of it free. {end} Make room there, or name another "
        "place (cluster.spill_dir) or a larger object store (cluster.object_store_memory_gib) in RUN_DIR/config.yaml, "
        "then `knowlip resume RUN_DIR`."
    )
