"""What Ray 2.60 writes into the log and the message of a job beside what the run says itself."""

import re

_BEFORE_THE_RUN = re.compile(
    r"\A(?:(?:[^\n]*\bINFO job_manager\.py:\d+ -- [^\n]*|Running entrypoint for job [^\n]*)(?:\n|\Z))+"
)
_RUN_FAILED = "Job entrypoint command failed"
"""Begins a message that ends with the last lines of the job's log."""
_ERROR = "Error: "


def of_the_run(log: str) -> str:
    """Return what the run has printed, of the log of its job."""
    return _BEFORE_THE_RUN.sub("", log)


def is_of_the_run(message: str) -> bool:
    """Whether a job's message says what the run printed, and nothing that Ray alone knows."""
    return message.startswith(_RUN_FAILED)


def reason(message: str) -> str:
    """Return why a job failed, by its message: the run's error, its last line where it named none, or Ray's words."""
    lines = [line.rstrip() for line in message.splitlines() if line.strip()]
    if not is_of_the_run(message) or len(lines) < 2:
        return lines[0] if lines else ""
    last = max((at for at, line in enumerate(lines) if line.startswith(_ERROR)), default=len(lines) - 1)
    return "\n".join(lines[last:])
