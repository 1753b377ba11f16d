"""What Ray prints and logs beside a run: not of a full disk, which the run's own error says once; the rest plain."""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from corpus.storage.disk import is_disk_full

# Every task that met it, one that nobody asked about any more, and a request to be sent a bug report.
_LOGGERS = ("ray._private.worker", "ray.data.exceptions", "ray.data._internal.execution.streaming_executor_state")
# Ray says it, with guesses at causes, of every process that ends without taking leave; also where Ray Data has more actors
# than work is left, and kills one that still starts.
_WORKER_GONE = re.compile(
    r"A worker died or was killed while executing a task.*?Worker IP address: (?P<ip>\S+)"
    r".*?Worker PID: (?P<pid>\d+)",
    re.DOTALL,
)


@contextmanager
def quiet_ray() -> Iterator[None]:
    """While the body runs: nothing of a full disk, and what Ray's daemons say in short, without colours, on stderr."""
    import ray._private.worker as worker

    said = worker.print_to_stdstream

    def say(data: dict, ignore_prefix: bool) -> None:
        """Errors of Ray's daemons, which log_to_driver does not turn off."""
        lines = [f"Ray: {_in_short(line)}" for line in data.get("lines", ()) if not _is_disk_full(line)]
        if lines:
            said(
                data | {"lines": lines, "is_err": True}, ignore_prefix=True
            )  # the prefix is coloured, wherever it goes

    with ExitStack() as stack:
        for logger in map(logging.getLogger, _LOGGERS):
            logger.addFilter(_is_of_something_else)
            stack.callback(logger.removeFilter, _is_of_something_else)
        worker.print_to_stdstream = say
        stack.callback(setattr, worker, "print_to_stdstream", said)
        yield


def _is_of_something_else(record: logging.LogRecord) -> bool:
    errors = (sys.exc_info()[1], record.exc_info[1] if record.exc_info else None)
    return not (
        _is_disk_full(record.getMessage()) or any(error is not None and is_disk_full(error) for error in errors)
    )


def _is_disk_full(text: str) -> bool:
    return is_disk_full(RuntimeError(text))


def _in_short(text: str) -> str:
    gone = _WORKER_GONE.match(text)
    return (
        text
        if gone is None
        else (f"process {gone['pid']} on {gone['ip']} is gone. What the run still needs of it is started anew.")
    )
