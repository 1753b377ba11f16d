"""Logging: what processes write into a run's log folder is read back as one log."""

import json
import logging
import os
import subprocess
import sys

import pytest

from actors.logs import (
    ENVIRONMENT,
    JsonLines,
    PlainLines,
    RunLogFile,
    asked_run_log,
    join_run_log,
    log_to_standard_error,
    run_log,
)
from orchestrator.monitoring.logs import follow_logs, format_line, read_logs
from support.paths import ROOT

PROGRAM = """
import logging, sys
from actors.logs import join_run_log
join_run_log()
logging.getLogger("actors.trainer.worker").info("step %d", int(sys.argv[1]))
logging.getLogger("actors.trainer.worker").debug("not asked for")
try:
    1 / 0
except ZeroDivisionError:
    logging.getLogger("actors.scorer").exception("no way on at https://me:secret@host/x")
"""


def log_in_a_process(run_dir, step: int, level: int = logging.INFO) -> str:
    """Log from another process as an actor does; returns what it wrote to standard error."""
    log_to_standard_error(PlainLines(), level)
    with run_log(run_dir):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    assert asked_run_log() == {}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(step)], env=environment, text=True, capture_output=True, check=True
    )
    return done.stderr


@pytest.fixture
def restored():
    """Loggers as they were before the test."""
    loggers = [
        logging.getLogger(name)
        for name in ("actors", "benchmark", "corpus", "export", "hcot_llm", "model", "orchestrator")
    ]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    for logger, handlers, level in before:
        logger.handlers, logger.level = handlers, level


def test_records_of_several_processes_are_read_in_order_of_time(tmp_path):
    said = log_in_a_process(tmp_path, 1)
    log_in_a_process(tmp_path, 2)
    lines = list(read_logs(tmp_path))
    assert [line.message for line in lines if line.level == "INFO"] == ["step 1", "step 2"]
    assert len({line.process for line in lines}) == 2
    assert "step 1" in said, "Ray keeps standard error as the actor's own log file"


def test_a_level_below_the_one_asked_for_is_neither_written_nor_read(tmp_path):
    log_in_a_process(tmp_path, 1)
    assert not [line for line in read_logs(tmp_path, logging.DEBUG) if line.message == "not asked for"]
    assert {line.level for line in read_logs(tmp_path, logging.ERROR)} == {"ERROR"}


def test_a_logger_can_be_chosen_by_the_beginning_of_its_name(tmp_path):
    log_in_a_process(tmp_path, 1)
    assert {line.logger for line in read_logs(tmp_path, logger="actors.scorer")} == {"actors.scorer"}


def test_a_traceback_is_kept_and_a_password_is_not(tmp_path):
    log_in_a_process(tmp_path, 1)
    [line] = read_logs(tmp_path, logging.ERROR)
    assert "ZeroDivisionError" in line.error
    assert "secret" not in line.message
    assert "ZeroDivisionError" in format_line(line, as_json=False)
    assert json.loads(format_line(line, as_json=True))["logger"] == "actors.scorer"


def test_half_a_line_of_a_killed_process_is_left_out(tmp_path):
    log_in_a_process(tmp_path, 1)
    [path] = (tmp_path / "logs").glob("*.jsonl")
    path.write_text(path.read_text() + '{"time": "2026')
    assert [line.message for line in read_logs(tmp_path) if line.level == "INFO"] == ["step 1"]


def test_the_error_that_ends_a_run_is_in_its_log_and_not_on_standard_error(tmp_path, capsys):
    with pytest.raises(OSError, match="no way on"), run_log(tmp_path):
        raise OSError("no way on")
    [line] = read_logs(tmp_path, logging.ERROR)
    assert line.message == "the run ends with OSError: no way on"
    assert "Traceback" in line.error
    assert capsys.readouterr().err == ""


def test_following_gives_what_is_there_and_what_comes(tmp_path):
    log_in_a_process(tmp_path, 1)
    lines = follow_logs(tmp_path, poll_s=0.01)
    assert next(lines).message == "step 1"
    assert next(lines).level == "ERROR"
    log_in_a_process(tmp_path, 2)
    assert next(lines).message == "step 2"


def test_a_process_that_nobody_told_of_a_run_logs_warnings_to_standard_error_alone(
    tmp_path, monkeypatch, capsys, restored
):
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    monkeypatch.chdir(tmp_path)
    join_run_log()
    join_run_log()
    logging.getLogger("actors.scorer").warning("once")
    logging.getLogger("actors.scorer").info("not at all")
    assert capsys.readouterr().err.count("once") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_log_file_that_cannot_be_written_disturbs_nobody(tmp_path, capsys):
    (tmp_path / "logs").mkdir()
    handler = RunLogFile(tmp_path / "logs")
    (tmp_path / "logs").rmdir()
    handler.emit(logging.LogRecord("actors", logging.ERROR, "", 0, "text", (), None))
    assert capsys.readouterr() == ("", "")


def test_a_json_line_holds_what_a_machine_needs():
    record = logging.LogRecord("actors.trainer", logging.INFO, "", 0, "%s tiles", (3,), None)
    entry = json.loads(JsonLines().format(record))
    assert set(entry) == {"time", "level", "logger", "process", "message"}
    assert entry["message"] == "3 tiles"
