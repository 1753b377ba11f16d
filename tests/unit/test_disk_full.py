"""A disk that really is full: one clear error, what was there stays readable, and with room again it goes on."""

import json
import re
import time

import numpy as np
import pytest
from mlflow import MlflowClient

from actors.captioner.requests import Question
from actors.captioner.shards import SHARD_SCHEMA, Shard, write_shard
from actors.weights import create_weights
from corpus.annotations import AnnotationStore
from corpus.digest import annotation_digest
from corpus.ingest.ingest import IngestConfig, cut_scenes
from corpus.storage.disk import DiskFull, is_disk_full, writing
from corpus.storage.lock import LEASE, LeaseLost
from corpus.storage.parquet import read_parquet
from corpus.storage.writer import UNGUARDED, Writer
from hcot_llm.engines.answer import Answer
from model.checkpoint import weights_sha256
from orchestrator.cluster.disk_space import naming_a_full_disk, why_ray_waits
from orchestrator.config.load import load_config
from orchestrator.run.preflight import PreflightError, preflight_disk
from orchestrator.state.lease import LeaseHeld, LeaseKeeper, read_lease
from orchestrator.state.records import read_records, write_record
from orchestrator.state.run_directory import RunDirectory
from orchestrator.tracking.mlflow_store import tracking_uri
from support import training_job
from support.annotations import annotations
from support.geotiffs import speckled_dn, write_geotiff
from support.hcot import HCOT
from support.paths import ROOT
from support.records import record
from support.small_disk import CannotMount, small_disk
from support.trackers import tracker_in
from support.unguarded import unguarded

ROOM = r"has \d[\d,.]* MiB free of \d+ MiB.*knowlip resume RUN_DIR"


def make_disk(path, size_mib):
    try:
        with small_disk(path, size_mib) as disk:
            yield disk
    except CannotMount as error:
        pytest.skip(str(error))


@pytest.fixture
def disk(tmp_path):
    yield from make_disk(tmp_path / "disk", 8)


def test_a_record_that_does_not_fit_leaves_the_others_readable(disk):
    write_record(unguarded(disk.path), record(1))
    disk.fill()
    with pytest.raises(DiskFull, match=f"0002.json could not be written to .*/rounds/0002.json.*{ROOM}"):
        write_record(unguarded(disk.path), record(2))
    assert [each.round for each in read_records(disk.path)] == [1]
    assert [path.name for path in (disk.path / "rounds").iterdir()] == ["0001.json"]
    disk.empty()
    write_record(unguarded(disk.path), record(2))
    assert [each.round for each in read_records(disk.path)] == [1, 2]


def test_a_tile_that_does_not_fit_leaves_nothing_of_itself(disk, tmp_path):
    write_geotiff(tmp_path / "in" / "scene.tif", speckled_dn(2, 512))
    disk.fill(leave_bytes=100_000)
    with pytest.raises(DiskFull, match=f"a tile could not be written to {disk.path}/corpus/tiles/.*.tif.*{ROOM}"):
        cut_scenes(tmp_path / "in", disk.path / "corpus", IngestConfig(tile_px=128))
    assert not list((disk.path / "corpus").rglob("*.partial"))
    disk.empty()
    assert cut_scenes(tmp_path / "in", disk.path / "corpus", IngestConfig(tile_px=128)).tiles == 16


def test_a_commit_that_does_not_fit_leaves_the_version_before(disk):
    store = AnnotationStore(disk.path / "annotations")
    tiles = [f"tile-{number}-{np.random.default_rng(number).bytes(40).hex()}" for number in range(2000)]
    first, second = annotations(tiles), annotations(tiles, value="hills", round_=1, source="captioner")
    assert store.commit(first, run_id="run", round_=0) == 0
    disk.fill(leave_bytes=20_000)
    with pytest.raises(DiskFull, match=f"the annotations of round 1 could not be written to .*/annotations.*{ROOM}"):
        store.commit(second, run_id="run", round_=1)
    again = AnnotationStore(disk.path / "annotations")
    assert again.version() == 0
    assert again.version_of("run", 1) is None
    assert annotation_digest(again.read()) == annotation_digest(first)
    disk.empty()
    assert again.commit(second, run_id="run", round_=1) == 1
    assert annotation_digest(again.read()) == annotation_digest(second)
    assert annotation_digest(again.read(0)) == annotation_digest(first)


def test_a_shard_that_does_not_fit_is_not_there(disk):
    questions = [
        Question(HCOT, f"tile-{number}", ("terrain",), {}, "", 10.0, {}, True, number) for number in range(4000)
    ]
    shard = Shard(questions, candidates=1, corrections=0)
    distribution = np.random.default_rng(0)
    shard.take([[Answer({"terrain": "plain"}, {"terrain": distribution.random(5)}, None, 3)] for _ in shard.questions])
    path = disk.path / "shard-00000-abc.parquet"
    disk.fill(leave_bytes=8192)
    with pytest.raises(
        DiskFull, match=f"a shard of the captioner's answers could not be written to .*abc.parquet.*{ROOM}"
    ):
        write_shard(path, shard, UNGUARDED)
    assert not path.exists()
    disk.empty()
    write_shard(path, shard, UNGUARDED)
    assert read_parquet(path, SHARD_SCHEMA).num_rows == 4000


def test_weights_that_do_not_fit_are_not_there(disk, tmp_path):
    model = training_job.toy_model()
    disk.fill(leave_bytes=50_000)
    with pytest.raises(DiskFull, match=f"the weights could not be written to .*round-0001.*{ROOM}"):
        create_weights(HCOT, disk.path / "round-0001", model, seed=0)
    assert not (disk.path / "round-0001").exists()
    disk.empty()
    assert create_weights(HCOT, disk.path / "round-0001", model, seed=0) == weights_sha256(disk.path / "round-0001")


def test_what_mlflow_is_told_waits_for_room_and_arrives_once(disk, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    tracker = tracker_in(disk.path, "full", "run")
    tracker.start({"seed": 0})
    with tracker.round(1) as child:
        tracker.log_losses(child, [{"step": 1, "total": 3.0}])
        disk.fill()
        with pytest.raises(DiskFull, match=f"what MLflow is .*{ROOM}"):
            for step in range(2, 200):  # the database still has a free page or two
                tracker.log_losses(child, [{"step": step, "total": float(step)}])
        disk.empty()
    tracker.finish("failed")
    again = tracker_in(disk.path, "full", "run")
    again.start({"seed": 0})
    with again.round(1) as child:
        again.log_losses(child, [{"step": step, "total": float(step) if step > 1 else 3.0} for step in range(1, 200)])
    again.finish("finished")
    history = MlflowClient(tracking_uri(disk.path)).get_metric_history(child.run_id, "detail/loss/total")
    assert [point.step for point in history] == list(range(1, 200))


def test_a_lease_is_kept_without_room_and_renewed_when_there_is_some(disk):
    keeper = LeaseKeeper(RunDirectory(disk.path), lasts_s=2.0)
    keeper.acquire()
    disk.fill()
    time.sleep(0.8)  # a renewal has failed
    keeper.check()
    with pytest.raises(LeaseHeld):
        LeaseKeeper(RunDirectory(disk.path), lasts_s=2.0).acquire()
    disk.empty()
    before, deadline = read_lease(disk.path).renewed, time.monotonic() + 30
    while read_lease(disk.path).renewed == before:
        assert time.monotonic() < deadline, "the lease is not renewed any more"
        time.sleep(0.05)
    keeper.release()


def test_too_little_room_is_named_before_a_run_starts(disk):
    config = load_config(
        ROOT / "configs" / "smoke.yaml", ["cluster.free_disk_gib=0.5", f"cluster.spill_dir={disk.path}"]
    )
    with pytest.raises(PreflightError) as error:
        preflight_disk(config, disk.path / "runs" / "not yet there")
    said = str(error.value)
    assert "0.5 GiB of disk are needed (cluster.free_disk_gib) for the run directory and 0.01 GiB are free at" in said
    assert "for what Ray's object store spills" in said
    preflight_disk(
        config.model_copy(update={"cluster": config.cluster.model_copy(update={"free_disk_gib": 1e-4})}), disk.path
    )


def test_a_node_of_another_cluster_that_cannot_spill_is_named(tmp_path):
    """Where it spills to is not known here; the run's own directory is not to blame."""
    config = load_config(ROOT / "configs" / "smoke.yaml", ["cluster.address=ray-head:6379"])
    with (
        pytest.raises(DiskFull, match=r"node 10\.0\.0\.7 spills to.*knowlip resume RUN_DIR") as said,
        naming_a_full_disk(config, tmp_path),
    ):
        raise RuntimeError("ray::join() (pid=13112, ip=10.0.0.7)\nOutOfDiskError: Local disk is full\nTip: Use `df`")
    assert str(tmp_path) not in str(said.value)


def test_a_full_disk_is_why_ray_waits(disk):
    config = load_config(ROOT / "configs" / "smoke.yaml", [f"cluster.spill_dir={disk.path}"])
    assert why_ray_waits(config) == ""
    disk.fill(leave_bytes=300_000)  # less than 5 % of 8 MiB
    assert f"no room to spill to {disk.path}: that file system has 0.3 MiB free of 8 MiB" in why_ray_waits(config)


def test_a_lost_lease_counts_and_not_the_full_disk_before_it(tmp_path):
    """The disk is the successor's concern."""
    (tmp_path / LEASE).write_text(json.dumps({"token": 2, "owner": {"pid": 1, "host": "elsewhere"}}))
    with (
        pytest.raises(LeaseLost, match="process 1 on elsewhere has taken over"),
        Writer(str(tmp_path), 1).place(tmp_path / "a", "a file"),
    ):
        raise OSError(28, "No space left on device")


def test_other_errors_are_left_alone(tmp_path):
    for error in (
        PermissionError(13, "Permission denied"),
        ValueError("full of errors"),
        RuntimeError("inline_container.cc"),
    ):
        assert not is_disk_full(error, tmp_path)
        with pytest.raises(type(error), match=re.escape(str(error))), writing("a file", tmp_path):
            raise error


def test_the_cause_counts_not_the_wrapping(tmp_path):
    error = RuntimeError("the table could not be written")
    error.__cause__ = OSError(28, "No space left on device")
    assert is_disk_full(error)
