"""What Ray prints and logs beside a run: private parts of Ray 2.60 are used here and nowhere else.

Seen in Ray 2.60.0. `log_to_driver=False` turns off what workers print, but not what Ray's daemons report as errors:
since https://github.com/ray-project/ray/pull/18577 these go to the driver's output, with colours and guesses at causes.
Ray has no setting for them. They are shortened here, left out where they are about a full disk, which the run's own
error says once, and logged alone where they are about how many workers Ray has started.
"""

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from corpus.storage.disk import is_disk_full

_log = logging.getLogger(__name__)
# They log a full disk once for every task that met it, also for tasks whose result nobody waits for, and ask for bug
# reports.
_LOGGERS = ("ray._private.worker", "ray.data.exceptions", "ray.data._internal.execution.streaming_executor_state")
# Ray reports this to all drivers of a cluster whose nodes have few cores; nothing follows from it for a user.
_MANY_WORKERS = re.compile(r"\s*WARNING: \d+ PYTHON worker processes have been started on node")
# Ray reports this of every process that ends without saying so. Ray Data kills actors too, where it has more than it
# needs.
_WORKER_GONE = re.compile(
    r"A worker died or was killed while executing a task.*?Worker IP address: (?P<ip>\S+)"
    r".*?Worker PID: (?P<pid>\d+)",
    re.DOTALL,
)


@contextmanager
def quiet_ray() -> Iterator[None]:
    """Have Ray's daemons report errors in short, without colours, on standard error, and nothing of a full disk."""
    import ray._private.worker as worker

    original = worker.print_to_stdstream

    def print_in_short(data: dict, ignore_prefix: bool) -> None:
        said = [line for line in data.get("lines", ()) if not _is_disk_full(line)]
        for line in filter(_MANY_WORKERS.match, said):
            _log.info("%s", line.strip())
        lines = [f"Ray: {_in_short(line)}" for line in said if not _MANY_WORKERS.match(line)]
        if lines:
            original(data | {"lines": lines, "is_err": True}, ignore_prefix=True)  # Ray colours its prefix everywhere

    with ExitStack() as stack:
        for logger in map(logging.getLogger, _LOGGERS):
            logger.addFilter(_is_about_something_else)
            stack.callback(logger.removeFilter, _is_about_something_else)
        worker.print_to_stdstream = print_in_short
        stack.callback(setattr, worker, "print_to_stdstream", original)
        yield


def _is_about_something_else(record: logging.LogRecord) -> bool:
    errors = (sys.exc_info()[1], record.exc_info[1] if record.exc_info else None)
    return not (
        _is_disk_full(record.getMessage()) or any(error is not None and is_disk_full(error) for error in errors)
    )


def _is_disk_full(text: str) -> bool:
    return is_disk_full(RuntimeError(text))


def _in_short(text: str) -> str:
    gone = _WORKER_GONE.match(text)
    if gone is None:
        return text
    return f"process {gone['pid']} on {gone['ip']} is gone. What the run still needs of it is started anew."
