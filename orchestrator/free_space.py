"""Room on disk: named before a run starts, and named again where a run meets the end of it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.disk import DiskFull, disk_full, free_bytes, is_disk_full
from orchestrator.config import RunConfig

_RAY_WORDS = "local disk is full"


def spill_dir(config: RunConfig) -> Path | None:
    """Where Ray's object store spills to on this machine; None where the cluster is elsewhere."""
    if config.cluster.address is not None:
        return None
    return config.cluster.spill_dir or Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray"


def shortfalls(config: RunConfig, run_dir: Path) -> list[str]:
    """Every place of a run that has less room than cluster.free_disk_gib, in words."""
    places = {"the run directory": run_dir, "what Ray's object store spills": spill_dir(config)}
    short = []
    for what, path in places.items():
        if path is not None and free_bytes(path) < config.cluster.free_disk_gib * 2**30:
            short.append(f"{config.cluster.free_disk_gib:g} GiB of disk are needed (cluster.free_disk_gib) for {what} and "
                         f"{free_bytes(path) / 2**30:.2f} GiB are free at {path}: make room there, name another place, or "
                         "lower the key if you know that less will do")
    return short


@contextmanager
def naming_a_full_disk(config: RunConfig, run_dir: Path) -> Iterator[None]:
    """The body is a run; whatever part of it meets a full disk, the error says so.

    Raises:
        DiskFull: in place of an error that a full disk has caused. All others pass.
    """
    try:
        yield
    except DiskFull:
        raise
    except Exception as error:
        if not is_disk_full(error, run_dir):
            raise
        place = spill_dir(config)
        if place is not None and _RAY_WORDS in str(error).lower():
            raise disk_full("what does not fit into Ray's object store", place) from error
        raise disk_full("a file of the run", run_dir) from error
