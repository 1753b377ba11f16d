"""A head of Ray that stands still while it starts, with Ray's real head behind it."""

import logging

import pytest
import ray
from ray._private import services

from orchestrator.cluster.connect import start_local


@pytest.fixture
def head(tmp_path, monkeypatch):
    """head(stands_still): Ray starts a script that stands still so often before it becomes Ray's real head."""

    def write(stands_still: int):
        script = tmp_path / "gcs_server"
        (tmp_path / "left").write_text("x" * stands_still)
        script.write_text(
            "#!/bin/bash\n"
            f"left=$(cat {tmp_path}/left)\n"
            f'if [ -n "$left" ]; then printf %s "${{left#x}}" > {tmp_path}/left; exec sleep 60; fi\n'
            f'exec {services.GCS_SERVER_EXECUTABLE} "$@"\n'
        )
        script.chmod(0o755)
        monkeypatch.setattr(services, "GCS_SERVER_EXECUTABLE", str(script))
        monkeypatch.setenv("RAY_gcs_server_port_wait_time_s", "5")

    yield write
    ray.shutdown()


def test_a_head_that_stands_still_is_started_once_more(head, caplog):
    head(1)
    with caplog.at_level(logging.WARNING):
        start_local(num_cpus=1, object_store_memory=80 * 2**20)
    assert ray.cluster_resources()["CPU"] == 1
    assert "it is started once more" in caplog.text


def test_a_head_that_never_starts_is_no_endless_loop(head):
    head(2)
    with pytest.raises(RuntimeError, match="Timed out waiting for file"):
        start_local(num_cpus=1, object_store_memory=80 * 2**20)
