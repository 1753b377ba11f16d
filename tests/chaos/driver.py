"""A driver of the loop as a user starts it, watched from outside."""

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos import targets
from orchestrator.monitoring.status import read_status
from support.ray_token import token_variables

KNOWLIP = Path(sys.executable).with_name("knowlip")
LONGEST_RUN_S = 1800


class ChaosError(RuntimeError):
    """A fault that could not be injected: nothing is known about survival."""


class DriverEnded(ChaosError):
    """The driver ended before the moment that was waited for."""


class NotSurvived(RuntimeError):
    """A driver that hangs, or gives up where it must not: that is a result, and a bad one."""


class Driver:
    """A `knowlip run` or `knowlip resume`, at home where its log is: whoever injects keeps their own `runs/latest`.

    variables: added to its environment. prefix: a program that starts it, with its arguments.
    """

    def __init__(
        self,
        log: Path,
        *arguments: str | Path,
        variables: Mapping[str, str] | None = None,
        prefix: Sequence[str] = (),
    ) -> None:
        self.mark, self.log = uuid.uuid4().hex, log
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("RAY_", "VLLM_", "DS_", "MLFLOW_"))
        }
        environment |= {
            targets.MARK: self.mark,
            "COLUMNS": "120",
            "PATH": f"{KNOWLIP.parent}{os.pathsep}{os.environ['PATH']}",
            **token_variables(),
            **(variables or {}),
        }
        command = [*prefix, KNOWLIP, *(each.absolute() if isinstance(each, Path) else each for each in arguments)]
        with open(log, "ab") as file:
            # A group of its own: what strikes the driver must not strike the injector.
            self.process = subprocess.Popen(
                command,
                cwd=log.parent,
                env=environment,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def wait(self, seconds: float = LONGEST_RUN_S) -> int:
        """The exit status.

        Raises:
            NotSurvived: it does not end.
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise NotSurvived(f"the driver hangs; its words are in {self.log}") from error

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def is_in(self, run_dir: Path, round_: int | None, phase: str) -> bool:
        """Whether it lives and is in a phase now. What a driver before it has left in status.json does not count."""
        now = read_status(run_dir)
        return (
            now is not None and (now.pid, now.round, now.phase) == (self.process.pid, round_, phase) and not self.ended
        )

    def said(self) -> str:
        """All it printed, on one line: a console breaks lines where it likes."""
        return " ".join(self.log.read_text(errors="replace").split())

    def clear(self) -> int:
        """See that nothing of it is left; returns how many processes had to be killed. Kills the driver if it runs."""
        if not self.ended:
            self.process.kill()
            self.process.wait()
        return targets.clear(self.process.pid, self.mark)


def start(
    config: Path,
    folder: Path,
    settings: Sequence[str],
    variables: Mapping[str, str] | None = None,
    run_dir: Path | None = None,
) -> Driver:
    """`knowlip run` with its log in `folder` and its run directory there too, unless another one is given."""
    options = [part for setting in settings for part in ("--set", setting)]
    return Driver(
        folder / "run.log", "run", config, "--run-dir", run_dir or folder / "run", *options, variables=variables
    )


def wait_for_phase(
    driver: Driver, run_dir: Path, round_: int | None, phase: str, patience_s: float = LONGEST_RUN_S
) -> None:
    """Until the phase has begun.

    Raises:
        DriverEnded: it did not begin in this driver's life. NotSurvived: it does not begin.
    """
    deadline = time.monotonic() + patience_s
    while not driver.is_in(run_dir, round_, phase):
        if driver.ended:
            raise DriverEnded(f"the run ended before {phase} of round {round_}; its words are in {driver.log}")
        if time.monotonic() > deadline:
            raise NotSurvived(
                f"{phase} of round {round_} did not begin within {patience_s:g} s; the driver's words are "
                f"in {driver.log}"
            )
        time.sleep(0.02)  # each look parses a file; on few cores looking more often would slow the run down
