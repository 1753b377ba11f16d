"""The order of a round's training rows. Pixels stay where they are: the order points at the blocks that hold them.

An order over all blocks of a large corpus would have every worker read every block for every step. So the blocks are
dealt into parts, each of at most `BLOCKS_OF_PART` blocks, which a worker can hold at once; rows are shuffled within
parts, and the trainer goes from part to part. Every round deals anew. A corpus of one part is shuffled as a whole.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import ray

from actors.data.image_index import ImageIndex
from corpus.storage.rng import derive_seed

BLOCKS_OF_PART = 64
"""Blocks of images that rows of one part may lie in, at most: what a training worker holds at once."""


@dataclass(frozen=True)
class RoundRows:
    """Training rows of a round, in their order.

    Attributes:
        images: References to the blocks of the corpus, Arrow tables of `shuffler.read_images`.
        parts: References to Arrow tables with the rows, part after part: image_block (index into `images`), image_row,
            and what the trainer reads of a row.
        part_blocks: How many blocks of the order each part has.
        block_rows: Rows of each block of the order. An epoch visits its blocks in a new order.
    """

    images: list
    parts: list
    part_blocks: tuple[int, ...]
    block_rows: tuple[int, ...]


def shuffle_round(
    images: ImageIndex,
    annotations: pa.Table,
    *,
    run_seed: int,
    round_: int,
    rows_per_block: int,
    blocks_of_part: int = BLOCKS_OF_PART,
) -> RoundRows:
    """Training rows of a round in an order that depends on (run seed, round, tile) and on the corpus's blocks alone.

    Nothing is computed on the cluster, and no pixel moves.

    Args:
        images: Where the image of each tile lies. Tiles without an annotation are left out.
        annotations: One row per tile: tile_id, copies and whatever the trainer reads. A tile of several copies stands
            in several places.
        run_seed: Seed of the run.
        round_: Number of the round, counted from 1.
        rows_per_block: Rows of a block of the order.
        blocks_of_part: Blocks of images that rows of one part may lie in, at most.
    """
    parts, part_blocks, block_rows = [], [], []
    for part in parts_of_round(images, annotations, run_seed=run_seed, round_=round_, blocks_of_part=blocks_of_part):
        blocks = rows_of_blocks(part.num_rows, rows_per_block)
        parts.append(ray.put(part))
        part_blocks.append(len(blocks))
        block_rows += blocks
    return RoundRows(images.blocks, parts, tuple(part_blocks), tuple(block_rows))


def parts_of_round(
    images: ImageIndex, annotations: pa.Table, *, run_seed: int, round_: int, blocks_of_part: int = BLOCKS_OF_PART
) -> Iterator[pa.Table]:
    """The rows of each part of a round in their order, as `RoundRows.parts` has them; see `shuffle_round`."""
    tile_ids = annotations["tile_id"].to_pylist()
    place = np.asarray([images.where.get(tile_id, (-1, -1)) for tile_id in tile_ids], np.int64).reshape(-1, 2)
    copies = np.where(place[:, 0] >= 0, annotations["copies"].to_numpy(), 0)
    row = np.repeat(np.arange(len(tile_ids)), copies)
    turn = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
    key = np.asarray(
        [
            derive_seed(run_seed, round_, tile_ids[index], *([copy] if copy else []), "shuffle")
            for index, copy in zip(row.tolist(), turn.tolist(), strict=True)
        ],
        np.int64,
    )
    part = _part_of_block(len(images.blocks), blocks_of_part, run_seed, round_)[place[row, 0]]
    row = row[np.lexsort((key, part))]
    shown = annotations.drop_columns("copies")
    shown = shown.append_column("image_block", pa.array(place[:, 0])).append_column("image_row", pa.array(place[:, 1]))
    for rows in np.split(row, np.cumsum(np.bincount(part, minlength=1))[:-1]):
        if len(rows):
            yield shown.take(pa.array(rows)).combine_chunks()


def _part_of_block(blocks: int, most: int, run_seed: int, round_: int) -> np.ndarray:
    """Number of the part that each block of images is dealt to, int64 [blocks]; all parts are of about one size."""
    parts = -(-blocks // most)
    if parts <= 1:
        return np.zeros(blocks, np.int64)
    generator = np.random.default_rng(derive_seed(run_seed, round_, "parts"))
    return generator.permutation(np.arange(blocks) % parts)


def rows_of_blocks(rows: int, rows_per_block: int) -> list[int]:
    """Rows of each block of `rows` rows, as even as can be and at most one more than `rows_per_block`."""
    blocks = -(-rows // rows_per_block)
    # Fractions are summed up and cut off, and not computed: the last digit decides, and with it a run's data order.
    ends = np.cumsum(np.full(blocks - 1, rows / blocks)).astype(np.int64)
    return np.diff(ends, prepend=0, append=rows).tolist()
