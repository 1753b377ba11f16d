"""Joins tiles with the current annotations and reshuffles them for a round, with Ray Data."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import ray
import ray.data
from ray.data.context import ShuffleStrategy
from ray.exceptions import RayTaskError

from corpus.geotiff.read import model_image
from corpus.storage.arrow import compute as pc
from corpus.storage.rng import derive_seed
from corpus.tiles import check_tile, tile_path


@dataclass(frozen=True)
class Blocks:
    """A materialised dataset as references to Arrow tables and the number of rows of each."""

    refs: list
    rows: tuple[int, ...]


def read_images(tiles: pa.Table, corpus_dir: Path, rows_per_block: int) -> ray.data.Dataset:
    """Every tile read once with rasterio and kept in the object store (which spills to disk).

    Columns: tile_id, split, image (bytes of float16 [2, H, W]). Blocks hold `rows_per_block` rows in the
    order of the tile index, so that a scorer that takes whole blocks always sees the same batches.

    Raises:
        CorpusError: a tile has changed since it was recorded. Ray makes a block that was lost with a node by reading
            its tiles once more: whoever takes it gets an error of Ray's that holds this one's words.
    """

    def read(batch: pa.Table) -> pa.Table:
        images = [model_image(_unchanged(corpus_dir, tile)).tobytes() for tile in batch.to_pylist()]
        return pa.table(
            {"tile_id": batch["tile_id"], "split": batch["split"], "image": pa.array(images, pa.large_binary())}
        )

    source = tiles.select(["tile_id", "split", "path", "sha256"]).sort_by("tile_id")
    chunks = [source.slice(start, rows_per_block) for start in range(0, source.num_rows, rows_per_block)]
    dataset = ray.data.from_arrow([chunk.combine_chunks() for chunk in chunks])
    try:
        return dataset.map_batches(read, batch_format="pyarrow", batch_size=None).materialize()
    except RayTaskError:  # holds the worker's error as text alone
        for tile in source.to_pylist():
            _unchanged(corpus_dir, tile)
        raise


def _unchanged(corpus_dir: Path, tile: Mapping[str, str]) -> Path:
    """The file of a tile.

    Raises:
        CorpusError: The file is no longer the one that was recorded.
    """
    path = tile_path(corpus_dir, tile["path"])
    check_tile(tile["tile_id"], path, tile["sha256"])
    return path


def image_of(table: pa.Table, row: int) -> np.ndarray:
    """The image in one row of a block, float16 [2, H, W], without a copy."""
    pixels = np.frombuffer(table["image"][row].as_buffer(), dtype=np.float16)
    side = round((pixels.size / 2) ** 0.5)
    return pixels.reshape(2, side, side)


def join_by_tile(batch: pa.Table, rows: pa.Table) -> pa.Table:
    """The rows of a batch that `rows` knows by tile_id, with the columns of both, in the batch's order.

    Arrow's own join does not take list columns.
    """
    position = pc.index_in(batch["tile_id"], rows["tile_id"])
    known = pc.is_valid(position)
    found = rows.take(position.filter(known))
    joined = batch.filter(known)
    for name in rows.column_names:
        if name != "tile_id":
            joined = joined.append_column(name, found[name])
    return joined


def shuffle_round(
    images: ray.data.Dataset, annotations: pa.Table, *, run_seed: int, round_: int, rows_per_block: int
) -> Blocks:
    """Training rows of a round in an order that depends on (run seed, round, tile) alone.

    `annotations` has one row per tile (tile_id, copies and whatever the trainer reads); tiles without one are left
    out, and a tile of several copies stands in several places. A seeded sort key fixes the order where
    `random_shuffle(seed)` would not.
    """
    table = ray.put(annotations)

    def join(batch: pa.Table) -> pa.Table:
        joined = join_by_tile(batch, ray.get(table))
        copies = joined["copies"].to_numpy()
        row = np.repeat(np.arange(joined.num_rows), copies)
        turn = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
        joined = joined.drop_columns("copies").take(row)
        key = [
            derive_seed(run_seed, round_, tile_id, *([int(copy)] if copy else []), "shuffle")
            for tile_id, copy in zip(joined["tile_id"].to_pylist(), turn, strict=True)
        ]
        return joined.append_column("shuffle_key", pa.array(np.asarray(key, dtype=np.int64)))

    joined = images.map_batches(join, batch_format="pyarrow", batch_size=None)
    # Ray makes blocks anew that were lost with a node. Its default sort cannot: its tasks wait for ever for parts that
    # nobody keeps. Those of this one take them as arguments.
    joined.context.shuffle_strategy = ShuffleStrategy.SORT_SHUFFLE_PULL_BASED
    blocks = max(1, -(-pc.sum(annotations["copies"]).as_py() // rows_per_block))
    shuffled = joined.sort("shuffle_key").repartition(blocks).materialize()
    refs = shuffled.to_arrow_refs()
    rows = tuple(ray.get([_count.remote(ref) for ref in refs]))
    keep = [index for index, count in enumerate(rows) if count]
    return Blocks([refs[index] for index in keep], tuple(rows[index] for index in keep))


@ray.remote(num_cpus=0)
def _count(table: pa.Table) -> int:
    return table.num_rows
