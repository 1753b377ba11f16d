"""A driver is killed while it publishes a round, its machine is lost, and another one goes on from the URI alone."""

import json
import shutil
import time
from pathlib import Path

from chaos.compare import compare
from chaos.driver import Driver
from orchestrator.run.restored import fetch_run, folder_name
from orchestrator.state.records import read_records
from support.paths import ROOT

SETTINGS = (
    "plugins=[support.toy_captioner]",
    "captioner={kind: table, table: answers.json}",
    "tracking.kind=none",
    "corpus.data_dir=data",
    "corpus.simulated.tiles=48",
    "corpus.simulated.cities=8",
    "train.min_workers=1",
    "train.max_workers=1",
    "train.first_round_epochs=1",
    "train.checkpoint_every_s=0",
    "storage.publish_every_s=1",
    "cluster.free_disk_gib=0.5",
    "cluster.memory_gib=2",
    "cluster.local_cpus=4",
)
UPLOAD_BYTES_PER_S = 2e5
PATIENCE_S = 600


def start(s3, machine: Path, *arguments: str | Path) -> Driver:
    """A driver on a machine of its own: a folder, in which it has nothing of others."""
    machine.mkdir()
    (machine / "answers.json").write_text("{}")
    return Driver(machine / "log", *arguments, variables={**s3.environment, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"})


def wait_for(driver: Driver, what, patience_s: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + patience_s
    while not what():
        assert not driver.ended, f"the driver ended: {driver.said()[-4000:]}"
        assert time.monotonic() < deadline, f"nothing came: {driver.said()[-4000:]}"
        time.sleep(0.02)


def test_a_run_whose_machine_is_lost_in_an_upload_ends_elsewhere_as_it_would_have_ended_there(s3, tmp_path):
    """The lost machine had recorded its last round, but not published it: the other one must come to that record."""
    uri = s3.uri("teams/cities")
    settings = [part for each in SETTINGS for part in ("--set", each)]
    first = start(s3, tmp_path / "1", "run", ROOT / "configs" / "smoke.yaml", "--run-dir", str(uri), *settings)
    lost = tmp_path / "1" / "runs" / folder_name(uri)
    try:
        wait_for(first, lambda: (lost / "rounds" / "0001.json").exists() and (lost / "weights" / "round-0002").exists())
        s3.proxy.bytes_per_s = UPLOAD_BYTES_PER_S
        wait_for(first, (lost / "rounds" / "0002.json").exists)
        sent = s3.proxy.uploaded
        wait_for(first, lambda: s3.proxy.uploaded > sent)
        first.process.kill()
    finally:
        first.clear()
    s3.proxy.bytes_per_s = None
    assert len(read_records(lost)) == 2
    fetch_run(uri, tmp_path / "published")
    assert len(read_records(tmp_path / "published")) == 1
    shutil.rmtree(tmp_path / "1" / "data")
    lost = lost.rename(tmp_path / "lost")

    second = start(s3, tmp_path / "2", "resume", str(uri))
    try:
        assert second.wait(PATIENCE_S) == 0, second.said()[-4000:]
    finally:
        second.clear()
    found = tmp_path / "2" / "runs" / folder_name(uri)
    compared = compare(found, lost)
    assert (compared.different, compared.lost, compared.duplicated, compared.commits_twice) == ((), 0, 0, 0)
    assert json.loads((found / "ended.json").read_text())["status"] == "finished"
    fetch_run(uri, tmp_path / "end")
    assert compare(tmp_path / "end", lost).different == ()
