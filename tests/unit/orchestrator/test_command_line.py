"""The command line is frozen: a command, an option, an exit status changes on purpose, with this file."""

import click
import pytest
import typer.main
from typer.testing import CliRunner

from orchestrator.cli import app, main

# Arguments in capitals, then options, of every command.
COMMANDS = {
    "": "--log-json --quiet --verbose --version -q -v",
    "ablate": "CONFIG --out --rows --seeds --set",
    "bench": "",
    "caption": "TILE.tif --json --run",
    "config": "CONFIG --set",
    "data": "",
    "data check": "CONFIG|DIR --explain --json --picture --set --tiles",
    "data make": "CONFIG --set --tiles",
    "data score": "CONFIG --json --reference --set --tiles --weights",
    "export": "RUN_DIR OUT --champion --format --licence --plugin --round --version",
    "diff": "RUN_DIR R1 R2 --json --picture",
    "gallery": "RUN_DIR --out --tiles",
    "hcot": "FILE.json --json",
    "history": "RUN_DIR TILE [CLAUSE] --json",
    "logs": "RUN_DIR --follow --json --level --logger -f",
    "report": "RUN_DIR --json --reference",
    "review": (
        "RUN_DIR --controls --disagreements --earlier --export --filter --format --gain --import --json --limit --out "
        "--person --undo"
    ),
    "resume": "RUN_DIR",
    "run": "CONFIG --run-dir --set --tiles",
    "schema": "",
    "schema check": "FILE.yaml",
    "status": "RUN_DIR",
    "throughput": "CONFIG --run",
}


def commands(command: click.Command, path: str = "") -> dict[str, click.Command]:
    """A command and all below it, by the words that call them."""
    found = {path: command}
    for name, child in getattr(command, "commands", {}).items():
        found |= commands(child, f"{path} {name}".strip())
    return found


def words(command: click.Command) -> str:
    """Arguments and options of a command in one line."""
    arguments, options = [], []
    for parameter in command.params:
        if isinstance(parameter, click.Option) or parameter.param_type_name == "option":
            options += [*parameter.opts, *parameter.secondary_opts]
        else:
            arguments.append(parameter.metavar or parameter.human_readable_name)
    return " ".join([*arguments, *sorted(options)])


def test_every_command_takes_what_it_took():
    assert {path: words(command) for path, command in commands(typer.main.get_command(app)).items()} == COMMANDS


@pytest.mark.parametrize("path", COMMANDS)
def test_every_command_has_help(path):
    assert CliRunner().invoke(app, [*path.split(), "--help"]).exit_code == 0


@pytest.mark.parametrize(("arguments", "status"), [(["no-such-command"], 2), (["run"], 2), (["run", "absent.yaml"], 1)])
def test_a_usage_error_exits_with_2_and_an_expected_error_with_1(arguments, status, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["knowlip", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("place", [0, 1, 2])
def test_options_of_every_command_may_stand_anywhere(place, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "absent.yaml"]
    arguments.insert(place, "--log-json")
    monkeypatch.setattr("sys.argv", ["knowlip", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "no configuration absent.yaml" in capsys.readouterr().err.replace("\n", " ")
