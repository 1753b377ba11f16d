"""Which checkpoints of the trainer are kept."""

import shutil
from contextlib import contextmanager

import pytest

from actors.trainer import checkpoint as trainer_state
from actors.trainer.checkpoint import TrainerPosition, latest_checkpoint
from corpus.storage.lock import LeaseLost
from corpus.storage.writer import UNGUARDED, Writer


class LostAfter(Writer):
    """Of a driver that another one takes over from after so many changes of the directory."""

    def __init__(self, changes: int) -> None:
        super().__init__()
        self._left = iter(range(changes))

    @contextmanager
    def holding(self):
        if next(self._left, None) is None:
            raise LeaseLost("another driver")
        yield


def finish(directory, step: int, writer=UNGUARDED) -> None:
    """Make a checkpoint of nothing but its position the newest one, and keep two."""
    partial = trainer_state._temporary(directory, f"step-{step:08d}")
    trainer_state._finish(partial, directory / f"step-{step:08d}", TrainerPosition(1, step, step, 1, False), 2, writer)


def names(directory) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_newest_checkpoints_are_kept_and_nothing_is_left_of_others(tmp_path):
    for step in range(1, 5):
        finish(tmp_path, step)
    assert names(tmp_path) == ["step-00000003", "step-00000004"]


def test_a_driver_that_lost_its_run_deletes_no_checkpoint(tmp_path):
    for step in (1, 2):
        finish(tmp_path, step)
    with pytest.raises(LeaseLost):
        finish(tmp_path, 3, LostAfter(1))
    assert names(tmp_path) == ["step-00000001", "step-00000002", "step-00000003"]


def test_what_two_drivers_delete_at_a_time_is_gone(tmp_path, monkeypatch):
    """One that wakes up goes on deleting what it had begun to, beside its successor."""
    rmtree = shutil.rmtree

    def after_the_other(path, *arguments, **how) -> None:
        rmtree(path, ignore_errors=True)
        rmtree(path, *arguments, **how)

    monkeypatch.setattr(shutil, "rmtree", after_the_other)
    trainer_state._temporary(tmp_path, "step-00000001")
    trainer_state._remove_left_over(tmp_path, UNGUARDED)
    for step in range(1, 4):
        finish(tmp_path, step)
    assert names(tmp_path) == ["step-00000002", "step-00000003"]
    assert latest_checkpoint(tmp_path)[1].step == 3
