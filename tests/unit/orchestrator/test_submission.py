"""Names, commands and content of a submission; needs no cluster."""

import importlib.metadata
import subprocess
import sys
from pathlib import PurePosixPath

import pytest

from corpus.storage.yaml import load_yaml
from orchestrator.config.load import load_config
from orchestrator.jobs.package import CONFIG, on_cluster, pack, run_command, run_dir_of
from orchestrator.jobs.submit import UnusableSubmission, submit
from orchestrator.policies.attempts import Attempt, attempt_of, last_attempt
from orchestrator.run.origin import ENVIRONMENT, Origin, origin_tags
from orchestrator.tracking.facts import git_commit
from support.paths import ROOT

SMOKE = ROOT / "configs" / "smoke.yaml"
STORAGE = PurePosixPath("/runs")


@pytest.mark.parametrize("number", [1, 2, 31])
def test_an_attempt_is_read_from_its_own_id(number):
    assert attempt_of(Attempt("cities_2-b", number).submission_id) == Attempt("cities_2-b", number)


@pytest.mark.parametrize("other", ["raysubmit_4LamXRuQpYdSMg7J", "knowlip-a.b", "knowlip-", "knowlip-a.0"])
def test_an_id_of_another_job_is_no_attempt(other):
    assert attempt_of(other) is None


def test_the_last_attempt_is_the_one_of_the_largest_number_and_of_that_name():
    ids = ["knowlip-a.9", "knowlip-a", "knowlip-a.10", "knowlip-ab.11", "raysubmit_x"]
    assert last_attempt("a", ids) == Attempt("a", 10)
    assert last_attempt("b", ids) is None


def test_relative_paths_lie_below_the_storage_root_and_absolute_ones_stay():
    config = load_config(SMOKE, ["corpus.kind=geotiff", "corpus.tiles=scenes", "corpus.initial=/labels/all.csv"])
    content = on_cluster(config, STORAGE)
    assert content["corpus"]["data_dir"] == "/runs/data"
    assert content["corpus"]["tiles"] == "/runs/scenes"
    assert content["corpus"]["initial"] == "/labels/all.csv"
    assert content["cluster"]["address"] == "auto"


def test_what_is_sent_is_read_as_the_same_configuration(tmp_path):
    config = load_config(SMOKE, ["rounds=3"])
    pack(config, STORAGE, tmp_path, code=False)
    assert [path.name for path in tmp_path.iterdir()] == [CONFIG]
    sent = load_config(tmp_path / CONFIG)
    assert (sent.rounds, sent.model, sent.annotation_schema) == (3, config.model, config.annotation_schema)


def test_the_code_that_is_sent_runs_by_itself(tmp_path):
    pack(load_config(SMOKE), STORAGE, tmp_path, code=True)
    assert (tmp_path / "orchestrator" / "cli" / "__init__.py").is_file()
    assert not list(tmp_path.rglob("__pycache__"))
    assert load_yaml((tmp_path / CONFIG).read_text())["name"] == "smoke"


def test_the_command_begins_a_run_and_goes_on_with_one_that_is_there(tmp_path):
    run_dir = run_dir_of("a b", PurePosixPath(tmp_path))
    said = run_command(run_dir).replace("exec python -c 'from orchestrator.cli import main; main()'", "echo")

    def shell() -> str:
        return subprocess.run(["/bin/sh", "-c", said], capture_output=True, text=True, check=True).stdout.strip()

    assert shell() == f"run {CONFIG} --run-dir {run_dir}"
    (tmp_path / "runs" / "a b").mkdir(parents=True)
    (tmp_path / "runs" / "a b" / "config.yaml").touch()
    assert shell() == f"resume {run_dir}"


def test_the_code_that_is_sent_knows_its_version_where_knowlip_is_not_installed(tmp_path, monkeypatch):
    pack(load_config(SMOKE), STORAGE, tmp_path, code=True)
    here = importlib.metadata.version("knowlip")
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert [(each.name, each.version) for each in importlib.metadata.distributions()] == [("knowlip", here)]


@pytest.mark.parametrize(("name", "storage"), [("a/b", "/runs"), ("", "/runs"), ("a.2", "/runs"), ("a", "runs")])
def test_a_name_or_root_that_cannot_be_used_is_refused_before_anything_is_sent(name, storage):
    with pytest.raises(UnusableSubmission, match=r"--name|--storage"):
        submit(load_config(SMOKE), "http://127.0.0.1:1", name, storage, console=None)


def test_the_tracker_is_told_where_a_submitted_run_comes_from(monkeypatch):
    assert origin_tags() == {}
    origin = Origin(job_id="knowlip-a.2", attempt=2, cluster="http://c", host="h", user="ada", git_commit=None)
    monkeypatch.setenv(ENVIRONMENT, origin.model_dump_json())
    monkeypatch.setattr("orchestrator.run.origin.git_commit", lambda: "c0ffee")
    sent_along = origin.model_copy(update={"git_commit": "beef-dirty"})
    assert origin_tags() == {
        "knowlip.git_commit": "c0ffee",
        "knowlip.job_id": "knowlip-a.2",
        "knowlip.attempt": "2",
        "knowlip.cluster": "http://c",
        "knowlip.host": "h",
        "knowlip.user": "ada",
    }
    monkeypatch.setenv(ENVIRONMENT, sent_along.model_dump_json())
    assert origin_tags()["knowlip.git_commit"] == "beef-dirty"


def test_code_without_a_repository_is_of_the_commit_that_its_image_was_built_from(monkeypatch, tmp_path):
    monkeypatch.setattr("orchestrator.tracking.facts._ROOT", tmp_path)
    assert git_commit() is None
    monkeypatch.setenv("KNOWLIP_GIT_COMMIT", "c0ffee")
    assert git_commit() == "c0ffee"
