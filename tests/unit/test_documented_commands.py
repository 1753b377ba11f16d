"""Every `knowlip` command that README and docs show is one that the command line takes."""

from itertools import pairwise
from typing import Any

import pytest
import typer.main

from orchestrator.cli import app
from orchestrator.config.keys import keys
from orchestrator.config.schema import RunConfig
from support.documented import Documented, documented_commands
from support.paths import ROOT

COMMANDS = documented_commands()
KEYS = {key.name for key in keys(RunConfig)}
# Those that start nothing, take no run and end within seconds are run as well.
QUICK = {"config", "plan", "schema check"}


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
            key = value.partition("=")[0]
            assert any(known == key or known.startswith(f"{key}.") for known in KEYS) or key in (
                "schema",
                "model",
                "schedule",
            ), f"{key} is no configuration key"


def test_an_option_that_does_not_exist_would_be_found():
    with pytest.raises(Exception, match="No such option: --no-such"):
        parsed(Documented("a page", ("run", "configs/default.yaml", "--no-such"), True))


@pytest.mark.parametrize(
    "documented",
    [
        each
        for each in COMMANDS
        if each.is_whole and (" ".join(each.arguments[:2]) in QUICK or each.arguments[0] in QUICK)
    ],
    ids=str,
)
def test_a_quick_documented_command_runs(documented, call, monkeypatch):
    monkeypatch.chdir(ROOT)
    words = [
        "configs/schema/hcot.yaml" if word == "my.yaml" else "configs/default.yaml" if word == "CONFIG" else word
        for word in documented.arguments
    ]
    status, out, error = call(*words)
    assert status == 0, error
    assert out
