"""Blocks that were lost with a node are made anew: in the same order, and of the same tiles."""

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.data
from ray.exceptions import RayTaskError

from actors.data.image_index import ImageIndex
from actors.data.round_rows import RoundRows, shuffle_round
from actors.data.shuffler import read_images
from actors.trainer.epoch_plan import MicroBatch
from actors.trainer.window import RowWindow
from chaos.nodes import first_node
from corpus.tiles import CorpusError, read_tiles
from support.shared_chain import make_tiles

TILES = [f"tile-{index:03d}" for index in range(120)]
WORKER = {"num_cpus": 3, "object_store_memory": 150 * 2**20, "resources": {"trainer": 8}}


@pytest.fixture
def cluster():
    """The driver's node computes nothing and holds no block, until a task's result is fetched."""
    with first_node(cpus=0) as cluster:
        yield cluster
        ray.shutdown()


def test_a_rounds_blocks_come_back_when_their_node_is_gone(cluster):
    node = cluster.add_node(**WORKER)
    ray.init(address=cluster.address)
    pixels = pa.table(
        {
            "tile_id": TILES,
            "image": pa.array([bytes(4 * 200**2)] * len(TILES), pa.large_binary()),
            "crops": [1] * len(TILES),
        }
    )
    images = (
        ray.data.from_arrow([pixels.slice(start, 30) for start in range(0, len(TILES), 30)])
        .map_batches(lambda batch: batch, batch_format="pyarrow", batch_size=None)
        .materialize()
    )
    said = pa.table(
        {
            "tile_id": TILES,
            "copies": [1] * len(TILES),
            **{name: [[0]] * len(TILES) for name in ("values", "caption_mask", "loss_mask")},
            "knowledge": [""] * len(TILES),
            "hints": [[""]] * len(TILES),
        }
    )
    rows = shuffle_round(ImageIndex.of(images), said, run_seed=0, round_=1, rows_per_block=32)

    # As a trainer has CPUs of its own: what makes lost blocks anew must not wait for those who wait for the blocks.
    @ray.remote(num_cpus=0, resources={"trainer": 1})
    def tiles(rows: RoundRows, block: int) -> list[str]:
        size = rows.block_rows[block]
        batch = MicroBatch(0, np.full(size, block), np.arange(size), seed=0)
        shown = RowWindow(rows).rows(batch)
        assert all(row.image.shape == (2, 200, 200) for row in shown)
        return [row.tile_id for row in shown]

    def order() -> list[list[str]]:
        return ray.get([tiles.remote(rows, block) for block in range(len(rows.block_rows))], timeout=120)

    before = order()
    assert sorted(tile for block in before for tile in block) == TILES
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**WORKER)
    assert order() == before


def test_a_tile_that_changed_is_found_when_its_block_is_made_anew_and_at_the_start(cluster, tmp_path):
    corpus_dir = make_tiles(tmp_path / "data", 3)
    tiles = read_tiles(corpus_dir)
    path = corpus_dir / tiles["path"][1].as_py()
    node = cluster.add_node(**WORKER)
    ray.init(address=cluster.address)
    images = read_images(tiles, corpus_dir, 2)

    @ray.remote
    def rows(block: pa.Table) -> int:
        return block.num_rows

    def counts() -> list[int]:
        return ray.get([rows.remote(ref) for ref in images.to_arrow_refs()], timeout=120)

    assert sorted(counts()) == [1, 2]
    path.write_bytes(path.read_bytes() + b"more")  # still a good GeoTIFF
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**WORKER)
    changed = f"{path}.* has changed since it was recorded: .*Put back what it was"
    with pytest.raises(RayTaskError, match=changed):
        counts()
    with pytest.raises(CorpusError, match=changed):
        read_images(tiles, corpus_dir, 2)
