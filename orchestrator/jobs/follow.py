"""Following a run on a cluster until it has ended, over attempts of it and over times in which nobody answers."""

import logging
import sys
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

import stamina
from ray.exceptions import AuthenticationError
from rich.console import Console
from rich.status import Status
from rich.text import Text

from corpus.storage.errors import Interrupted
from orchestrator.jobs.client import Jobs, JobsUnreachable
from orchestrator.jobs.job import Job
from orchestrator.jobs.ray_words import is_of_the_run, of_the_run
from orchestrator.policies.stall import duration
from orchestrator.report.status import in_a_line

_ASKED_EVERY_S = 2.0
_LOOKED_EVERY_S = 30.0  # a process on the cluster looks each time
_PATIENCE_S = 600.0
_LONGEST_PAUSE_S = 15.0
_log = logging.getLogger(__name__)
_Asked = TypeVar("_Asked")
_Result = TypeVar("_Result")


def wait(jobs: Jobs, job: Job, console: Console) -> int:
    """Print what a run prints until it has ended, and return its exit status.

    In a terminal a line says what the run does meanwhile.
    """

    def write(text: str) -> None:
        if console.is_terminal:
            console.print(Text.from_ansi(text.removesuffix("\n")), soft_wrap=True)
        elif not console.quiet:
            sys.stdout.write(text)
            sys.stdout.flush()

    try:
        with console.status(_in_words(job)) as line:
            ended = follow(jobs, job, write, line if console.is_terminal and not console.quiet else None)
    except (KeyboardInterrupt, Interrupted) as error:
        said = f"Interrupted; the run goes on. Follow it again with: {jobs.follow_command(job)}"
        console.print(said, highlight=False, soft_wrap=True, markup=False)
        raise Interrupted(said) from error
    if ended.exit_status and (console.quiet or not is_of_the_run(ended.message)):
        Console(stderr=True).print(ended.reason, highlight=False, soft_wrap=True, markup=False)
    return 1 if ended.exit_status is None else ended.exit_status


def follow(jobs: Jobs, job: Job, write: Callable[[str], None], line: Status | None = None) -> Job:
    """Pass on what a run prints until its last attempt has ended, and return that.

    Args:
        jobs: of the cluster.
        job: an attempt of the run.
        write: is given whole lines; the last one may have no end.
        line: says what the run does.

    Raises:
        JobsUnreachable: nobody has answered for minutes.
    """
    followed, seen = job, 0
    with closing(_told(jobs, lambda: followed, line)) as told:
        while True:
            now = _patiently(jobs, followed, jobs.last, followed.attempt.name)
            begun = now.attempt != followed.attempt
            # The log is asked for after the state: that of an attempt which has ended is whole.
            text = of_the_run(_patiently(jobs, followed, jobs.logs, followed if begun else now))
            whole = len(text) if begun or not now.is_live else text.rfind("\n") + 1
            if whole > seen:
                write(text[seen:whole])
                seen = whole
            followed = now
            if begun:
                write(f"Attempt {now.attempt.number} of {now.attempt.name} was begun, and is followed from here on.\n")
                seen = 0
            elif not now.is_live:
                return now
            next(told)
            time.sleep(_ASKED_EVERY_S)


def _told(jobs: Jobs, followed: Callable[[], Job], line: Status | None) -> Generator[None]:
    """Have the line say what the run does, again and again, in steps that take no time."""
    while line is None:
        yield
    known = None  # the attempt of which the line says more than its state
    while True:
        job = followed()
        try:
            with closing(jobs.look(job)) as looks:
                for found in looks:
                    if found is not None:
                        known = job.attempt
                        line.update(in_a_line(found)[: max(line.console.width - 4, 0)])
                    elif known != followed().attempt:
                        line.update(_in_words(followed()))
                    yield
        except JobsUnreachable as error:  # the log is asked for as well, and patiently
            _log.info("what the run does is not known at this moment: %s", error)
        looked = time.monotonic()
        while time.monotonic() < looked + _LOOKED_EVERY_S:
            yield


def _in_words(job: Job) -> str:
    return f"attempt {job.attempt.number} of {job.attempt.name}: {job.status.lower()}"


def _patiently(jobs: Jobs, job: Job, ask: Callable[[_Asked], _Result], about: _Asked) -> _Result:
    """What `ask` returns, tried for minutes: a connection that is lost does not end the run."""
    try:
        for attempt in stamina.retry_context(
            _may_be_back, attempts=None, timeout=_PATIENCE_S, wait_initial=1.0, wait_max=_LONGEST_PAUSE_S
        ):
            with attempt:
                return ask(about)
    except JobsUnreachable as error:
        asked = f" It was asked for {duration(_PATIENCE_S)}." if _may_be_back(error) else ""
        raise JobsUnreachable(
            f"{error}{asked} The run goes on on the cluster; follow it again with: {jobs.follow_command(job)}"
        ) from error
    raise AssertionError("stamina returns or raises")


def _may_be_back(error: Exception) -> bool:
    return isinstance(error, JobsUnreachable) and not isinstance(error.__cause__, AuthenticationError)
