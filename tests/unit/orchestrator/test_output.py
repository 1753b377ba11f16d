"""What a command prints and logs, and where: options that every command has."""

import io
import json
import logging
import tomllib

import pytest
from rich.console import Console
from rich.text import Text
from typer.testing import CliRunner

import orchestrator.cli
from actors.logs import PACKAGES
from corpus.storage.errors import InputError
from orchestrator.cli import app
from orchestrator.cli.arguments import console
from orchestrator.monitoring.progress import Progress
from support.paths import ROOT
from support.records import record

PROJECT = logging.getLogger("orchestrator.start")


@pytest.fixture(autouse=True)
def restored(monkeypatch, tmp_path):
    """The console and the loggers as they were before the test."""
    monkeypatch.chdir(tmp_path)
    loggers = [(logger, list(logger.handlers), logger.level) for logger in map(logging.getLogger, PACKAGES)]
    yield
    console.quiet = False
    for logger, handlers, level in loggers:
        logger.handlers, logger.level = handlers, level


@pytest.fixture
def works(monkeypatch):
    """`knowlip config FILE` logs at every level, prints, and ends as it is told."""

    def works(error: Exception | None = None):
        def load(*_):
            for level in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
                PROJECT.log(level, "at %s", logging.getLevelName(level))
            console.print("printed")
            raise error or InputError("ended")

        monkeypatch.setattr(orchestrator.cli.inputs, "load", load)

    works()
    return works


@pytest.mark.parametrize(
    ("option", "levels"),
    [
        ("--quiet", ["ERROR"]),
        ("-q", ["ERROR"]),
        ("--log-json", ["WARNING", "ERROR"]),
        ("-v", ["INFO", "WARNING", "ERROR"]),
        ("-vv", ["DEBUG", "INFO", "WARNING", "ERROR"]),
    ],
)
def test_options_choose_what_is_logged_and_quiet_prints_nothing(call, works, option, levels):
    _, out, error = call("config", "c.yaml", option)
    assert [level for level in ("DEBUG", "INFO", "WARNING", "ERROR") if f"at {level}" in error] == levels
    assert out == ("" if option in {"-q", "--quiet"} else "printed\n")


def test_the_log_as_json_is_an_object_a_line(call, works):
    _, _, error = call("config", "c.yaml", "--log-json")
    lines = [json.loads(line) for line in error.splitlines() if line.startswith("{")]
    assert [(line["level"], line["logger"], line["message"]) for line in lines] == [
        ("WARNING", "orchestrator.start", "at WARNING"),
        ("ERROR", "orchestrator.start", "at ERROR"),
    ]


def test_a_log_file_gets_more_than_a_quiet_console_and_how_the_command_ended(call, works, tmp_path):
    (tmp_path / "l.log").write_text("of before\n")
    assert call("config", "c.yaml", "-q", "--log-file", "l.log")[0] == 2
    lines = (tmp_path / "l.log").read_text().splitlines()
    assert lines[0] == "of before"
    assert [line.split(" ", 1)[1] for line in lines[1:5]] == [
        "INFO orchestrator.start: at INFO",
        "WARNING orchestrator.start: at WARNING",
        "ERROR orchestrator.start: at ERROR",
        "ERROR actors.logs: the command ends with InputError: ended",
    ]
    call("config", "c.yaml")
    assert (tmp_path / "l.log").read_text().splitlines() == lines  # the next command has not asked for it


def test_a_log_file_is_of_json_where_that_is_asked_for(call, works, tmp_path):
    works(ValueError("a bug"))
    with pytest.raises(ValueError, match="a bug"):
        orchestrator.cli.app(["--log-json", "--log-file", "l.jsonl", "config", "c.yaml"])
    last = json.loads((tmp_path / "l.jsonl").read_text().splitlines()[-1])
    assert last["message"] == "the command ends with ValueError: a bug"
    assert "Traceback" in last["error"]


def test_a_log_file_that_cannot_be_written_is_named(call):
    status, _, error = call("config", "c.yaml", "--log-file", "absent/l.log")
    assert status == 2
    assert error == (
        "Error: --log-file absent/l.log cannot be written: No such file or directory. Name another file.\n"
    )


def test_the_version_is_that_of_the_package(call):
    status, out, _ = call("--version")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (status, out) == (0, f"knowlip {version}\n")


@pytest.mark.parametrize(
    ("typed", "offered"), [("knowlip st", ["status", "stop"]), ("knowlip status --js", ["--json"])]
)
def test_a_shell_completes_commands_and_options(typed, offered):
    words = typed.split()
    asked = {"_KNOWLIP_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1)}
    assert CliRunner().invoke(app, env=asked, prog_name="knowlip").stdout.split() == offered


@pytest.mark.parametrize("end", [None, "flat for 3 rounds, as schedule.flat_rounds says"])
def test_a_round_is_one_line_however_narrow_the_console(end):
    said = io.StringIO()
    Progress(Console(file=said, width=40)).round_done(record(3, end=end))
    first, *others = said.getvalue().splitlines()
    assert first.startswith("round 3: annotation accuracy 0.9100; flagged 20 of 100 clauses")
    assert first.endswith(" s")
    assert others == ([f"the run ends here: {end}"] if end else [])


def shown(said: io.StringIO, progress: Progress) -> str:
    """What a terminal shows at this moment, without colours."""
    said.seek(0)
    said.truncate()
    progress.bars.refresh()
    return Text.from_ansi(said.getvalue()).plain


def test_a_terminal_shows_what_goes_on_from_the_first_moment_with_time_spent_and_left():
    console = Console(file=(said := io.StringIO()), force_terminal=True, width=120)
    with Progress(console) as progress:
        assert "starting" in shown(said, progress)
        progress.phase("publish", 1, 3)
        assert "round 1/3 publish" in shown(said, progress)
        progress.phase("train", 2, 3)
        progress.advance(3, 12, "310 tiles/s")
        line = shown(said, progress)
    assert all(each in line for each in ("round 2/3 train", " 3/12", "310 tiles/s", "0:00:0", "-:--:--"))


def test_outside_of_a_terminal_no_phase_is_shown():
    console = Console(file=(said := io.StringIO()), width=120)
    with Progress(console) as progress, console.status("waiting"):
        progress.phase("train", 1, 3)
        progress.advance(3, 12)
    assert said.getvalue() == ""
