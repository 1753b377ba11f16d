"""A disk of a few MiB that can be filled and emptied: a tmpfs, so that what meets its end is the real thing."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from corpus.storage.disk import free_bytes
from support.mounts import mount, unmount

_BALLAST = "ballast"


class CannotMount(RuntimeError):
    """Mounting a tmpfs is not permitted here; the message carries mount's own."""


class SmallDisk:
    """A file system of its own below `path`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self, leave_bytes: int = 0) -> None:
        """Take all but `leave_bytes` of what is free."""
        with open(self.path / _BALLAST, "ab") as file:
            while (rest := free_bytes(self.path) - leave_bytes) >= 4096:
                file.write(bytes(min(rest, 2**20)))
                file.flush()

    def empty(self) -> None:
        """Give it back."""
        (self.path / _BALLAST).unlink(missing_ok=True)


@contextmanager
def small_disk(path: Path, size_mib: int) -> Iterator[SmallDisk]:
    """Mount one at `path` and take it away again.

    Raises:
        CannotMount: this user may not.
    """
    path.mkdir(parents=True, exist_ok=True)
    if (refused := mount(path, size_mib * 2**20)) is not None:
        raise CannotMount(f"a tmpfs cannot be mounted here: {refused}")
    try:
        yield SmallDisk(path)
    finally:
        unmount(path)
