"""Logging of every process of a run: to standard error, which Ray keeps as its log file, and to the run's own folder.

The driver states folder and level in one environment variable, which the processes of a local cluster inherit and those
of another cluster get with the job's runtime environment. Each actor calls `join_run_log` when it is made.
"""

import json
import logging
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from corpus.storage.redaction import without_user

ENVIRONMENT: Final = "KNOWLIP_LOG"
FOLDER: Final = "logs"
PACKAGES: Final = ("actors", "benchmark", "corpus", "export", "hcot_llm", "model", "orchestrator")


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, process (host and process id), message, and error if any."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without users and passwords of addresses."""
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": f"{socket.gethostname()}:{record.process}",
            "message": without_user(record.getMessage()),
        }
        if record.exc_info:
            entry["error"] = without_user(self.formatException(record.exc_info))
        return json.dumps(entry, ensure_ascii=False)


class PlainLines(logging.Formatter):
    """Time, level, logger and message in one line for a person."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S")

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line, without users and passwords of addresses."""
        return without_user(super().format(record))


class StandardError(logging.StreamHandler):
    """What is standard error when a record comes, and not when the handler was made."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record as one line."""
        self.stream = sys.stderr
        super().emit(record)


class LogFile(logging.FileHandler):
    """A file that records are appended to.

    A line that cannot be written is lost without a word: the disk is full or away then, and the run says so itself.
    """

    def emit(self, record: logging.LogRecord) -> None:
        """Append the record; also where opening the file fails."""
        try:
            super().emit(record)
        except OSError:
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:
        """Nothing: see the class."""


class RunLogFile(LogFile):
    """A process's own file in a run's log folder."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(folder / f"{socket.gethostname()}-{os.getpid()}.jsonl", encoding="utf-8", delay=True)
        self.setFormatter(JsonLines())


@contextmanager
def run_log(run_dir: Path) -> Iterator[None]:
    """While the body runs, this process and the actors that it starts log into the run directory.

    Records from INFO on are kept, and those of DEBUG where standard error was asked to show them.

    Args:
        run_dir: the run directory, on storage that all nodes see.
    """
    level = min(logging.INFO, logging.getLogger(PACKAGES[0]).getEffectiveLevel())
    os.environ[ENVIRONMENT] = json.dumps({"folder": str(run_dir.resolve() / FOLDER), "level": level})
    handler = _install(RunLogFile(run_dir.resolve() / FOLDER), level)
    try:
        yield
    except BaseException as error:
        # Into the file alone: the command line prints the error itself.
        handler.handle(_last_record("the run", error))
        raise
    finally:
        del os.environ[ENVIRONMENT]
        for package in PACKAGES:
            logging.getLogger(package).removeHandler(handler)
        handler.close()


def asked_run_log() -> dict[str, str]:
    """The environment variable that tells actors where to log; empty where there is no run."""
    return {name: os.environ[name] for name in (ENVIRONMENT,) if name in os.environ}


def join_run_log() -> None:
    """Log this process's records as the driver asked; without that, warnings to standard error alone."""
    asked = json.loads(os.environ.get(ENVIRONMENT, "{}"))
    log_to_standard_error(PlainLines(), asked.get("level", logging.WARNING))
    if folder := asked.get("folder"):
        _install(RunLogFile(Path(folder)), asked["level"])


def log_to_standard_error(formatter: logging.Formatter, level: int) -> None:
    """Write records of this project from `level` on to standard error, in place of what was asked before."""
    handler = StandardError()
    handler.setFormatter(formatter)
    _install(handler, level)


@contextmanager
def file_log(path: Path, formatter: logging.Formatter, level: int, no_error: type[Exception]) -> Iterator[None]:
    """While the body runs, this process appends its records, and the error that ends the body, to a file too.

    Args:
        path: the file; it need not exist, its folder has to.
        formatter: of the records.
        level: records below it are left out.
        no_error: an exception that ends the body as it should.

    Raises:
        OSError: the file cannot be written.
    """
    handler = LogFile(path, encoding="utf-8")
    handler.setFormatter(formatter)
    _install(handler, level)
    try:
        yield
    except no_error:
        raise
    except BaseException as error:
        handler.handle(_last_record("the command", error))
        raise
    finally:
        for package in PACKAGES:
            logging.getLogger(package).removeHandler(handler)
        handler.close()


def _last_record(what: str, error: BaseException) -> logging.LogRecord:
    said = f"{what} ends with {type(error).__name__}: {error}"
    return logging.LogRecord(__name__, logging.ERROR, __file__, 0, said, (), sys.exc_info())


def _install(handler: logging.Handler, level: int) -> logging.Handler:
    """Have records from `level` on handled, in place of what an earlier handler of the kind did."""
    handler.setLevel(level)
    for package in PACKAGES:
        logger = logging.getLogger(package)
        for other in [each for each in logger.handlers if type(each) is type(handler)]:
            logger.removeHandler(other)
        logger.addHandler(handler)
        logger.setLevel(min(each.level for each in logger.handlers))
    return handler
