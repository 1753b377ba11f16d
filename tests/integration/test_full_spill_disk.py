"""A disk that is full under a real object store or a real trainer."""

import logging
import re
import time

import numpy as np
import pyarrow as pa
import pytest

from actors.data.object_store import take
from actors.data.round_rows import RoundRows
from actors.trainer.epoch_plan import MicroBatch
from actors.trainer.window import RowWindow
from actors.weights import create_weights
from corpus.storage.disk import DiskFull
from orchestrator.cluster.disk_space import naming_a_full_disk
from orchestrator.config.load import load_config
from support import disk_job, training_job
from support.hcot import HCOT
from support.paths import ROOT
from support.small_disk import CannotMount, small_disk

BLOCK_BYTES = 10 * 2**20

ROOM = r"has \d[\d,.]* MiB free of \d+ MiB.*knowlip resume RUN_DIR"


def make_disk(path, size_mib):
    try:
        with small_disk(path, size_mib) as disk:
            yield disk
    except CannotMount as error:
        pytest.skip(str(error))


@pytest.fixture
def larger_disk(tmp_path):
    yield from make_disk(tmp_path / "disk", 64)


def test_a_trainers_checkpoint_that_does_not_fit_ends_training_and_a_restart_loses_nothing(larger_disk):
    create_weights(HCOT, larger_disk.path / "start", training_job.toy_model(), seed=0)
    found = training_job.run(disk_job.train_without_room, 1, larger_disk.path)
    assert re.search(
        f"The disk is full: the trainer's checkpoint could not be written to .*/state.*{ROOM}", found["said"]
    )
    assert found["step"] == found["resumed_at"] == 2
    assert found["losses"] == found["undisturbed"]
    assert [name for name in found["names"] if not name.startswith(".")] == ["step-00000002", "step-00000004"]


@pytest.fixture(scope="module")
def spilling(tmp_path_factory):
    """A real object store of 80 MiB, and a disk of its own to spill to; with the configuration of a run on it."""
    import ray

    from orchestrator.cluster.connect import start_local

    for disk in make_disk(tmp_path_factory.mktemp("spilling") / "disk", 256):
        start_local(
            num_cpus=1,
            object_store_memory=80 * 2**20,
            object_spilling_directory=str(disk.path),
            logging_level=logging.ERROR,
        )
        try:
            yield disk, load_config(ROOT / "configs" / "smoke.yaml", [f"cluster.spill_dir={disk.path}"])
        finally:
            ray.shutdown()


def could_not_spill(disk) -> str:
    return f"what does not fit into Ray's object store could not .* to {disk.path}.*{ROOM}"


def empty(disk) -> None:
    disk.empty()
    time.sleep(0.5)  # Ray looks at the disk ten times a second


def test_what_ray_cannot_spill_is_named(spilling):
    import ray

    disk, config = spilling
    disk.fill()
    with pytest.raises(DiskFull, match=could_not_spill(disk)), naming_a_full_disk(config, disk.path.parent):
        _kept = [ray.put(np.full(BLOCK_BYTES, number, np.uint8)) for number in range(12)]
    empty(disk)


def test_a_spilled_block_that_finds_no_room_is_named_and_comes_back_when_there_is_some(spilling):
    """Ray itself would wait for ever."""
    import ray

    disk, config = spilling
    blocks, held = [ray.put(np.full(BLOCK_BYTES, number, np.uint8)) for number in range(12)], []
    disk.fill()
    with pytest.raises(DiskFull, match=could_not_spill(disk)), naming_a_full_disk(config, disk.path.parent):
        for block in blocks:
            held.extend(take([block], patience_s=2))
    assert 0 < len(held) < 12
    empty(disk)
    for block in blocks[len(held) :]:
        held.extend(take([block], patience_s=2))
    assert [int(each[-1]) for each in held] == list(range(12))


def test_a_trainer_holds_few_blocks_of_a_corpus_that_is_larger_than_the_store(spilling):
    """What it holds Ray may not spill."""
    import ray

    refs = [
        ray.put(
            pa.table(
                {
                    "tile_id": [f"tile-{number}"],
                    "image": pa.array([bytes(4 * 1600**2)], pa.large_binary()),
                    "crops": [1],
                }
            )
        )
        for number in range(12)
    ]
    said = pa.table(
        {
            "tile_id": [f"tile-{number}" for number in range(12)],
            "values": [[number] for number in range(12)],
            "caption_mask": [[True]] * 12,
            "loss_mask": [[True]] * 12,
            "knowledge": ["plain coast"] * 12,
            "hints": [[""]] * 12,
            "image_block": list(range(12)),
            "image_row": [0] * 12,
        }
    )
    order = RoundRows(refs, [ray.put(said)], part_blocks=(12,), block_rows=(1,) * 12)
    window, one_row = RowWindow(order, holds=3), np.zeros(1, int)
    for _ in range(2):
        for number in range(12):
            [row] = window.rows(MicroBatch(0, np.array([number]), one_row, seed=0))
            assert row.tile_id == f"tile-{number}"
            assert len(window.images) <= 3
            assert number in window.images
    assert list(window.images) == [9, 10, 11]
