"""One run of the loop as a user starts it, with faults injected from outside."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos import victims
from chaos.compare import Comparison
from chaos.faults import BOUNDARY, Fault
from orchestrator.lease import LASTS_S
from orchestrator.now import read_now
from orchestrator.records import RecordError, is_over, read_records

KNOWLIP = Path(sys.executable).with_name("knowlip")
LONGEST_RUN_S = 1800
RESUMES = 3


class ChaosError(RuntimeError):
    """A fault that could not be injected: nothing is known about survival."""


class TooLate(ChaosError):
    """The phase was over before the blow fell."""


class NotSurvived(RuntimeError):
    """A driver that hangs, or gives up where it must not: that is a result, and a bad one."""


@dataclass
class Outcome:
    """What became of one run.

    injected: how often the fault is known to have struck. resumes: how often `knowlip resume` was needed.
    complaints: what was not as it should be, apart from the results (a wrong exit status, a driver that should have
    lost). left_over: processes that had to be killed after the driver's end. found: the comparison with the undisturbed
    run, once there is one. not_possible: why this machine cannot inject the fault.
    """

    run_dir: Path
    seconds: float = 0.0
    injected: int = 0
    resumes: int = 0
    finished: bool = False
    left_over: int = 0
    complaints: list[str] = field(default_factory=list)
    found: Comparison | None = None
    not_possible: str | None = None


class Driver:
    """A `knowlip run` or `knowlip resume`, with a log of its own. variables: added to its environment."""

    def __init__(self, log: Path, *arguments: str | Path, variables: Mapping[str, str] | None = None) -> None:
        self.mark, self.log = uuid.uuid4().hex, log
        environment = {name: value for name, value in os.environ.items()
                       if not name.startswith(("RAY_", "VLLM_", "DS_", "MLFLOW_"))}
        environment |= {victims.MARK: self.mark, "COLUMNS": "120",
                        "PATH": f"{KNOWLIP.parent}{os.pathsep}{os.environ['PATH']}", **(variables or {})}
        with open(log, "ab") as file:
            # A group of its own: what strikes the driver must not strike the injector.
            self.process = subprocess.Popen([str(KNOWLIP), *map(str, arguments)], env=environment, stdout=file,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

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

    def said(self) -> str:
        """All it printed, on one line: a console breaks lines where it likes."""
        return " ".join(self.log.read_text(errors="replace").split())

    def clear(self) -> int:
        """See that nothing of it is left; returns how many processes had to be killed. Kills the driver if it runs."""
        if not self.ended:
            self.process.kill()
            self.process.wait()
        return victims.clear(self.process.pid, self.mark)


@dataclass(frozen=True)
class Strike:
    """A fault, the round it strikes (None: before the first), and how long after the phase's beginning."""

    fault: Fault
    round: int | None
    delay_s: float


def run_with_faults(config: Path, folder: Path, settings: Sequence[str], strikes: Sequence[Strike] = (),
                    variables: Mapping[str, str] | None = None) -> Outcome:
    """A run that `strikes` hit one after the other, in the order of their phases, resumed until it ends.

    Only the last one may end the driver. What an earlier, broken-off call left in `folder` is removed.

    Raises:
        ChaosError: a fault could not be injected. NotSurvived: a driver does not end.
    """
    outcome = Outcome(new_folder(folder) / "run")
    begun = time.monotonic()
    driver = start(config, folder, settings, variables)
    try:
        for strike in strikes:
            wait_for_phase(driver, outcome.run_dir, strike.round, strike.fault.phase)
            _wait_inside(outcome.run_dir, strike)
            _BLOWS[strike.fault.blow](driver, strike, outcome)
        status = driver.wait()
    finally:
        outcome.left_over += driver.clear()
    if any(strike.fault.blow == "terminate" for strike in strikes):
        if status != 0:
            outcome.complaints.append(f"SIGTERM: exit status {status} instead of 0")
        if "Resume with: knowlip resume" not in driver.said():
            outcome.complaints.append("SIGTERM: it did not say how to resume")
    resume_until_finished(outcome, variables)
    outcome.seconds = time.monotonic() - begun
    return outcome


def new_folder(folder: Path) -> Path:
    """An empty folder for a run and its logs."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def start(config: Path, folder: Path, settings: Sequence[str], variables: Mapping[str, str] | None = None,
          run_dir: Path | None = None) -> Driver:
    """`knowlip run` with its log in `folder` and its run directory there too, unless another one is given."""
    options = [part for setting in settings for part in ("--set", setting)]
    return Driver(folder / "run.log", "run", config, "--run-dir", run_dir or folder / "run", *options,
                  variables=variables)


def resume_until_finished(outcome: Outcome, variables: Mapping[str, str] | None = None,
                          logs: Path | None = None) -> None:
    """`knowlip resume`, a few times at most; `logs`: where its words go, by default beside the run directory."""
    while not (finished := is_finished(outcome.run_dir)) and outcome.resumes < RESUMES:
        outcome.resumes += 1
        log = (logs or outcome.run_dir.parent) / f"resume-{outcome.resumes}.log"
        again = Driver(log, "resume", outcome.run_dir, variables=variables)
        try:
            again.wait()
        finally:
            outcome.left_over += again.clear()
    outcome.finished = finished


def is_finished(run_dir: Path) -> bool:
    """Whether all rounds are recorded."""
    from orchestrator.run_directory import RunDirectory, RunDirectoryError

    try:
        directory, config = RunDirectory.open(run_dir)
        return is_over(read_records(directory.path), config.rounds)
    except (RunDirectoryError, RecordError):
        return False


def wait_for_phase(driver: Driver, run_dir: Path, round_: int | None, phase: str) -> None:
    """Until the phase has begun.

    Raises:
        ChaosError: the run ended before.
    """
    while not _is_in(run_dir, round_, phase):
        if driver.ended:
            raise ChaosError(f"the run ended before {phase} of round {round_}; its words are in {driver.log}")
        time.sleep(0.02)  # each look parses a file; on few cores looking more often would slow the run down


def _is_in(run_dir: Path, round_: int | None, phase: str) -> bool:
    now = read_now(run_dir)
    return now is not None and (now.round, now.phase) == (round_, phase)


def _check_inside(run_dir: Path, strike: Strike) -> None:
    """A blow that falls in another phase would be counted for this one."""
    if not _is_in(run_dir, strike.round, strike.fault.phase):
        moment = "began" if strike.fault.moment == BOUNDARY else f"was struck after {strike.delay_s:.2f} s"
        raise TooLate(f"{strike.fault.phase} of round {strike.round} was over before it {moment}")


def _wait_inside(run_dir: Path, strike: Strike) -> None:
    until = time.monotonic() + strike.delay_s
    while (rest := until - time.monotonic()) > 0:
        _check_inside(run_dir, strike)
        time.sleep(min(rest, 0.02))


def _kill(driver: Driver, strike: Strike, outcome: Outcome) -> None:
    fault, deadline = strike.fault, time.monotonic() + 120
    while (process := victims.find(fault.victim, fault.number, driver.process.pid, driver.mark)) is None:
        if driver.ended or time.monotonic() > deadline:
            raise ChaosError(f"there was no {fault.victim} to kill; see {driver.log}")
        _check_inside(outcome.run_dir, strike)
        time.sleep(0.01)
    _check_inside(outcome.run_dir, strike)
    victims.kill(process)
    outcome.injected += 1


def _terminate(driver: Driver, strike: Strike, outcome: Outcome) -> None:
    _check_inside(outcome.run_dir, strike)
    driver.process.send_signal(signal.SIGTERM)
    outcome.injected += 1


def _second_driver(driver: Driver, strike: Strike, outcome: Outcome) -> None:
    """A resume of the same run while the first driver works: it has to be refused and to change nothing."""
    second = Driver(driver.log.with_name("second.log"), "resume", outcome.run_dir)
    try:
        status = second.wait()
    finally:
        second.clear()
    if driver.ended:
        raise ChaosError(f"the first driver had ended before the second was refused; see {driver.log}")
    outcome.injected += 1
    if status != 1 or "Another driver" not in second.said():
        outcome.complaints.append(f"the second driver was not refused: exit status {status}, see {second.log}")


def _pause(driver: Driver, strike: Strike, outcome: Outcome) -> None:
    """The driver sleeps for longer than its lease lasts, another one takes over, and then it wakes."""
    driver.process.send_signal(signal.SIGSTOP)
    time.sleep(LASTS_S + 2)
    second = Driver(driver.log.with_name("takeover.log"), "resume", outcome.run_dir)
    try:
        deadline = time.monotonic() + 300
        while (now := read_now(outcome.run_dir)) is None or now.pid != second.process.pid:
            if second.ended or time.monotonic() > deadline:
                raise NotSurvived(f"no second driver took over; see {second.log}")
            time.sleep(0.05)
        driver.process.send_signal(signal.SIGCONT)
        outcome.injected += 1
        status = driver.wait()
        if status == 0 or "has taken over" not in driver.said():
            outcome.complaints.append(f"the paused driver did not give way: exit status {status}, see {driver.log}")
        if second.wait() != 0:
            outcome.complaints.append(f"the driver that took over failed; see {second.log}")
    finally:
        outcome.left_over += second.clear()


_BLOWS = {"kill": _kill, "terminate": _terminate, "second driver": _second_driver, "pause": _pause}
