"""Free disk space: checked before a run starts, and named where a run fails for want of it."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.storage.disk import DiskFull, causes, disk_full, free_bytes, is_disk_full, room, total_bytes
from orchestrator.cluster.ray_output import quiet_ray
from orchestrator.config.schema import RunConfig

_RAY_WORDS = "local disk is full"
_LEFT_FREE = 0.05
_NODE = re.compile(r"\bip=([\w.:]+)")


def spill_dir(config: RunConfig) -> Path | None:
    """Return where Ray's object store spills to on this machine, None where the cluster is elsewhere."""
    if config.cluster.address is not None:
        return None
    elsewhere = os.environ.get("RAY_object_spilling_directory")  # noqa: SIM112  # Ray spells it so
    return config.cluster.spill_dir or Path(elsewhere or Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray")


def shortfalls(config: RunConfig, run_dir: Path) -> list[str]:
    """Return every place of a run that has less free space than cluster.free_disk_gib, in words."""
    places = {"the run directory": run_dir, "what Ray's object store spills": spill_dir(config)}
    short = []
    for what, path in places.items():
        if path is not None and free_bytes(path) < config.cluster.free_disk_gib * 2**30:
            short.append(
                f"{config.cluster.free_disk_gib:g} GiB of disk are needed (cluster.free_disk_gib) for {what} and "
                f"{free_bytes(path) / 2**30:.2f} GiB are free at {path}: make room there, name another place, or "
                "lower the key if you know that less will do"
            )
    return short


def why_ray_waits(config: RunConfig) -> str:
    """Say that Ray has no room to spill to, as a reason why a run makes no progress. Empty where it has room."""
    place = spill_dir(config)
    if place is None or free_bytes(place) > _LEFT_FREE * total_bytes(place):
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
