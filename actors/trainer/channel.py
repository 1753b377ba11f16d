"""Carries train commands to the standing worker group, and progress, errors and results back.

Ray Train runs one long `fit()` for the whole run, so that workers, imports and DeepSpeed start once. This
zero-CPU actor is how the loop tells the workers what to do next.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.data.round_rows import RoundRows


@dataclass(frozen=True)
class TrainCommand:
    """What to train in one round, and one fold of it.

    Attributes:
        round: number of the round, from 1.
        fold: which of the run's models; each continues its own state of the round before.
        from_scratch: begin with the run's start weights instead, and with a new optimiser, teacher and queue.
        rows: Training rows in the round's order.
        epochs: passes over the rows.
        weights_dir: Folder that the trained weights are written to.
        label_accuracy: expected share of right labels in [0, 1], by clause; None: all are right.
    """

    round: int
    fold: int
    from_scratch: bool
    rows: RoundRows = field(repr=False)
    epochs: int
    weights_dir: str
    label_accuracy: tuple[float, ...] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """(round, fold), by which a result is asked for."""
        return self.round, self.fold


@dataclass(frozen=True)
class RoundResult:
    """What training one round came to.

    Attributes:
        round: number of the round.
        fold: which of the run's models.
        weights_dir: Folder of the weights.
        weights_sha256: their hash, hexadecimal.
        world_size: workers at the end of the round.
        losses: one dict a step of the round, by name of the loss; `step` is counted over the run of that fold.
        ahead_s: Seconds of the training before the loop waited for it.
    """

    round: int
    fold: int
    weights_dir: str
    weights_sha256: str
    world_size: int
    losses: list[dict[str, float]]
    ahead_s: float = 0.0


@ray.remote(num_cpus=0)
class TrainerChannel:
    """Holds the latest command, and the results by (round, fold). A worker that restarts asks for the command again."""

    def __init__(self) -> None:
        self._command: TrainCommand | None = None
        self._sent_at = 0.0
        self._results: dict[tuple[int, int], RoundResult] = {}
        self._seconds: dict[tuple[int, int], float] = {}
        self._progress: dict[str, Any] = {}
        self._losses: dict[int, dict[str, float]] = {}
        self._fruitless_starts = 0
        self._furthest, self._starts_there = 0, 0
        self._error = ""
        self._group_failed = False
        self._given_up: Exception | None = None
        self._stopping = False
        self._closed = False

    def send(self, command: TrainCommand) -> None:
        """Give the workers something to train.

        Worker groups that started before had no step to train: they do not count as fruitless starts.
        """
        self._command, self._losses = command, {}
        self._sent_at = time.monotonic()
        self._fruitless_starts = 0
        self._furthest, self._starts_there = 0, 0
        self._error, self._group_failed = "", False

    def next(self) -> tuple[TrainCommand | None, bool]:
        """The command that still waits for its result, or None; and whether the workers are to end without one."""
        if self._command is None or self._command.key in self._results:
            return None, self._closed
        return self._command, False

    def closed(self) -> bool:
        """Whether the workers are to end once nothing is left to train."""
        return self._closed

    def close(self) -> None:
        """Have the workers end once nothing is left to train."""
        self._closed = True

    def starting(self) -> None:
        """A worker group (re)starts. Counted before its workers are built: that may fail, too."""
        self._fruitless_starts += 1
        self._starts_there += 1
        self._group_failed = False

    def started(self, world_size: int) -> None:
        """The workers of a group are built and ask for commands."""
        self._progress = {"world_size": world_size}

    def report_progress(self, progress: dict[str, Any]) -> bool:
        """Note a trained step; returns whether the workers are to save their state and stop."""
        self._progress = progress
        # A group that goes on from a checkpoint trains steps again: the first losses of a step stand.
        if "losses" in progress:
            self._losses.setdefault(progress["total_step"], progress["losses"])
        self._fruitless_starts = 0
        if progress["step"] > self._furthest:
            self._furthest, self._starts_there = progress["step"], 0
        return self._stopping

    def stop(self) -> None:
        """Have the workers save their state after the current step and end."""
        self._stopping = self._closed = True

    def report_error(self, error: str) -> None:
        """Note why a worker stopped. The first reason of a group is the cause; the others follow from it.

        A reason stays until a later group has one of its own, as the loop may look only once that group has started.
        """
        if not self._group_failed:
            self._error, self._group_failed = error, True

    def give_up(self, error: Exception) -> None:
        """A worker ended for a reason that another start would only meet again."""
        self._given_up = self._given_up or error

    def given_up(self) -> Exception | None:
        """The error that another start would only meet again, or None."""
        return self._given_up

    def trouble(self) -> tuple[int, str]:
        """Worker groups started since the last trained step or command, and why the last one that said so failed."""
        return self._fruitless_starts, self._error

    def standstill(self) -> tuple[int, int]:
        """The furthest step of the command that was ever trained, and worker groups started since it was."""
        return self._furthest, self._starts_there

    def progress(self) -> dict[str, Any]:
        """What the workers last reported; empty before the first group is built."""
        return self._progress

    def losses_after(self, step: int) -> list[dict[str, float]]:
        """Losses of the command's steps until now, of those after `step`, in order; steps count over the run."""
        return [{"step": number, **self._losses[number]} for number in sorted(self._losses) if number > step]

    def report_result(self, result: RoundResult) -> None:
        """Note the result of a command."""
        self._results[result.round, result.fold] = result
        self._seconds[result.round, result.fold] = time.monotonic() - self._sent_at

    def result(self, key: tuple[int, int]) -> RoundResult | None:
        """The result of (round, fold), or None while it is not there."""
        return self._results.get(key)

    def seconds(self, key: tuple[int, int]) -> float:
        """Seconds from the command of (round, fold), the latest one, to its result, or until now."""
        return self._seconds.get(key, time.monotonic() - self._sent_at)


def start_channel() -> Any:
    """A handle of a new channel on the driver's node. A run ends with that node anyway; any other may be taken away."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return TrainerChannel.options(scheduling_strategy=here).remote()
