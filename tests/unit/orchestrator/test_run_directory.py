"""Run directories: never over something else, and found again."""

import errno
import re
from datetime import datetime
from pathlib import Path

import pytest

from corpus.storage.errors import ConfigError
from corpus.storage.lock import LOCK, lease_lock
from orchestrator.config.load import load_config
from orchestrator.state import run_directory
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from support.paths import ROOT

CONFIG = load_config(ROOT / "configs" / "smoke.yaml")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_without_a_name_a_run_gets_configuration_and_utc_time(tmp_path):
    directory = RunDirectory.create(CONFIG, None)
    assert directory.path.parent == tmp_path / "runs"
    assert re.fullmatch(r"smoke-\d{8}T\d{6}Z", directory.run_id)
    assert (tmp_path / "runs" / "latest").resolve() == directory.path


def test_latest_follows_the_last_run_wherever_it_lies(tmp_path):
    RunDirectory.create(CONFIG, tmp_path / "one")
    second = RunDirectory.create(CONFIG, tmp_path / "deep" / "two")
    assert (tmp_path / "runs" / "latest").resolve() == second.path
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == ["latest"]


@pytest.mark.parametrize("obstacle", ["a folder of that name", "runs is a file", "read-only"])
def test_where_latest_cannot_be_set_that_is_said_and_the_run_goes_on(tmp_path, monkeypatch, capsys, obstacle):
    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    if obstacle == "a folder of that name":
        (tmp_path / "runs" / "latest").mkdir(parents=True)
    elif obstacle == "runs is a file":
        (tmp_path / "runs").write_text("mine")
    else:
        monkeypatch.setattr(Path, "symlink_to", refuse)
    directory = RunDirectory.create(CONFIG, tmp_path / "run")
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"link runs/latest could not be set to {directory.path}" in said
    assert RunDirectory.open(directory.path)[0] == directory
    assert not list(tmp_path.glob("runs/.latest-*"))


def test_of_runs_in_one_second_the_later_ones_have_a_number_behind_their_name(monkeypatch):
    class Still(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2026, 12, 1, tzinfo=tz)

    monkeypatch.setattr(run_directory, "datetime", Still)
    names = [RunDirectory.create(CONFIG, None).path.name for _ in range(3)]
    assert names == [f"smoke-20261201T000000Z{end}" for end in ("", "-2", "-3")]


def test_an_empty_directory_may_be_given(tmp_path):
    (tmp_path / "empty").mkdir()
    assert RunDirectory.create(CONFIG, tmp_path / "empty").path == tmp_path / "empty"


@pytest.mark.parametrize("kind", ["directory", "file"])
def test_what_is_there_is_never_written_over(tmp_path, kind):
    taken = tmp_path / "taken"
    if kind == "file":
        taken.write_text("mine")
    else:
        taken.mkdir()
        (taken / "mine.txt").write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(RunDirectoryError, match="taken exists and is not empty.*knowlip resume .*--run-dir"):
        RunDirectory.create(CONFIG, taken)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_is_opened_with_its_own_configuration(tmp_path):
    made = RunDirectory.create(CONFIG.model_copy(update={"rounds": 9}), tmp_path / "run")
    opened, config = RunDirectory.open(tmp_path / "runs" / "latest")
    assert opened == made
    assert config.rounds == 9
    assert config.model == CONFIG.model


def test_what_is_no_run_is_not_opened(tmp_path):
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(RunDirectoryError, match="is not a run directory: it has no config.yaml"):
            RunDirectory.open(path)


def test_the_paths_of_a_round_carry_its_number():
    directory = RunDirectory(Path("/run"))
    assert directory.weights(12) == Path("/run/weights/round-0012")
    assert directory.shards(3) == Path("/run/labels/round-0003")


@pytest.mark.parametrize("kept_lines", [0, 4])
def test_a_configuration_that_was_cut_is_not_filled_up_with_defaults(tmp_path, kept_lines):
    directory = RunDirectory.create(CONFIG, tmp_path / "run")
    assert (
        RunDirectory.open(directory.path)[1]
        == RunDirectory.create(CONFIG, tmp_path / "again").open(tmp_path / "again")[1]
    )
    lines = directory.config.read_text().splitlines(keepends=True)
    directory.config.write_text("".join(lines[:kept_lines]))
    with pytest.raises(ConfigError, match="config.yaml is damaged: it has no .*restore it from a copy"):
        RunDirectory.open(directory.path)
    names = sorted(path.name for path in directory.path.iterdir())
    assert names == [LOCK, "config.yaml"], "nothing half is left beside it"


def test_a_start_that_was_killed_at_once_does_not_keep_the_directory(tmp_path):
    (tmp_path / "run").mkdir()
    for name in (LOCK, ".config.yaml.ab12cd34.partial"):
        (tmp_path / "run" / name).write_text("half")
    directory = RunDirectory.create(CONFIG, tmp_path / "run")
    assert sorted(path.name for path in directory.path.iterdir()) == [LOCK, "config.yaml"]


def test_a_lock_that_leads_elsewhere_is_no_empty_directory(tmp_path):
    victim, run_dir = tmp_path / "victim.txt", tmp_path / "run"
    victim.write_text("mine")
    run_dir.mkdir()
    (run_dir / LOCK).symlink_to(victim)
    with pytest.raises(RunDirectoryError, match="not empty"):
        RunDirectory.create(CONFIG, run_dir)
    with pytest.raises(OSError), lease_lock(run_dir):
        pass
    assert victim.read_text() == "mine"


def test_of_two_runs_that_begin_in_one_directory_the_second_is_refused(tmp_path, monkeypatch):
    """The second looks while the directory is free, and comes to write when it is no more."""
    check_free, looked = RunDirectory.check_free, []

    def look(path):
        check_free(path)
        if not looked:
            looked.append(path)
            RunDirectory.create(CONFIG.model_copy(update={"rounds": 9}), path)

    monkeypatch.setattr(RunDirectory, "check_free", staticmethod(look))
    with pytest.raises(RunDirectoryError, match="exists and is not empty.*knowlip resume"):
        RunDirectory.create(CONFIG, tmp_path / "run")
    assert RunDirectory.open(tmp_path / "run")[1].rounds == 9
