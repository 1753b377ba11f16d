"""Reading the log files of a run's processes as one log."""

import json
import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from heapq import merge
from pathlib import Path

from actors.logs import FOLDER


@dataclass(frozen=True)
class LogLine:
    """One record of one process.

    Attributes:
        time: UTC, ISO 8601.
        level: DEBUG, INFO, WARNING, ERROR or CRITICAL.
        logger: the module that logged it.
        process: host and process id.
        message: its text; `error` has the traceback, or is empty.
    """

    time: str
    level: str
    logger: str
    process: str
    message: str
    error: str = ""

    @property
    def severity(self) -> int:
        """The level as a number of the standard library's logging."""
        return logging.getLevelNamesMapping().get(self.level, logging.INFO)


def read_logs(run_dir: Path, level: int = logging.INFO, logger: str = "") -> Iterator[LogLine]:
    """All records of a run in order of time.

    Args:
        run_dir: the run directory.
        level: Level of the standard library's logging; records below it are left out.
        logger: only records whose logger's name begins with it, for instance actors.trainer.
    """
    files = [_lines(path) for path in sorted((run_dir / FOLDER).glob("*.jsonl"))]
    return (line for line in merge(*files, key=_time) if line.severity >= level and line.logger.startswith(logger))


def follow_logs(run_dir: Path, level: int = logging.INFO, logger: str = "", poll_s: float = 0.5) -> Iterator[LogLine]:
    """The records of `read_logs`, and further ones as they are written, for ever.

    Args:
        run_dir: the run directory.
        level: see `read_logs`.
        logger: see `read_logs`.
        poll_s: seconds between two looks at the files.
    """
    read: dict[Path, int] = {}
    while True:
        fresh: list[LogLine] = []
        for path in sorted((run_dir / FOLDER).glob("*.jsonl")):
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(read.get(path, 0))
                for text in iter(file.readline, ""):
                    if not text.endswith("\n"):
                        break  # the rest of the line is still to come
                    fresh += _parse(text)
                    read[path] = file.tell()
        yield from (
            line for line in sorted(fresh, key=_time) if line.severity >= level and line.logger.startswith(logger)
        )
        time.sleep(poll_s)


def format_line(line: LogLine, as_json: bool) -> str:
    """A record as JSON, or as one line for a person (and those of its traceback)."""
    if as_json:
        return json.dumps(asdict(line), ensure_ascii=False)
    text = f"{line.time[11:19]} {line.level} {line.logger} [{line.process}]: {line.message}"
    return f"{text}\n{line.error}" if line.error else text


def _time(line: LogLine) -> str:
    return line.time


def _lines(path: Path) -> Iterator[LogLine]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            yield from _parse(text)


def _parse(text: str) -> list[LogLine]:
    """The record of one line; none where a killed process left half of it."""
    try:
        return [LogLine(**json.loads(text))]
    except (ValueError, TypeError):
        return []
