"""The order in which a real cluster hands a round's rows to the trainer."""

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.data

from actors.data.shuffler import shuffle_round
from orchestrator.policies.folds import make_folds
from support.round_rows import TILES, rows


@pytest.fixture(scope="module")
def images():
    ray.init("local", num_cpus=2, object_store_memory=200 * 2**20, include_dashboard=False)
    table = pa.table({"tile_id": list(TILES), "image": pa.array([b"pixels"] * len(TILES), pa.large_binary())})
    yield ray.data.from_arrow([table.slice(start, 50) for start in range(0, len(TILES), 50)]).materialize()
    ray.shutdown()


def shuffled(images, table: pa.Table, round_: int = 2) -> list[str]:
    """Tiles in the order in which the trainer gets them."""
    blocks = shuffle_round(images, table, run_seed=0, round_=round_, rows_per_block=32)
    tables = ray.get(blocks.refs)
    assert blocks.rows == tuple(map(len, tables))
    assert "copies" not in tables[0].column_names
    return [tile for each in tables for tile in each["tile_id"].to_pylist()]


def test_a_models_rows_never_include_its_fold(images):
    everything = rows(rare_landform_factor=2)
    for fold in make_folds(TILES, np.ones(len(TILES), bool), 2, 0):
        order = shuffled(images, everything.filter(pa.array(fold.trains)))
        assert set(order) == {tile for tile, trains in zip(TILES, fold.trains, strict=True) if trains}


def test_rare_tiles_stand_in_several_places_of_an_order_that_repeats(images):
    order = shuffled(images, rows(rare_landform_factor=3))
    assert len(order) == len(TILES) + 2 * 10
    assert all(order.count(tile) == (3 if index < 10 else 1) for index, tile in enumerate(TILES))
    assert order == shuffled(images, rows(rare_landform_factor=3))
    assert order != shuffled(images, rows(rare_landform_factor=3), round_=3)
    # The first copies stand where they stand without the others.
    once = shuffled(images, rows())
    common = [tile for tile in order if order.count(tile) == 1]
    assert common == [tile for tile in once if tile in set(common)]
