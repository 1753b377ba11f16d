"""A writer writes under the lease that it was given, or without one, and never half."""

import json
import os
import stat

import pytest

from corpus.storage.lock import LEASE, LeaseLost
from corpus.storage.writer import PRIVATE, UNGUARDED, Writer
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.records import write_record
from orchestrator.state.run_directory import RunDirectory
from support.records import record


def lease(run_dir, token: int) -> None:
    """Have somebody hold the lease with a token."""
    (run_dir / LEASE).write_text(json.dumps({"token": token, "owner": {"pid": 1, "host": "elsewhere"}}))


def test_a_driver_without_a_lease_writes_nothing(tmp_path):
    directory = RunDirectory(tmp_path)
    with pytest.raises(RuntimeError, match="has not taken the lease"):
        write_record(directory, record(1))
    assert list(tmp_path.rglob("*")) == []


def test_a_driver_writes_between_taking_its_lease_and_giving_it_back(tmp_path):
    directory = RunDirectory(tmp_path)
    keeper = LeaseKeeper(directory)
    keeper.acquire()
    written = write_record(directory, record(1))
    keeper.release()
    with pytest.raises(RuntimeError, match="has not taken the lease"):
        write_record(directory, record(2))
    assert [path.name for path in written.parent.iterdir()] == ["0001.json"]


def test_a_driver_that_lost_its_lease_writes_nothing(tmp_path):
    lease(tmp_path, token=2)
    with pytest.raises(LeaseLost, match="process 1 on elsewhere has taken over"):
        Writer(str(tmp_path), 1).write_text(tmp_path / "a.json", "{}")
    Writer(str(tmp_path), 2).write_text(tmp_path / "a.json", "2")
    assert (tmp_path / "a.json").read_text() == "2"
    assert not list(tmp_path.glob("*.partial"))


def test_a_body_that_fails_leaves_the_old_file(tmp_path):
    UNGUARDED.write_text(tmp_path / "a", "old")

    def write_half_of_it() -> None:
        with UNGUARDED.place(tmp_path / "a") as partial:
            partial.write_text("ne")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_half_of_it()
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize(("mode", "wanted"), [(PRIVATE, 0o600), (0o666, 0o644)])
def test_a_file_has_the_mode_that_was_asked_for(tmp_path, mode, wanted):
    before = os.umask(0o022)
    try:
        UNGUARDED.write_text(tmp_path / "a", "text", mode=mode)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == wanted
