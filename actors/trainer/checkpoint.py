"""The trainer's own checkpoints: ZeRO state that survives a change of world size.

One directory a checkpoint, named by step, complete or absent: ranks write into a temporary directory, rank 0
renames it after a barrier. The same path serves a worker that was replaced, a group that was resized and a
run that was resumed. A temporary directory belongs to one save or load only: a process that was stopped and wakes up
next to its successor never writes into the successor's.
"""

import json
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist

from actors.trainer.background import BackgroundWrite, Snapshots
from actors.trainer.safe_load import StateRefused, weights_only
from corpus.storage.disk import disk_full, is_disk_full, writing
from corpus.storage.writer import UNGUARDED, Writer

TAG = "zero"
MANIFEST = "manifest.json"
Result = TypeVar("Result")


@dataclass(frozen=True)
class TrainerPosition:
    """How far training has come.

    Attributes:
        round: Number of the round.
        step: Number of optimiser steps done in this round.
        total_steps: Number of optimiser steps done in the whole run.
        world_size: Number of workers.
        round_finished: Whether all steps of the round are done.
        losses: Losses of the round's steps, as RoundResult has them. Only rank 0 knows them; it writes the position.
    """

    round: int
    step: int
    total_steps: int
    world_size: int
    round_finished: bool
    losses: list[dict[str, float]] = field(default_factory=list)


def latest_checkpoint(directory: Path) -> tuple[Path, TrainerPosition] | None:
    """The newest complete checkpoint, or None."""
    candidates = sorted(path for path in directory.glob("step-*") if (path / MANIFEST).exists())
    if not candidates:
        return None
    return candidates[-1], TrainerPosition(**json.loads((candidates[-1] / MANIFEST).read_text()))


def save_checkpoint(
    engine, directory: Path, position: TrainerPosition, *, keep: int = 2, writer: Writer = UNGUARDED
) -> None:
    """Save the ZeRO state of all ranks; all of them call it. After an error the earlier checkpoints are still there.

    Args:
        engine: The DeepSpeed engine.
        directory: Folder of the checkpoints.
        position: How far training has come.
        keep: Number of newest checkpoints that are kept.
        writer: Writer that holds the run's lease.

    Raises:
        DiskFull: A rank's part does not fit on the disk.
        LeaseLost: Another driver has taken over.
    """
    PendingCheckpoint(engine, directory, position, keep=keep, writer=writer).wait()


class PendingCheckpoint:
    """A checkpoint whose state is held in memory and being written. Arguments and errors as of `save_checkpoint`.

    All ranks make one, and all of them `finish` it, when every rank has written its part. A process that is killed
    before leaves what the next `load_checkpoint` removes.
    """

    def __init__(
        self, engine, directory: Path, position: TrainerPosition, *, keep: int = 2, writer: Writer = UNGUARDED
    ) -> None:
        self._directory, self._position, self._keep, self._writer = directory, position, keep, writer
        self._name = f"step-{position.total_steps:08d}{'-end' if position.round_finished else ''}"
        with self._writing():
            writer.check()
            self._partial = _by_rank_0(lambda: _temporary(directory, self._name))
            snapshots, own = Snapshots(), engine.checkpoint_engine
            engine.checkpoint_engine = snapshots
            try:
                engine.save_checkpoint(str(self._partial), tag=TAG)
            finally:
                engine.checkpoint_engine = own
            self._write = BackgroundWrite(snapshots.taken)

    def written(self) -> bool:
        """Whether this rank has written its part."""
        with self._writing():
            return self._write.done()

    def finish(self) -> None:
        """Make it the newest checkpoint. All ranks call it, after all have written."""
        with self._writing():
            _by_rank_0(
                lambda: _finish(self._partial, self._directory / self._name, self._position, self._keep, self._writer)
            )

    def wait(self) -> None:
        """Wait for all ranks and finish. All ranks call it."""
        with self._writing():
            self._write.wait()
        dist.barrier()
        self.finish()

    def _writing(self) -> AbstractContextManager:
        return writing("the trainer's checkpoint", self._directory)


def _finish(partial: Path, final: Path, position: TrainerPosition, keep: int, writer: Writer) -> None:
    """Make what all ranks have written the newest checkpoint, and keep the newest `keep`."""
    (partial / MANIFEST).write_text(json.dumps(asdict(position)))
    writer.put_in_place(partial, final)
    complete = sorted(path for path in final.parent.glob("step-*") if (path / MANIFEST).exists())
    for old in complete[:-keep]:
        _delete(old, writer)


def _delete(checkpoint: Path, writer: Writer) -> None:
    """Cut off anywhere, it leaves the checkpoint whole or as what `_remove_left_over` removes.

    Raises:
        LeaseLost: another driver has taken over; the checkpoint is its own now, and stays.
    """
    deleted = _unused(checkpoint.parent, checkpoint.name)
    with writer.holding(), suppress(FileNotFoundError):
        checkpoint.rename(deleted)
    _remove(deleted)


def _remove(folder: Path) -> None:
    """A process that was stopped and woke up may be removing the same folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _temporary(directory: Path, name: str) -> Path:
    """A new directory that no other process, earlier or later, has the name of."""
    path = _unused(directory, name)
    path.mkdir(parents=True)
    return path


def _unused(directory: Path, name: str) -> Path:
    """A name that `_remove_left_over` finds."""
    return directory / f".{name}.{uuid.uuid4().hex}"


def _by_rank_0(work: Callable[[], Result]) -> Result:
    """What `work` returns on rank 0, the only one that does it, on all ranks; what it raises there is raised on all."""
    told: list[Any] = [None, None]
    if dist.get_rank() == 0:
        try:
            told[0] = work()
        except Exception as error:  # raised below, when the ranks that wait know it
            told[1] = error
    dist.broadcast_object_list(told, src=0)
    if told[1] is not None:
        raise told[1]
    return told[0]


def _remove_left_over(directory: Path, writer: Writer) -> None:
    """Temporary directories of processes that were killed.

    Raises:
        LeaseLost: another driver has taken over. They may be its own, and stay.
    """
    left_over = list(directory.glob(".step-*"))
    if left_over:
        with writer.holding():
            for path in left_over:
                _remove(path)


def load_checkpoint(
    engine_of: Callable[[bool], Any], directory: Path, writer: Writer = UNGUARDED
) -> tuple[Any, TrainerPosition | None]:
    """A DeepSpeed engine holding the newest checkpoint's state, whatever world size wrote it.

    Removes what earlier processes have left half done.

    Args:
        engine_of: called with load_universal (bool), returns a fresh engine. DeepSpeed decides at
            initialisation which kind of checkpoint it will load.
        directory: Folder of the checkpoints of the fold.
        writer: Writer of the run directory.

    Raises:
        StateRefused: the checkpoint holds pickled objects that are not DeepSpeed's.
        DiskFull: the state does not fit on the disk in the form that another world size needs.
        LeaseLost: another driver has taken over.
    """
    _by_rank_0(lambda: _remove_left_over(directory, writer))
    found = latest_checkpoint(directory)
    if found is None:
        return engine_of(False), None
    path, position = found
    if position.world_size == dist.get_world_size():
        engine = engine_of(False)
        _load(engine, path)
        return engine, position
    universal = _by_rank_0(lambda: _convert_to_universal(path))
    engine = engine_of(True)
    _load(engine, universal)
    _load_untrained(engine, path)
    dist.barrier()
    if dist.get_rank() == 0:
        shutil.rmtree(universal)
    return engine, position


def _load(engine, path: Path) -> None:
    with weights_only(path):
        loaded, _ = engine.load_checkpoint(str(path), tag=TAG)
    if loaded is None:
        raise RuntimeError(
            f"DeepSpeed could not load the checkpoint in {path}. Remove that directory to fall back "
            "to the one before it."
        )


def _load_untrained(engine, path: Path) -> None:
    """Teacher, queue and statistics: DeepSpeed's universal form holds only what its optimiser trains."""
    with weights_only(path):
        state = torch.load(path / TAG / "mp_rank_00_model_states.pt", map_location="cpu", weights_only=True)["module"]
    trained = {name for name, parameter in engine.module.named_parameters() if parameter.requires_grad}
    missing, _ = engine.module.load_state_dict(
        {name: value for name, value in state.items() if name not in trained}, strict=False
    )
    if set(missing) != trained:
        raise RuntimeError(
            f"the checkpoint in {path} lacks {', '.join(sorted(set(missing) - trained)[:5])}. Remove that "
            "directory to fall back to the one before it."
        )


def _convert_to_universal(source: Path) -> Path:
    """Convert a plain ZeRO checkpoint to DeepSpeed's universal form, which also loads at another world size.

    Returns:
        The folder of the universal form.

    Raises:
        DiskFull: The universal form does not fit on the disk.
        StateRefused: `source` holds other objects than DeepSpeed's.
    """
    what = "the trainer's state for another number of workers"
    with writing(what, source.parent):
        target = _temporary(source.parent, source.name)
        done = subprocess.run(
            [sys.executable, "-m", "actors.trainer.safe_load", str(source / TAG), str(target / TAG)],
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise _why_not_converted(done.stderr, what, source)
        (target / "latest").write_text(TAG)
    return target


def _why_not_converted(said: str, what: str, source: Path) -> Exception:
    """The error that a conversion ended with, by the standard error of its process."""
    if StateRefused.__name__ in said:
        return StateRefused(said.split(f"{StateRefused.__name__}: ")[-1].strip())
    if is_disk_full(RuntimeError(said), source.parent):
        return disk_full(what, source.parent)
    return RuntimeError(f"converting {source} for another number of workers failed:\n{said[-2000:]}")
