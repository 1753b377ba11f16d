"""Carries round orders to the standing worker group and results back.

Ray Train runs one long `fit()` for the whole run, so that workers, imports and DeepSpeed start once. This
zero-CPU actor is how the loop tells the workers what to do next.
"""

from dataclasses import dataclass, field
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy


@dataclass(frozen=True)
class RoundOrder:
    """What to train in one round, and one fold of it.

    fold: which of the run's models; each continues its own state of the round before. from_scratch: begin with the
    run's start weights instead, and with a new optimiser, teacher and queue.
    blocks: object references to Arrow tables, in the order of the round's shuffle. block_rows: rows of each block.
    weights_dir: where the trained weights go. label_accuracy: expected share of right labels, by clause; None: all.
    """

    round: int
    fold: int
    from_scratch: bool
    blocks: list = field(repr=False)
    block_rows: tuple[int, ...]
    epochs: int
    weights_dir: str
    label_accuracy: tuple[float, ...] | None = None

    @property
    def key(self) -> tuple[int, int]:
        """(round, fold), by which a result is asked for."""
        return self.round, self.fold


@dataclass(frozen=True)
class RoundResult:
    """What training one round came to. losses: one dict a step of the round, with `step` counted
    over the run of that fold.
    """

    round: int
    fold: int
    weights_dir: str
    weights_sha256: str
    world_size: int
    losses: list[dict[str, float]]


@ray.remote(num_cpus=0)
class Mailbox:
    """Holds the latest order and the results. Orders are known by (round, fold): a worker that restarts asks again."""

    def __init__(self) -> None:
        self._order: RoundOrder | None = None
        self._results: dict[tuple[int, int], RoundResult] = {}
        self._progress: dict[str, Any] = {}
        self._fruitless_starts = 0
        self._furthest, self._starts_there = 0, 0
        self._error = ""
        self._group_failed = False
        self._given_up: Exception | None = None
        self._stopping = False
        self._closed = False

    def post(self, order: RoundOrder) -> None:
        """What to train next. Groups that started while nothing was ordered had no step to train: they do not count."""
        self._order = order
        self._fruitless_starts = 0
        self._furthest, self._starts_there = 0, 0
        self._error, self._group_failed = "", False

    def order(self) -> RoundOrder | None:
        """The order that still waits for its result, or None."""
        if self._order is None or self._order.key in self._results:
            return None
        return self._order

    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        self._closed = True

    def starting(self) -> None:
        """A worker group (re)starts. Counted before its workers are built: that may fail, too."""
        self._fruitless_starts += 1
        self._starts_there += 1
        self._group_failed = False

    def started(self, world_size: int) -> None:
        """The workers of a group are built and ask for orders."""
        self._progress = {"world_size": world_size}

    def put_progress(self, progress: dict[str, Any]) -> bool:
        """A step was trained. Returns whether the workers are to save their state and stop."""
        self._progress = progress
        self._fruitless_starts = 0
        if progress["step"] > self._furthest:
            self._furthest, self._starts_there = progress["step"], 0
        return self._stopping

    def stop(self) -> None:
        """Have the workers save their state after the current step and end."""
        self._stopping = self._closed = True

    def put_error(self, error: str) -> None:
        """Why a worker stopped; the first reason of a group is the cause, the rest follow from it.

        It stays until a later group has a reason of its own: the loop may look only once that one has started.
        """
        if not self._group_failed:
            self._error, self._group_failed = error, True

    def give_up(self, error: Exception) -> None:
        """A worker ended for a reason that another start would only meet again."""
        self._given_up = self._given_up or error

    def given_up(self) -> Exception | None:
        return self._given_up

    def trouble(self) -> tuple[int, str]:
        """Worker groups started since the last trained step or order, and why the last one that said so failed."""
        return self._fruitless_starts, self._error

    def standstill(self) -> tuple[int, int]:
        """The furthest step of the order that was ever trained, and worker groups started since it was."""
        return self._furthest, self._starts_there

    def progress(self) -> dict[str, Any]:
        return self._progress

    def put_result(self, result: RoundResult) -> None:
        self._results[result.round, result.fold] = result

    def result(self, key: tuple[int, int]) -> RoundResult | None:
        return self._results.get(key)


def start_mailbox():
    """A handle of a new mailbox on the driver's node: a run ends with that node anyway, any other may be taken away."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    return Mailbox.options(scheduling_strategy=here).remote()
