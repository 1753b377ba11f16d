"""Training rows of a micro-batch, read from blocks that lie in Ray's object store."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from actors.data.object_store import take
from actors.data.shuffler import image_of
from actors.trainer.batches import TrainingRow
from actors.trainer.epoch_plan import EpochPlan, MicroBatch


@dataclass
class BlockWindow:
    """The blocks used last: Arrow tables that are read from shared memory without a copy.

    The object store may not spill what is held here. A step can begin in one window of the plan and end in the next.

    Attributes:
        refs: object references of all blocks of the round, in the order of its shuffle.
        tables: block index -> its table, the block used last at the end.
        holds: blocks held at most.
    """

    refs: list[Any]
    tables: dict[int, pa.Table]
    holds: int = 2 * EpochPlan.window_blocks

    def rows(self, batch: MicroBatch) -> list[TrainingRow]:
        """The rows of a micro-batch, in its order."""
        return [_row(self._table(block), int(row)) for block, row in zip(batch.block, batch.row, strict=True)]

    def _table(self, block: int) -> pa.Table:
        if (table := self.tables.pop(block, None)) is None:
            [table] = take([self.refs[block]])
        self.tables[block] = table
        if len(self.tables) > self.holds:
            del self.tables[next(iter(self.tables))]
        return table


def _row(table: pa.Table, row: int) -> TrainingRow:
    return TrainingRow(
        tile_id=table["tile_id"][row].as_py(),
        image=image_of(table, row).astype(np.float32),
        values=np.asarray(table["values"][row].as_py()),
        caption_mask=np.asarray(table["caption_mask"][row].as_py()),
        loss_mask=np.asarray(table["loss_mask"][row].as_py()),
        knowledge=table["knowledge"][row].as_py(),
        hints=table["hints"][row].as_py(),
    )
