"""Which rows make up each micro-batch of an epoch: a pure function of (seed, round, epoch).

The micro-batch, not the rank, is the unit of contrast and of randomness. A step always consists of the same
micro-batches in the same order, whatever number of ranks shares them, so a change of world size changes
neither the data order nor the mathematics beyond the order of a floating-point sum.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from actors.trainer.channel import TrainCommand
from actors.trainer.config import TrainConfig
from corpus.storage.rng import derive_seed


@dataclass(frozen=True)
class MicroBatch:
    """Rows of one micro-batch: `block` and `row`, int [B], and the seed of everything drawn while building it."""

    index: int
    block: np.ndarray
    row: np.ndarray
    seed: int


@dataclass(frozen=True)
class EpochPlan:
    """Order of one epoch over blocks of Arrow rows.

    Parts are visited in a new order, and so are the blocks of each part; rows are shuffled within a window of
    `window_blocks` blocks, so that a worker needs few at a time. The last, incomplete step is dropped: every step has
    the same batch.

    Attributes:
        run_seed: seed of the run, or of the fold.
        round: number of the round.
        epoch: number of the epoch in the round, from 0.
        block_rows: rows of each block.
        micro_batch_tiles: tiles of a micro-batch.
        micro_batches_per_step: micro-batches of a step.
        window_blocks: blocks whose rows are shuffled together.
        part_blocks: blocks of each part, see `actors.data.round_rows`; () for a single part.
    """

    run_seed: int
    round: int
    epoch: int
    block_rows: tuple[int, ...]
    micro_batch_tiles: int
    micro_batches_per_step: int
    window_blocks: int = 32
    part_blocks: tuple[int, ...] = ()

    @property
    def steps(self) -> int:
        """Steps of the epoch."""
        return sum(self.block_rows) // (self.micro_batch_tiles * self.micro_batches_per_step)

    def micro_batches(self) -> list[list[MicroBatch]]:
        """One list of micro-batches per step."""
        generator = np.random.default_rng(derive_seed(self.run_seed, self.round, self.epoch, "epoch order"))
        blocks, rows = [], []
        for window in self._windows(generator):
            block = np.concatenate([np.full(self.block_rows[b], b) for b in window])
            row = np.concatenate([np.arange(self.block_rows[b]) for b in window])
            shuffled = generator.permutation(len(block))
            blocks.append(block[shuffled])
            rows.append(row[shuffled])
        block, row = np.concatenate(blocks), np.concatenate(rows)
        steps = []
        for step in range(self.steps):
            batches = []
            for index in range(self.micro_batches_per_step):
                start = (step * self.micro_batches_per_step + index) * self.micro_batch_tiles
                take = slice(start, start + self.micro_batch_tiles)
                seed = derive_seed(self.run_seed, self.round, self.epoch, step, index, "micro-batch")
                batches.append(MicroBatch(index, block[take], row[take], seed))
            steps.append(batches)
        return steps

    def _windows(self, generator: np.random.Generator) -> Iterator[np.ndarray]:
        """Blocks whose rows are shuffled together; a window lies in one part."""
        part_blocks = np.asarray(self.part_blocks or [len(self.block_rows)])
        first = np.cumsum(part_blocks) - part_blocks
        for part in generator.permutation(len(part_blocks)):
            order = first[part] + generator.permutation(part_blocks[part])
            for start in range(0, len(order), self.window_blocks):
                yield order[start : start + self.window_blocks]


def assign_micro_batches(micro_batches: int, world_size: int) -> list[list[int | None]]:
    """Micro-batch indices of each rank, padded with None so that all ranks do the same number of passes.

    >>> assign_micro_batches(4, 3)
    [[0, 3], [1, None], [2, None]]
    """
    passes = -(-micro_batches // world_size)
    return [
        [index if (index := rank + turn * world_size) < micro_batches else None for turn in range(passes)]
        for rank in range(world_size)
    ]


def plans_of(command: TrainCommand, train: TrainConfig, run_seed: int) -> list[EpochPlan]:
    """The plan of every epoch of a command.

    Args:
        command: What to train.
        train: Settings of the training.
        run_seed: Seed of the run. Folds have seeds of their own, made of it.
    """
    return [
        EpochPlan(
            derive_seed(run_seed, command.fold, "fold") if command.fold else run_seed,
            command.round,
            epoch,
            command.rows.block_rows,
            train.micro_batch_tiles,
            train.micro_batches_per_step,
            part_blocks=command.rows.part_blocks,
        )
        for epoch in range(command.epochs)
    ]
