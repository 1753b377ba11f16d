"""What a power cut cannot take away: a file's bytes reach the disk before its name, and the name before we go on."""

import os
from pathlib import Path

import pyarrow as pa
import pytest

from actors.weights import copy_weights, create_weights
from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.annotations import AnnotationStore
from corpus.storage.lock import LeaseLost
from corpus.storage.writer import UNGUARDED, Writer
from model.checkpoint import weights_sha256
from support.hcot import HCOT
from support.training_job import toy_model


@pytest.fixture
def order(monkeypatch):
    """What the system was asked for, one after the other: ("sync", path) and ("name", path)."""
    seen, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        seen.append(("sync", Path(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def named(source, target):
        seen.append(("name", Path(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", named)
    return seen


def test_a_file_is_whole_before_it_has_its_name(tmp_path, order):
    UNGUARDED.write_text(tmp_path / "record.json", "{}")
    [(first, _), (second, final), (third, folder)] = order
    assert (first, second, third) == ("sync", "name", "sync")
    assert (final, folder) == (tmp_path / "record.json", tmp_path)


def test_every_file_of_a_folder_is_whole_before_the_folder_has_its_name(tmp_path, order):
    create_weights(HCOT, tmp_path / "round-0001", toy_model(), seed=0)
    before = {path.name for what, path in order[: order.index(("name", tmp_path / "round-0001"))] if what == "sync"}
    assert {path.name for path in (tmp_path / "round-0001").rglob("*")} <= before
    assert order[-1] == ("sync", tmp_path)


def test_a_folder_takes_the_place_of_an_older_one(tmp_path):
    for content in ("old", "new"):
        (tmp_path / "partial").mkdir()
        (tmp_path / "partial" / content).write_text(content)
        UNGUARDED.put_in_place(tmp_path / "partial", tmp_path / "final")
    assert [path.name for path in (tmp_path / "final").iterdir()] == ["new"]


def test_start_weights_are_not_replaced_by_a_driver_that_lost_the_directory(tmp_path):
    final, lost = tmp_path / "weights" / "round-0000", Writer(str(tmp_path), 1)  # nobody holds the lease
    create_weights(HCOT, final, toy_model(), seed=0)
    digest = weights_sha256(final)
    with pytest.raises(LeaseLost):
        create_weights(HCOT, final, toy_model(), 1, lost)
    with pytest.raises(LeaseLost):
        copy_weights(final, final, lost)
    assert weights_sha256(final) == digest
    assert list(final.parent.iterdir()) == [final]


def test_a_commit_is_on_the_disk_when_it_is_said_to_be(tmp_path, order):
    row = {
        "tile_id": "a",
        "clause": "water",
        "value": "sea",
        "text": "There is the sea.",
        "level": 1,
        "confidence": 0.5,
        "source": "seed",
        "round": 0,
        "weights_sha256": "",
        "prompt_sha256": "",
    }
    rows = pa.Table.from_pylist([row], schema=ANNOTATION_SCHEMA)
    AnnotationStore(tmp_path / "annotations").commit(rows, run_id="r", round_=0)
    synced = {path for what, path in order if what == "sync"}
    files = {path for path in (tmp_path / "annotations").rglob("*") if path.is_file()}
    assert {path.suffix for path in files} >= {".json", ".parquet"}
    assert files <= synced
