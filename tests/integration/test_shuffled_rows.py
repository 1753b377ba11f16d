"""The order in which a round's rows are handed to the trainer."""

import numpy as np
import pyarrow as pa
import pytest
import ray
import ray.data

from actors.data.image_index import ImageIndex
from actors.data.round_rows import shuffle_round
from corpus.storage.rng import derive_seed
from orchestrator.cluster.connect import start_local
from orchestrator.policies.folds import make_folds
from support.round_rows import TILES, rows

ROWS_PER_BLOCK = 32


@pytest.fixture(scope="module")
def images():
    start_local(num_cpus=2, object_store_memory=200 * 2**20)
    table = pa.table({"tile_id": list(TILES), "image": pa.array([b"pixels"] * len(TILES), pa.large_binary())})
    yield ray.data.from_arrow([table.slice(start, 50) for start in range(0, len(TILES), 50)]).materialize()
    ray.shutdown()


@pytest.fixture(scope="module")
def index(images):
    return ImageIndex.of(images)


def order_of(shuffled) -> list[str]:
    tables = ray.get(shuffled.parts)
    assert "copies" not in tables[0].column_names
    return [tile for each in tables for tile in each["tile_id"].to_pylist()]


def shuffled(index, table: pa.Table, round_: int = 2) -> list[str]:
    """Tiles in the order in which the trainer gets them."""
    return order_of(shuffle_round(index, table, run_seed=0, round_=round_, rows_per_block=ROWS_PER_BLOCK))


def test_a_corpus_of_one_part_is_sorted_as_a_whole_by_a_draw_of_each_row(index):
    """The order, and the rows of its blocks, that Ray Data's sort and repartition gave: recorded runs depend on it."""
    annotations = rows(rare_landform_factor=2.5)
    found = shuffle_round(index, annotations, run_seed=0, round_=2, rows_per_block=ROWS_PER_BLOCK)
    copies = zip(annotations["tile_id"].to_pylist(), annotations["copies"].to_pylist(), strict=True)
    drawn = sorted(
        (derive_seed(0, 2, tile, *([turn] if turn else []), "shuffle"), tile)
        for tile, count in copies
        for turn in range(count)
    )
    assert order_of(found) == [tile for _, tile in drawn]
    assert found.block_rows == (30, 31, 30, 31, 30, 31, 31)


def test_a_models_rows_never_include_its_fold(index):
    everything = rows(rare_landform_factor=2)
    for fold in make_folds(TILES, np.ones(len(TILES), bool), 2, 0):
        order = shuffled(index, everything.filter(pa.array(fold.trains)))
        assert set(order) == {tile for tile, trains in zip(TILES, fold.trains, strict=True) if trains}


def test_rare_tiles_stand_in_several_places_of_an_order_that_repeats(index):
    order = shuffled(index, rows(rare_landform_factor=3))
    assert len(order) == len(TILES) + 2 * 10
    assert all(order.count(tile) == (3 if index < 10 else 1) for index, tile in enumerate(TILES))
    assert order == shuffled(index, rows(rare_landform_factor=3))
    assert order != shuffled(index, rows(rare_landform_factor=3), round_=3)
    # The first copies stand where they stand without the others.
    once = shuffled(index, rows())
    common = [tile for tile in order if order.count(tile) == 1]
    assert common == [tile for tile in once if tile in set(common)]


def test_rows_of_a_part_lie_in_few_blocks_and_every_row_is_in_one_part(index):
    found = shuffle_round(index, rows(), run_seed=0, round_=2, rows_per_block=ROWS_PER_BLOCK, blocks_of_part=2)
    parts = ray.get(found.parts)
    assert len(parts) == 2 == len(found.part_blocks)
    assert sum(found.part_blocks) == len(found.block_rows)
    assert sum(found.block_rows) == sum(part.num_rows for part in parts) == len(TILES)
    blocks = [set(part["image_block"].to_pylist()) for part in parts]
    assert blocks[0] | blocks[1] == {0, 1, 2, 3}
    assert not blocks[0] & blocks[1]
    for part in parts:
        held = ray.get([found.images[block] for block in part["image_block"].to_pylist()])
        places = zip(held, part["image_row"].to_pylist(), strict=True)
        assert [table["tile_id"][row].as_py() for table, row in places] == part["tile_id"].to_pylist()
    other = shuffle_round(index, rows(), run_seed=0, round_=3, rows_per_block=ROWS_PER_BLOCK, blocks_of_part=2)
    assert set(ray.get(other.parts)[0]["image_block"].to_pylist()) != blocks[0], "every round deals anew"
