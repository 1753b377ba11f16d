"""The store of a run is killed in the middle of a publication, stays away for a while, and comes back."""

import threading
import time

import numpy as np

from orchestrator.run.restored import fetch_run
from orchestrator.state.records import read_records, write_record
from support.machine import Machine
from support.made_run import make_run
from support.records import record
from support.s3_process import S3Process
from support.unguarded import unguarded

AWAY_S = 5.0
SHARD_BYTES = 20_000_000
"""So large that the store is seen to be in the middle of it."""


def test_a_store_that_is_killed_in_a_publication_is_waited_for_and_nothing_is_lost(tmp_path, monkeypatch):
    make_run(tmp_path, tiles=8)
    with S3Process(tmp_path / "s3") as store:
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        uri = store.uri("runs/a")
        machine = Machine(uri, tmp_path / "1", tmp_path)
        machine.settings = machine.settings.model_copy(update={"give_up_after_s": 600, "publish_every_s": 600})
        with machine.driving() as stored:
            (machine.folder / "labels").mkdir()
            (machine.folder / "labels" / "shard").write_bytes(np.random.default_rng(0).bytes(SHARD_BYTES))
            write_record(unguarded(machine.folder), record(3, run_id="made"))
            publishing = threading.Thread(target=stored.publish)
            received = store.received_bytes
            publishing.start()
            while store.received_bytes == received:
                assert publishing.is_alive()
                time.sleep(0.001)
            store.kill()
            time.sleep(AWAY_S)
            assert publishing.is_alive()
            store.start()
            publishing.join(120)
            assert not publishing.is_alive()
            published = machine.published()
        fetch_run(uri, tmp_path / "copy")
        assert len(read_records(tmp_path / "copy")) == 3
        for path, content in published.items():
            if path.startswith(("labels/", "rounds/", "annotations/")):
                assert (tmp_path / "copy" / path).read_bytes() == content, path
        second = Machine(uri, tmp_path / "2")
        with second.stored(lasts_s=0.0):
            assert second.published() == machine.published()
