"""The captioner's prompts in MLflow's prompt registry, in a real SQLite store."""

import json

import pytest
from mlflow import MlflowClient

from hcot_llm.prompts.prompts import prompt_sha256, prompt_texts
from orchestrator.tracking.mlflow_prompts import PROMPT, PROMPT_HASH
from orchestrator.tracking.mlflow_store import local_uri
from support.trackers import tracker_in, waiting


@pytest.fixture(autouse=True)
def no_server(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def told(run_dir, experiment: str, *hashes: str):
    """A tracker of a run that was told prompts with these hashes, and its parent run's tags."""
    tracker = tracker_in(run_dir, experiment)
    tracker.start({})
    for sha256 in hashes:
        tracker.log_prompts({"ask.j2": f"ask {{{{ clause }}}} {sha256}"}, sha256)
    return tracker, MlflowClient(local_uri(run_dir)).get_run(tracker.run_id()).data.tags


def test_a_hash_is_one_version_whoever_tells_it_and_each_run_is_tagged_with_its_own(tmp_path):
    runs = tmp_path / "runs"
    folders = [runs / name for name in "ab"]
    for folder in folders:
        folder.mkdir(parents=True)
    tracker, first = told(folders[0], "e", "a" * 64, "a" * 64)
    _, second = told(folders[1], "other", "b" * 64, "a" * 64, "b" * 64)
    client = MlflowClient(local_uri(folders[0]))
    versions = {each.tags[PROMPT_HASH]: each for each in client.search_prompt_versions(PROMPT)}
    assert {name: each.version for name, each in versions.items()} == {"a" * 64: 1, "b" * 64: 2}
    assert "ask.j2" in versions["a" * 64].template
    assert first["knowlip.prompt"] == f"prompts:/{PROMPT}/1"
    assert second["knowlip.prompt"] == f"prompts:/{PROMPT}/2"
    assert second[PROMPT_HASH] == "b" * 64
    assert json.loads(second["mlflow.linkedPrompts"]) == [{"name": PROMPT, "version": "2"}]
    for name in ("e", "other"):
        experiment = client.get_experiment_by_name(name).experiment_id
        assert [each.name for each in client.search_prompts(f'experiment_id = "{experiment}"')] == [PROMPT]
    tracker._outbox.begin_again()
    tracker.finish("finished")
    assert len(client.search_prompt_versions(PROMPT)) == 2
    assert waiting(folders[0]) == 0


def test_a_model_of_the_prompts_name_is_said_and_ends_nothing(tmp_path, capsys):
    client = MlflowClient(local_uri(tmp_path))
    client.create_registered_model(PROMPT)
    _, tags = told(tmp_path, "e", "a" * 64)
    assert "knowlip.prompt" not in tags
    assert f"registered model called {PROMPT}" in capsys.readouterr().err
    assert waiting(tmp_path) == 0


def test_the_prompts_that_are_told_are_the_templates_that_the_hash_is_about(tmp_path):
    folder = tmp_path / "templates"
    folder.mkdir()
    for name, text in prompt_texts().items():
        (folder / name).write_text(text, encoding="utf-8")
    assert prompt_sha256(folder) == prompt_sha256()
