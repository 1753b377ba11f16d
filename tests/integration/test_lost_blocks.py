"""Blocks that were lost with a node are made anew: in the same order, and of the same tiles."""

import functools
import operator

import pyarrow as pa
import pytest
import ray
import ray.data
from ray.exceptions import RayTaskError

from actors.data.shuffler import read_images, shuffle_round
from chaos.nodes import authentication, first_node
from corpus.tiles import CorpusError, read_tiles
from support.shared_chain import make_tiles

TILES = [f"tile-{index:03d}" for index in range(120)]
WORKER = {"num_cpus": 3, "object_store_memory": 150 * 2**20}


@pytest.fixture
def cluster(monkeypatch):
    """The driver's node computes nothing and holds no block, until a task's result is fetched."""
    for name, value in authentication().items():
        monkeypatch.setenv(name, value)
    with first_node(cpus=0) as cluster:
        yield cluster
        ray.shutdown()


def test_a_rounds_blocks_come_back_when_their_node_is_gone(cluster):
    node = cluster.add_node(**WORKER)
    ray.init(address=cluster.address)
    pixels = pa.table({"tile_id": TILES, "image": pa.array([bytes(200_000)] * len(TILES), pa.large_binary())})
    images = (
        ray.data.from_arrow([pixels.slice(start, 30) for start in range(0, len(TILES), 30)])
        .map_batches(lambda batch: batch, batch_format="pyarrow", batch_size=None)
        .materialize()
    )
    blocks = shuffle_round(
        images, pa.table({"tile_id": TILES, "copies": [1] * len(TILES)}), run_seed=0, round_=1, rows_per_block=32
    )

    @ray.remote
    def tiles(block: pa.Table) -> list[str]:
        return block["tile_id"].to_pylist()

    def order() -> list[list[str]]:
        return ray.get([tiles.remote(ref) for ref in blocks.refs], timeout=120)

    before = order()
    assert sorted(functools.reduce(operator.iadd, before, [])) == TILES
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
