"""Reads the tiles into the object store with Ray Data, and joins them with rows about them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import ray.data
from ray.exceptions import RayTaskError

from actors.data.images import tile_images
from corpus.geotiff.contrast import with_contrast
from corpus.geotiff.sampling import Sampling, centre_of
from corpus.integrity import check_tile
from corpus.storage.arrow import compute as pc
from corpus.tiles import product_of, tile_path


def read_images(
    tiles: pa.Table,
    corpus_dir: Path,
    rows_per_block: int,
    size: int | None = None,
    sampling: Sampling | None = None,
    contrast: Sequence[Sequence[float]] | None = None,
) -> ray.data.Dataset:
    """Every tile read once with rasterio and kept in the object store (which spills to disk).

    Columns: tile_id, split, image (bytes of float16 [K, 2, S, S]), crops (K), gsd_m (metres per pixel of an image),
    level (where the level of its decibels comes from), product (see `corpus.tiles`). Blocks hold `rows_per_block` rows
    in the order of the tile index, so that a scorer that takes whole blocks always sees the same batches.

    Args:
        tiles: of TILE_SCHEMA.
        corpus_dir: Folder of the corpus.
        rows_per_block: Rows of a block.
        size: S, side of an image; None: the tiles' own.
        sampling: What the start weights were trained at: a tile of a larger extent is K crops. None: K is 1.
        contrast: Of each tile what its channels' contrast is multiplied by; None: 1.

    Raises:
        CorpusError: a tile has changed since it was recorded. Ray makes a block that was lost with a node by reading
            its tiles once more: whoever takes it gets an error of Ray's that holds this one's words.
    """

    def read(batch: pa.Table) -> pa.Table:
        seen = [tile_images(_unchanged(corpus_dir, tile), tile, size, sampling) for tile in batch.to_pylist()]
        return pa.table(
            {
                "tile_id": batch["tile_id"],
                "split": batch["split"],
                "image": pa.array(
                    [
                        with_contrast(each.images, factors).tobytes()
                        for each, factors in zip(seen, batch["contrast"].to_pylist(), strict=True)
                    ],
                    pa.large_binary(),
                ),
                "crops": pa.array([len(each.images) for each in seen], pa.int32()),
                "gsd_m": pa.array([each.gsd_m for each in seen], pa.float64()),
                "level": pa.array([each.level.value for each in seen], pa.string()),
                "product": batch["product"],
            }
        )

    factors = [[1.0, 1.0]] * tiles.num_rows if contrast is None else [list(each) for each in contrast]
    source = tiles.select(["tile_id", "split", "path", "sha256", "gsd_m", "level_db"])
    source = source.append_column("contrast", pa.array(factors, pa.list_(pa.float64())))
    products = [product_of(tile) for tile in tiles.select(["platform", "band", "polarisations"]).to_pylist()]
    source = source.append_column("product", pa.array(products, pa.string())).sort_by("tile_id")
    chunks = [source.slice(start, rows_per_block) for start in range(0, source.num_rows, rows_per_block)]
    dataset = ray.data.from_arrow([chunk.combine_chunks() for chunk in chunks])
    try:
        return dataset.map_batches(read, batch_format="pyarrow", batch_size=None).materialize()
    except RayTaskError:  # holds the worker's error as text alone
        for tile in source.to_pylist():
            _unchanged(corpus_dir, tile)
        raise


def _unchanged(corpus_dir: Path, tile: Mapping[str, Any]) -> Path:
    """The file of a tile.

    Raises:
        CorpusError: The file is no longer the one that was recorded.
    """
    path = tile_path(corpus_dir, tile["path"])
    check_tile(tile["tile_id"], path, tile["sha256"])
    return path


def crops_of(table: pa.Table, row: int) -> np.ndarray:
    """The images in one row of a block, float16 [K, 2, S, S], without a copy."""
    pixels, crops = np.frombuffer(table["image"][row].as_buffer(), dtype=np.float16), table["crops"][row].as_py()
    side = round((pixels.size / 2 / crops) ** 0.5)
    return pixels.reshape(crops, 2, side, side)


def image_of(table: pa.Table, row: int) -> np.ndarray:
    """The image in one row of a block, float16 [2, S, S], without a copy; the middle one of several crops."""
    crops = crops_of(table, row)
    return crops[centre_of(len(crops))]


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
