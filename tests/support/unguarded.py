"""Run directories that a test writes into without a lease."""

from pathlib import Path

from corpus.storage.writer import UNGUARDED
from orchestrator.state.run_directory import RunDirectory


def unguarded(path: Path) -> RunDirectory:
    """The run directory at a path, as one that no lease guards."""
    return RunDirectory(path, UNGUARDED)
