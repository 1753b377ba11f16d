"""Checkpoints that are written while training goes on.

Every rank copies its state to memory, which takes the step a moment, and a thread writes the copy. When the ranks know
from one another that all have written, rank 0 gives the checkpoint its name.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from deepspeed.checkpoint.utils import clone_tensors_for_torch_save
from deepspeed.runtime.checkpoint_engine.torch_checkpoint_engine import TorchCheckpointEngine

from corpus.storage.disk import reach_disk


class Snapshots(TorchCheckpointEngine):
    """DeepSpeed's way to save, which keeps copies in memory in place of writing files.

    DeepSpeed has asynchronous engines of its own: seen in 0.19.8, one starts a process that holds the state again and
    another needs a package for CUDA.

    Attributes:
        taken: Of each file its path and content.
    """

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[tuple[Path, Any]] = []

    def save(self, state_dict: Any, path: str) -> None:
        """Copy what was to be written; later steps change the tensors."""
        self.taken.append((Path(path), clone_tensors_for_torch_save(state_dict)))

    def preserves_storage_sharing(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]  # typed True there
        """Whether DeepSpeed copies tensors that share memory before it saves them; `save` copies all anyway."""
        return False


class BackgroundWrite:
    """Files that a thread writes.

    Args:
        files: Of each file its path and content.
    """

    def __init__(self, files: list[tuple[Path, Any]]) -> None:
        self._files = files
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._write, name="checkpoint", daemon=True)
        self._thread.start()

    def _write(self) -> None:
        try:
            while self._files:
                path, content = self._files.pop(0)  # so that written copies are let go
                self._save_file(content, path)
                reach_disk(path)
        except BaseException as error:  # raised by `done` or `wait`, in the thread of the training
            self._error = error

    def done(self) -> bool:
        """Whether all is written.

        Raises:
            OSError: It could not be written; or whatever else the thread ended with.
        """
        if self._thread.is_alive():
            return False
        if self._error is not None:
            raise self._error
        return True

    def wait(self) -> None:
        """Wait until all is written; errors as of `done`."""
        self._thread.join()
        self.done()

    @staticmethod
    def _save_file(content: Any, path: Path) -> None:
        torch.save(content, path, _use_new_zipfile_serialization=False)  # as DeepSpeed's own engine does


class Interval:
    """Says when the next checkpoint is due: so many seconds after the one before was begun.

    Args:
        seconds: Length of the interval.
        clock: Returns a time in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self.restart()

    def restart(self) -> None:
        """Count from now."""
        self._begun = self._clock()

    def is_over(self) -> bool:
        """Whether a checkpoint is due."""
        return self._clock() - self._begun >= self._seconds
