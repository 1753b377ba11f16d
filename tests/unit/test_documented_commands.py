"""Every `knowlip` command that README and docs show is one that the command line takes."""

from itertools import pairwise
from typing import Any

import pytest
import typer.main

from orchestrator.cli import app
from orchestrator.config.keys import keys
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from support.documented import Documented, documented_commands
from support.paths import ROOT

COMMANDS = documented_commands()
KEYS = {key.name for key in keys(RunConfig)}
# Those that start nothing, take no run and end within seconds are run as well.
QUICK = {"config", "plan", "schema check", "simulate"}
# The test that runs each of the others, by the command line as a user does.
RUN_BY = {
    "ablate": "unit/orchestrator/test_ablation.py",
    "benchmark": "unit/orchestrator/test_benchmark_command.py",
    "caption": "integration/test_loop.py",
    "compare": "unit/orchestrator/test_compare.py",
    "data check": "unit/orchestrator/test_data_check.py",
    "data distance": "unit/orchestrator/test_data_distance.py",
    "data make": "unit/test_documented_commands.py",
    "data score": "unit/orchestrator/test_reference.py",
    "diff": "unit/orchestrator/test_story.py",
    "export": "unit/export/test_export.py",
    "fetch": "unit/orchestrator/test_stored_run.py",
    "gallery": "unit/orchestrator/test_gallery_page.py",
    "hcot": "unit/orchestrator/test_cli.py",
    "history": "unit/orchestrator/test_story.py",
    "list": "integration/test_submit.py",
    "logs": "integration/test_submit.py",
    "pretrain": "unit/orchestrator/test_pretrain_command.py",
    "report": "integration/test_loop.py",
    "resume": "integration/test_loop.py",
    "review": "unit/orchestrator/test_review.py",
    "run": "integration/test_installed_command.py",
    "scale": "unit/orchestrator/test_scale.py",
    "status": "integration/test_loop.py",
    "stop": "integration/test_submit.py",
    "submit": "integration/test_submit.py",
}
# Those that no test runs, and why.
LONG = {
    "tune": "trains several runs; the search is run by integration/test_tune.py, on made-up trials",
    "throughput": "starts the engine with and without Ray Serve, and measures on a quiet machine: minutes",
}


def parsed(documented: Documented) -> str:
    """The words that name the command, after its arguments and options were read as the command line reads them."""
    command: Any = typer.main.get_command(app)
    context, words = None, list(documented.arguments)
    path = []
    while hasattr(command, "commands"):
        context = command.make_context(path[-1] if path else "knowlip", words, parent=context)
        words = [*context._protected_args, *context.args]
        name, command, words = command.resolve_command(context, words)
        path.append(name)
    try:
        command.make_context(path[-1], words, parent=context)
    except typer.BadParameter as error:
        if documented.is_whole or type(error).__name__ != "MissingParameter":  # typer has no public name for it
            raise
    return " ".join(path)


def test_commands_are_found_in_blocks_and_in_sentences():
    assert sum(each.is_whole for each in COMMANDS) > 20
    assert sum(not each.is_whole for each in COMMANDS) > 10
    assert {each.arguments[0] for each in COMMANDS} >= {"run", "resume", "report", "plan", "export", "data", "ablate"}


@pytest.mark.parametrize("documented", COMMANDS, ids=str)
def test_a_documented_command_parses_and_names_files_and_keys_that_exist(documented):
    assert parsed(documented)
    words = documented.arguments
    for word in words:
        if word.startswith("configs/"):
            assert (ROOT / word).is_file(), f"{word} does not exist"
    for option, value in pairwise(words):
        if option == "--set" and "=" in value and value != "key=value":
            key, _, said = value.partition("=")
            if key in ("model", "schedule") and said.endswith(".yaml"):
                load_config(ROOT / "configs" / "default.yaml", [value])
            assert any(known == key or known.startswith(f"{key}.") for known in KEYS) or key in (
                "schema",
                "model",
                "schedule",
            ), f"{key} is no configuration key"


def test_every_documented_command_is_run_by_a_test_or_marked_as_long():
    assert {parsed(each) for each in COMMANDS} == QUICK | set(RUN_BY) | set(LONG)
    for command, name in RUN_BY.items():
        words = ", ".join(f'"{word}"' for word in command.split())
        assert words in (ROOT / "tests" / name).read_text(encoding="utf-8"), f"{name} does not run {command}"


def test_a_corpus_is_made_without_a_run(call, tmp_path):
    small = ("corpus.simulated.tiles=8", "corpus.simulated.cities=4", f"corpus.data_dir={tmp_path}")
    status, out, error = call("data", "make", str(ROOT / "configs/smoke.yaml"), *(f"--set={each}" for each in small))
    assert status == 0, error
    assert "8 simulated tiles" in out
    assert [path.name for path in tmp_path.glob("*/corpus/tiles.parquet")] == ["tiles.parquet"]


def test_an_option_that_does_not_exist_would_be_found():
    with pytest.raises(Exception, match="No such option: --no-such"):
        parsed(Documented("a page", ("run", "configs/default.yaml", "--no-such"), True))


@pytest.mark.parametrize(
    "documented",
    [
        each
        for each in COMMANDS
        if each.is_whole
        and (" ".join(each.arguments[:2]) in QUICK or each.arguments[0] in QUICK)
        and not any(word.startswith("runs/") for word in each.arguments)
    ],
    ids=str,
)
def test_a_quick_documented_command_runs(documented, call, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    (tmp_path / "costs.yaml").write_text("cores: 8\n")
    files = {
        "my.yaml": "configs/schema/hcot.yaml",
        "CONFIG": "configs/default.yaml",
        "costs.yaml": tmp_path / "costs.yaml",
    }
    words = [files.get(word, word) for word in documented.arguments]
    status, out, error = call(*words)
    assert status == 0, error
    assert out
