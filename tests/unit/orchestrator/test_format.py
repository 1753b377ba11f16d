"""A run directory of another version of knowlip is refused with one message that names the version to use."""

import io

import pytest
import yaml
from rich.console import Console

from corpus.storage.errors import UserError
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.report.status import print_status
from orchestrator.report.summary import print_report
from orchestrator.start import resume_run
from orchestrator.state.format import FORMAT, FormatError
from orchestrator.state.records import write_record
from orchestrator.state.run_directory import RunDirectory
from support.records import record
from support.unguarded import unguarded

OLD = r"holds a run of knowlip 0\.1\.0, whose files .* with knowlip 0\.1\.0, or start a new run\."


@pytest.fixture
def directory(tmp_path, monkeypatch) -> RunDirectory:
    monkeypatch.chdir(tmp_path)
    directory = RunDirectory.create(RunConfig(name="default", rounds=1), tmp_path / "run")
    write_record(unguarded(directory.path), record(1))
    return directory


def change(directory: RunDirectory, **keys) -> None:
    """Change top-level keys of config.yaml; None removes one."""
    content = {**yaml.safe_load(directory.config.read_text()), **keys}
    directory.config.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


@pytest.mark.parametrize("command", [resume_run, print_report, print_status])
def test_a_run_of_the_last_version_is_refused_by_every_command_and_left_as_it_is(directory, command):
    change(directory, format=None, retired_key=1)
    before = {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()}
    with pytest.raises(FormatError, match=OLD):
        command(directory.path, Console(file=io.StringIO()))
    assert {path: path.read_bytes() for path in directory.path.rglob("*") if path.is_file()} == before


def test_a_run_of_a_development_version_is_refused_by_the_same_message(directory):
    change(directory, format=2)
    with pytest.raises(FormatError, match=r"holds a run of knowlip 0\.2\.0 before its release, whose files"):
        RunDirectory.open(directory.path)


@pytest.mark.parametrize("found", [FORMAT + 1, "two", {"a": 1}])
def test_a_run_of_an_unknown_version_is_refused(directory, found):
    change(directory, format=found)
    with pytest.raises(
        FormatError, match=f"has files of format {found!r}, and this version of knowlip reads format {FORMAT}"
    ):
        RunDirectory.open(directory.path)
    assert issubclass(FormatError, UserError)


def test_a_run_of_this_version_is_opened(directory):
    assert yaml.safe_load(directory.config.read_text())["format"] == FORMAT
    assert RunDirectory.open(directory.path)[1].rounds == 1


def test_a_saved_configuration_starts_a_new_run(directory):
    assert load_config(directory.config).rounds == 1
