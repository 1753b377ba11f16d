"""The command line is frozen: a command, an option, an exit status changes on purpose, with this file."""

import click
import pytest
import typer.main
from typer.testing import CliRunner

from orchestrator.cli import app, main

# Arguments in capitals, then options, of every command.
COMMANDS = {
    "": "--install-completion --log-file --log-json --quiet --show-completion --verbose --version -q -v",
    "ablate": "CONFIG --conditions --json --out --rows --seeds --set",
    "bench": "",
    "benchmark": "CONFIG --encoder --json --list --methods --out --run --seeds --set --tasks",
    "caption": "TILE.tif --json --run",
    "compare": "RUN_DIR ... --json --plot",
    "config": "CONFIG --set",
    "data": "",
    "data check": "CONFIG|DIR --explain --json --picture --set --tiles",
    "data distance": "CONFIG --half --json --real --set --tiles --window",
    "data make": "CONFIG --set --tiles",
    "data score": "CONFIG --json --reference --set --tiles --weights",
    "export": "RUN_DIR OUT --champion --format --licence --plugin --round --version",
    "diff": "RUN_DIR R1 R2 --json --picture",
    "fetch": "URI DIR",
    "gallery": "RUN_DIR --out --tiles",
    "hcot": "FILE.json --json",
    "history": "RUN_DIR TILE [CLAUSE] --json",
    "list": "--address --json",
    "logs": "RUN_DIR --address --follow --json --level --logger -f",
    "plan": "CONFIG --json --set",
    "pretrain": "CONFIG OUT --passes --recipe --set --tiles",
    "report": "RUN_DIR --json --reference",
    "review": (
        "RUN_DIR --controls --disagreements --earlier --export --filter --format --gain --import --json --limit --out "
        "--person --undo"
    ),
    "resume": "RUN_DIR --run-dir",
    "run": "CONFIG --run-dir --set --tiles",
    "scale": "--out --sizes",
    "schema": "",
    "schema check": "FILE.yaml",
    "simulate": "CONFIG --costs --cpus --gpus --json --nodes --set",
    "status": "RUN_DIR --address --json",
    "stop": "NAME --address",
    "submit": "CONFIG --address --code --name --set --storage --tiles --wait",
    "tune": "CONFIG --json --out --set --space",
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


@pytest.mark.parametrize(("arguments", "status"), [(["no-such-command"], 2), (["run"], 2), (["run", "absent.yaml"], 2)])
def test_what_is_of_no_use_to_repeat_exits_with_2(arguments, status, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["knowlip", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == status
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("option", [["--log-json"], ["-q"], ["-vv"], ["--log-file", "l.log"], ["--log-file=l.log"]])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_options_of_every_command_may_stand_anywhere(place, option, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["run", "absent.yaml"]
    arguments[place:place] = option
    monkeypatch.setattr("sys.argv", ["knowlip", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "no configuration absent.yaml" in capsys.readouterr().err.replace("\n", " ")
