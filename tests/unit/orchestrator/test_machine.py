"""What of a machine would keep a run from starting is named before anything starts."""

import os
from pathlib import Path

import pytest

from corpus.storage.disk import why_unwritable
from corpus.storage.errors import UserError
from orchestrator.cluster.disk_space import Place, ray_temp_dir, shortfalls, spill_dir, store_shortfall
from orchestrator.cluster.environment import LOOPBACK, past_proxies, prepare_environment
from orchestrator.cluster.machine import (
    home_trouble,
    machine_troubles,
    open_files_trouble,
    socket_trouble,
)
from orchestrator.config.load import load_config
from orchestrator.run.preflight import PreflightError, preflight_machine
from support.mounts import mount, remount_read_only, unmount
from support.paths import ROOT

SMOKE = ROOT / "configs" / "smoke.yaml"
GIB = 2**30


@pytest.fixture
def read_only(tmp_path):
    """A folder on a file system that nothing can be written to, whoever asks."""
    folder = tmp_path / "read only"
    folder.mkdir()
    if (refused := mount(folder, 2**20) or remount_read_only(folder)) is not None:
        pytest.skip(f"a tmpfs cannot be mounted here: {refused}")
    yield folder
    unmount(folder)


def test_a_path_too_long_for_rays_sockets_is_named_with_a_shorter_one():
    said = socket_trouble(Path("/tmp") / ("x" * 60) / "ray")
    assert said is not None
    assert f"/tmp/{'x' * 60}/ray" in said
    assert "export RAY_TMPDIR=/tmp" in said


def test_the_longest_folder_that_is_accepted_is_the_longest_that_ray_takes():
    """By Ray's own check, on the name that a session of a process with the largest id gets."""
    from ray._private.utils import validate_socket_filepath

    def socket(folder: Path) -> str:
        return f"{folder}/session_2026-11-30_04-10-00_123456_4194304/sockets/plasma_store"

    lengths = range(2, 80)
    longest = max(length for length in lengths if socket_trouble(Path("/" + "x" * length)) is None)
    validate_socket_filepath(socket(Path("/" + "x" * longest)))
    with pytest.raises(OSError, match="AF_UNIX path length"):
        validate_socket_filepath(socket(Path("/" + "x" * (longest + 1))))


@pytest.mark.parametrize("variables", [{}, {"TMPDIR": "/a"}, {"TMPDIR": "/a", "RAY_TMPDIR": "/b"}])
def test_room_is_looked_for_where_ray_really_spills(monkeypatch, variables):
    from ray._common.utils import get_default_ray_temp_dir

    for name in ("TMPDIR", "RAY_TMPDIR", "RAY_object_spilling_directory"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert str(ray_temp_dir()) == get_default_ray_temp_dir()
    assert spill_dir(load_config(SMOKE)) == ray_temp_dir()
    assert spill_dir(load_config(SMOKE, ["cluster.spill_dir=/c"])) == Path("/c")
    assert spill_dir(load_config(SMOKE, ["cluster.address=auto"])) is None


def test_what_ray_leaves_of_a_disk_is_no_room():
    place = Place("what Ray spills", Path("/d"), 2 * GIB, "cluster.free_disk_gib", "cluster.spill_dir", kept=0.05)
    assert place.shortfall(free=8 * GIB, total=100 * GIB) is None
    said = place.shortfall(free=6 * GIB, total=100 * GIB)
    assert said is not None
    assert "2 GiB of disk are needed (cluster.free_disk_gib) for what Ray spills and 1.00 GiB are free at /d" in said
    assert "Ray leaves the last 5% of a disk" in said
    assert Place("x", Path("/d"), 0.0, "k", "e", kept=0.05).shortfall(free=0, total=GIB) is None


def test_a_temporary_folder_on_a_full_disk_is_named(tmp_path, monkeypatch):
    (tmp_path / "small").mkdir()
    if (refused := mount(tmp_path / "small", 2**20)) is not None:
        pytest.skip(f"a tmpfs cannot be mounted here: {refused}")
    try:
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        monkeypatch.setenv("TMPDIR", str(tmp_path / "small"))
        found = shortfalls(load_config(SMOKE), tmp_path)
        assert [each.partition(" and ")[0] for each in found] == [
            "2 GiB of disk are needed (cluster.free_disk_gib) for what Ray's object store spills",
            "0.1 GiB of disk are needed for Ray's sockets",
        ]
        elsewhere = shortfalls(load_config(SMOKE, [f"cluster.spill_dir={tmp_path}"]), tmp_path)
        assert len(elsewhere) == 1, "the sockets still lie there"
        assert "RAY_TMPDIR" in elsewhere[0]
    finally:
        unmount(tmp_path / "small")


def test_an_object_store_larger_than_shared_memory_needs_room_on_disk():
    config = load_config(SMOKE, ["cluster.object_store_memory_gib=2"])
    assert store_shortfall(config, shared=3 * GIB, temp_dir=Path("/t"), free=0) is None
    assert store_shortfall(config, shared=GIB, temp_dir=Path("/t"), free=3 * GIB) is None
    said = store_shortfall(config, shared=GIB, temp_dir=Path("/t"), free=GIB)
    assert said is not None
    assert "cluster.object_store_memory_gib" in said
    assert "--shm-size" in said


def test_a_home_that_is_missing_or_cannot_be_written_is_named_with_what_to_do(read_only):
    assert home_trouble("/root", None) is None
    missing = home_trouble(None, None)
    assert missing is not None
    assert missing.startswith("HOME is not set")
    said = home_trouble(str(read_only), why_unwritable(read_only))
    assert said is not None
    assert f"nothing can be written to HOME, {read_only} (Read-only file system)" in said
    assert "export HOME=" in said


def test_the_home_of_the_user_stands_in_for_a_variable_that_is_not_set(monkeypatch):
    monkeypatch.delenv("HOME")
    monkeypatch.setenv("PATH", os.environ["PATH"])
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    prepare_environment()
    assert os.environ["HOME"] == str(Path("~").expanduser())


def test_a_run_is_not_started_where_it_cannot_write(read_only, monkeypatch):
    monkeypatch.setenv("HOME", str(read_only))
    with pytest.raises(PreflightError) as error:
        preflight_machine(load_config(SMOKE), read_only / "installation" / "runs")
    said = str(error.value)
    assert isinstance(error.value, UserError)
    assert f"the run directory cannot be written to {read_only}/installation/runs (Read-only file system)" in said
    assert "--run-dir" in said
    assert "HOME" in said


def test_a_machine_that_has_everything_is_not_complained_of(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_TMPDIR", "/tmp")
    assert machine_troubles(load_config(SMOKE), tmp_path / "runs" / "new") == []


def test_the_limit_of_open_files_is_named_where_it_is_below_what_a_local_cluster_needs():
    assert open_files_trouble(1024) is None
    assert open_files_trouble(-1) is None
    said = open_files_trouble(256)
    assert said is not None
    assert "may open 256 files" in said
    assert "ulimit" in said


def test_loopback_goes_past_every_proxy_and_what_the_user_excludes_stays_excluded():
    assert past_proxies({}) == {}
    assert past_proxies({"no_proxy": "x"}) == {}
    assert past_proxies({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "*"}) == {}
    found = past_proxies({"http_proxy": "http://p:1", "NO_PROXY": "mine.example, localhost"})
    assert found["no_proxy"] == found["NO_PROXY"]
    assert found["no_proxy"].split(",") == ["mine.example", *LOOPBACK]


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "http://127.1.2.3:1"]
)
def test_requests_sends_loopback_past_the_proxy(monkeypatch, address):
    from requests.utils import get_environ_proxies

    for name, value in past_proxies({"http_proxy": "http://proxy.example:3128"}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("http_proxy", "http://proxy.example:3128")
    assert get_environ_proxies("http://elsewhere.example/")["http"] == "http://proxy.example:3128"
    assert get_environ_proxies(address).get("http") is None
