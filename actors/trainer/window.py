"""Training rows of a micro-batch, read from tables that lie in Ray's object store."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import pyarrow as pa

from actors.data.object_store import take
from actors.data.round_rows import BLOCKS_OF_PART, RoundRows
from actors.data.shuffler import crops_of
from actors.trainer.batches import TrainingRow
from actors.trainer.epoch_plan import MicroBatch

_HELD_PARTS = 2  # A step can begin in one part and end in the next.


@dataclass
class RowWindow:
    """The tables used last, which are read from shared memory without a copy.

    The object store may not spill what is held here.

    Attributes:
        order: Training rows of the round.
        images: Index of a block of images -> its table, the one used last at the end.
        parts: Number of a part -> its table, the one used last at the end.
        holds: blocks of images held at most.
    """

    order: RoundRows
    images: dict[int, pa.Table] = field(default_factory=dict)
    parts: dict[int, pa.Table] = field(default_factory=dict)
    holds: int = BLOCKS_OF_PART

    def rows(self, batch: MicroBatch) -> list[TrainingRow]:
        """The rows of a micro-batch, in its order."""
        return [_row(*each) for each in self._tables(batch)]

    def inputs(self, batch: MicroBatch) -> list[tuple[float, str, str]]:
        """Of each row of a micro-batch metres per pixel of its image, where its level comes from, and its product."""
        return [
            (table["gsd_m"][row].as_py(), table["level"][row].as_py(), table["product"][row].as_py())
            for _, _, table, row in self._tables(batch)
        ]

    def _tables(self, batch: MicroBatch) -> Iterator[tuple[pa.Table, int, pa.Table, int]]:
        """Of each row of a micro-batch the table of its part and its row there, that of its image and the row there."""
        for block, row in zip(batch.block.tolist(), batch.row.tolist(), strict=True):
            number, start = self._starts[block]
            part = _held(self.parts, number, self.order.parts, _HELD_PARTS)
            at = start + row
            images = _held(self.images, part["image_block"][at].as_py(), self.order.images, self.holds)
            yield part, at, images, part["image_row"][at].as_py()

    @cached_property
    def _starts(self) -> list[tuple[int, int]]:
        """Of each block of the order its part, and its first row there."""
        starts, block = [], 0
        for number, blocks in enumerate(self.order.part_blocks):
            sizes = self.order.block_rows[block : block + blocks]
            starts += [(number, int(end) - size) for end, size in zip(np.cumsum(sizes), sizes, strict=True)]
            block += blocks
        return starts


def _held(tables: dict[int, pa.Table], index: int, refs: list, most: int) -> pa.Table:
    """The table of a reference; of the tables used longest ago those are let go that are more than `most`."""
    if (table := tables.pop(index, None)) is None:
        [table] = take([refs[index]])
    tables[index] = table
    if len(tables) > most:
        del tables[next(iter(tables))]
    return table


def _row(part: pa.Table, at: int, images: pa.Table, row: int) -> TrainingRow:
    crops = crops_of(images, row).astype(np.float32)
    return TrainingRow(
        tile_id=part["tile_id"][at].as_py(),
        image=crops[0] if len(crops) == 1 else crops,
        values=np.asarray(part["values"][at].as_py()),
        caption_mask=np.asarray(part["caption_mask"][at].as_py()),
        loss_mask=np.asarray(part["loss_mask"][at].as_py()),
        knowledge=part["knowledge"][at].as_py(),
        hints=part["hints"][at].as_py(),
    )
