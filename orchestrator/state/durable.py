"""What keeps a run's state beyond its run directory: nothing, or a store."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

DATA = "data"
"""Folder of a run directory that came from a store: the corpus that came with it."""


class Durable(Protocol):
    """What a session tells of its state."""

    def publish(self) -> None:
        """Keep the state as it is now. A round that is recorded has happened, on every machine, when this returns.

        Raises:
            StoreAway: The store does not answer.
            LeaseLost: Another driver has taken over.
        """
        ...

    def changing(self) -> AbstractContextManager[None]:
        """Keep nothing while the body runs, such as one that deletes old rounds' files."""
        ...


class RunDirectoryAlone:
    """The run directory is all there is."""

    def publish(self) -> None:
        """Nothing: every file of a run directory is durable once it has its name."""

    @contextmanager
    def changing(self) -> Iterator[None]:
        """Run the body."""
        yield


def restored_corpus(run_dir: Path) -> bool:
    """Return whether a run directory came from a store, with its corpus."""
    return (run_dir / DATA).is_dir()
