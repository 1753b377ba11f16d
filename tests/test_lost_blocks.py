"""A round's blocks that were lost with a node are made anew, in the same order."""

import pyarrow as pa
import pytest
import ray
import ray.data
from chaos.nodes import authentication, first_node

from actors.shuffler import shuffle_round

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
    images = ray.data.from_arrow([pixels.slice(start, 30) for start in range(0, len(TILES), 30)]).map_batches(
        lambda batch: batch, batch_format="pyarrow", batch_size=None).materialize()
    blocks = shuffle_round(images, pa.table({"tile_id": TILES, "copies": [1] * len(TILES)}), run_seed=0, round_=1,
                           rows_per_block=32)

    @ray.remote
    def tiles(block: pa.Table) -> list[str]:
        return block["tile_id"].to_pylist()

    def order() -> list[list[str]]:
        return ray.get([tiles.remote(ref) for ref in blocks.refs], timeout=120)

    before = order()
    assert sorted(sum(before, [])) == TILES
    cluster.remove_node(node, allow_graceful=False)
    cluster.add_node(**WORKER)
    assert order() == before
