"""A driver is killed while it publishes a round, its machine is lost, and another one goes on from the URI alone."""

import json
import shutil

from chaos.compare import compare
from orchestrator.run.restored import fetch_run, folder_name
from orchestrator.state.records import read_records
from support.smallest_run import PATIENCE_S, start, start_run, wait_for

SETTINGS = ("storage.publish_every_s=1", "cluster.local_cpus=4")
UPLOAD_BYTES_PER_S = 2e5


def test_a_run_whose_machine_is_lost_in_an_upload_ends_elsewhere_as_it_would_have_ended_there(s3, tmp_path):
    """The lost machine had recorded its last round, but not published it: the other one must come to that record."""
    uri = s3.uri("teams/cities")
    first = start_run(tmp_path / "1", str(uri), SETTINGS, s3.environment)
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

    second = start(tmp_path / "2", "resume", str(uri), variables=s3.environment)
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
