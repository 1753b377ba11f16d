"""Leaves out what Ray says of a full disk: the run's own error says it once, and in one paragraph."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from corpus.disk import is_disk_full

# Every task that met it, one that nobody asked about any more, and a request to be sent a bug report.
_LOGGERS = ("ray._private.worker", "ray.data.exceptions", "ray.data._internal.execution.streaming_executor_state")


@contextmanager
def silent_about_a_full_disk() -> Iterator[None]:
    """What Ray logs and prints in this process while the body runs, without the tracebacks of a full disk."""
    import ray._private.worker as worker

    said = worker.print_to_stdstream

    def say(data: dict, *arguments, **options) -> None:
        """Errors of Ray's daemons, which log_to_driver does not turn off."""
        if not _is_disk_full("\n".join(data.get("lines", ()))):
            said(data, *arguments, **options)

    with ExitStack() as stack:
        for logger in map(logging.getLogger, _LOGGERS):
            logger.addFilter(_is_of_something_else)
            stack.callback(logger.removeFilter, _is_of_something_else)
        worker.print_to_stdstream = say
        stack.callback(setattr, worker, "print_to_stdstream", said)
        yield


def _is_of_something_else(record: logging.LogRecord) -> bool:
    errors = (sys.exc_info()[1], record.exc_info[1] if record.exc_info else None)
    return not (_is_disk_full(record.getMessage())
                or any(error is not None and is_disk_full(error) for error in errors))


def _is_disk_full(text: str) -> bool:
    return is_disk_full(RuntimeError(text))
