"""What ends a run from outside: SIGTERM, and SIGHUP of a terminal that is closed, both as Ctrl-C does."""

import os
import signal
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def end_on_signals() -> None:
    """From now on SIGTERM and SIGHUP interrupt the main thread: the state is saved, and the process ends well.

    Where SIGHUP is ignored, as below nohup, it stays so.
    """
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, _hang_up)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """The same while the body runs."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    end_on_signals()
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def hang_up_blocked() -> Iterator[None]:
    """Processes that the body starts never get SIGHUP; this one gets what came meanwhile at the end.

    A terminal that closes sends the signal to every process started from it. Those of a local cluster have to live
    until the state is saved.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _hang_up(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the system and the shell both send it
    _leave_closed_terminal()
    raise KeyboardInterrupt


def _leave_closed_terminal() -> None:
    """Read and print nothing where standard input and output are a terminal that is gone: each try is an error."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    try:
        for descriptor in (0, 1, 2):
            try:
                is_device = stat.S_ISCHR(os.fstat(descriptor).st_mode)
            except OSError:  # it is closed
                continue
            if is_device and not os.isatty(descriptor):
                os.dup2(nowhere, descriptor)
    finally:
        os.close(nowhere)
