"""Deletes what the retention policy names, never outside the run directory. A kill leaves nothing half."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from orchestrator.policies.retention import KINDS, Leftover, Plan
from orchestrator.state.run_directory import RunDirectory

_DELETED = ".deleted"
_NAME = re.compile(r"(?:fold-\d+-)?round-(\d{4,})(?:\.parquet)?")


def find_leftovers(directory: RunDirectory) -> list[Leftover]:
    """Return the files of rounds in a run directory. Links, and what lies behind them, are no part of it."""
    found = []
    for kind in KINDS:
        for path in _entries(directory.path / kind):
            if (name := _NAME.fullmatch(path.name)) and path.is_dir() == (kind != "feedback"):
                found.append(Leftover(kind, int(name.group(1)), path))
    return found


def carry_out(
    plan: Plan,
    directory: RunDirectory,
    tell: Callable[[int], None] = lambda round_: None,
) -> None:
    """Delete what a plan names.

    A kill leaves each thing whole, or under a name that nothing reads. The next call finishes the deletion.

    Args:
        plan: What to delete.
        directory: The run directory.
        tell: Called with every round whose weights are to be deleted, before anything is.

    Raises:
        LeaseLost: Another driver has taken over; what was left is still there.
        ValueError: A path of the plan does not lie in the run directory.
    """
    for round_ in sorted({each.round for each in plan.delete if each.kind == "weights"}):
        tell(round_)
    for each in plan.delete:
        if each.path.is_symlink() or each.path.parent.resolve() != directory.path.resolve() / each.kind:
            raise ValueError(f"{each.path} does not lie in {directory.path / each.kind}; it is not deleted")
        with directory.writer.holding():
            each.path.rename(each.path.with_name(f".{each.path.name}{_DELETED}"))
    for kind in KINDS:
        for path in _entries(directory.path / kind):
            if path.name.startswith((".round-", ".fold-")) and path.name.endswith(_DELETED):
                directory.writer.check()
                shutil.rmtree(path) if path.is_dir() else path.unlink()


def _entries(folder: Path) -> list[Path]:
    """Return what lies in a folder, without links; nothing where the folder itself is a link."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.is_symlink())
