"""One run of the loop as a user starts it, with a fault injected from outside."""

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos import victims
from chaos.faults import Fault
from orchestrator.lease import LASTS_S
from orchestrator.now import read_now
from orchestrator.records import RecordError, is_over, read_records

KNOWLIP = Path(sys.executable).with_name("knowlip")
LONGEST_RUN_S = 1800
RESUMES = 3


class ChaosError(RuntimeError):
    """A fault that could not be injected, or a run that hangs: the row says nothing about survival."""


@dataclass
class Outcome:
    """What became of one run.

    injected: how often the fault is known to have struck. resumes: how often `knowlip resume` was needed.
    complaints: what was not as it should be, apart from the results (a wrong exit status, a driver that should have
    lost). left_over: processes that had to be killed after the driver's end.
    """

    run_dir: Path
    seconds: float = 0.0
    injected: int = 0
    resumes: int = 0
    finished: bool = False
    left_over: int = 0
    complaints: list[str] = field(default_factory=list)


class Driver:
    """A `knowlip run` or `knowlip resume`, with a log of its own."""

    def __init__(self, log: Path, *arguments: str | Path) -> None:
        self.mark, self.log = uuid.uuid4().hex, log
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "VLLM_", "DS_"))}
        environment |= {victims.MARK: self.mark, "COLUMNS": "120",
                        "PATH": f"{KNOWLIP.parent}{os.pathsep}{os.environ['PATH']}"}
        with open(log, "ab") as file:
            # A group of its own: what strikes the driver must not strike the injector.
            self.process = subprocess.Popen([str(KNOWLIP), *map(str, arguments)], env=environment, stdout=file,
                                            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True)

    def wait(self, seconds: float = LONGEST_RUN_S) -> int:
        """The exit status.

        Raises:
            ChaosError: it does not end.
        """
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            raise ChaosError(f"the driver hangs; its words are in {self.log}") from error

    @property
    def ended(self) -> bool:
        return self.process.poll() is not None

    def said(self) -> str:
        """All it printed, on one line: a console breaks lines where it likes."""
        return " ".join(self.log.read_text(errors="replace").split())

    def clear(self) -> int:
        """See that nothing of it is left."""
        return victims.clear(self.process.pid, self.mark)


@dataclass(frozen=True)
class Strike:
    """A fault, the round it strikes, and how long after the phase's beginning."""

    fault: Fault
    round: int
    delay_s: float


def run_with_faults(config: Path, folder: Path, settings: list[str], strikes: Sequence[Strike] = ()) -> Outcome:
    """A run that `strikes` hit one after the other, in the order of their phases, resumed until it ends.

    Only the last one may end the driver.

    Raises:
        ChaosError: a fault could not be injected, or a driver hangs.
    """
    folder.mkdir(parents=True)
    outcome = Outcome(folder / "run")
    options = [part for setting in settings for part in ("--set", setting)]
    begun = time.monotonic()
    driver = Driver(folder / "run.log", "run", config, "--run-dir", outcome.run_dir, *options)
    try:
        for strike in strikes:
            _wait_for(driver, outcome.run_dir, strike)
            time.sleep(strike.delay_s)
            _BLOWS[strike.fault.blow](driver, strike.fault, outcome)
        status = driver.wait()
    except BaseException:
        driver.process.kill()
        raise
    finally:
        outcome.left_over += driver.clear()
    if any(strike.fault.blow == "terminate" for strike in strikes):
        if status != 0:
            outcome.complaints.append(f"SIGTERM: exit status {status} instead of 0")
        if "Resume with: knowlip resume" not in driver.said():
            outcome.complaints.append("SIGTERM: it did not say how to resume")
    while not _finished(outcome.run_dir) and outcome.resumes < RESUMES:
        outcome.resumes += 1
        again = Driver(folder / f"resume-{outcome.resumes}.log", "resume", outcome.run_dir)
        again.wait()
        outcome.left_over += again.clear()
    outcome.finished = _finished(outcome.run_dir)
    outcome.seconds = time.monotonic() - begun
    return outcome


def _finished(run_dir: Path) -> bool:
    from orchestrator.run_directory import RunDirectory, RunDirectoryError

    try:
        directory, config = RunDirectory.open(run_dir)
        return is_over(read_records(directory.path), config.rounds)
    except (RunDirectoryError, RecordError):
        return False


def _wait_for(driver: Driver, run_dir: Path, strike: Strike) -> None:
    """Until the phase has begun."""
    while True:
        now = read_now(run_dir)
        if now is not None and (now.round, now.phase) == (strike.round, strike.fault.phase):
            return
        if driver.ended:
            raise ChaosError(f"the run ended before {strike.fault.phase} of round {strike.round}; its words are in "
                             f"{driver.log}")
        time.sleep(0.005)


def _kill(driver: Driver, fault: Fault, outcome: Outcome) -> None:
    deadline = time.monotonic() + 120
    while (process := victims.find(fault.victim, fault.number, driver.process.pid, driver.mark)) is None:
        if driver.ended or time.monotonic() > deadline:
            raise ChaosError(f"there was no {fault.victim} to kill; see {driver.log}")
        time.sleep(0.01)
    victims.kill(process)
    outcome.injected += 1


def _terminate(driver: Driver, fault: Fault, outcome: Outcome) -> None:
    driver.process.send_signal(signal.SIGTERM)
    outcome.injected += 1


def _second_driver(driver: Driver, fault: Fault, outcome: Outcome) -> None:
    """A resume of the same run while the first driver works: it has to be refused and to change nothing."""
    second = Driver(driver.log.with_name("second.log"), "resume", outcome.run_dir)
    status = second.wait()
    second.clear()
    if driver.ended:
        raise ChaosError(f"the first driver had ended before the second was refused; see {driver.log}")
    outcome.injected += 1
    if status != 1 or "Another driver" not in second.said():
        outcome.complaints.append(f"the second driver was not refused: exit status {status}, see {second.log}")


def _pause(driver: Driver, fault: Fault, outcome: Outcome) -> None:
    """The driver sleeps for longer than its lease lasts, another one takes over, and then it wakes."""
    driver.process.send_signal(signal.SIGSTOP)
    time.sleep(LASTS_S + 2)
    second = Driver(driver.log.with_name("takeover.log"), "resume", outcome.run_dir)
    deadline = time.monotonic() + 300
    while (now := read_now(outcome.run_dir)) is None or now.pid != second.process.pid:
        if second.ended or time.monotonic() > deadline:
            raise ChaosError(f"no second driver took over; see {second.log}")
        time.sleep(0.05)
    driver.process.send_signal(signal.SIGCONT)
    outcome.injected += 1
    status = driver.wait()
    if status == 0 or "has taken over" not in driver.said():
        outcome.complaints.append(f"the paused driver did not give way: exit status {status}, see {driver.log}")
    if second.wait() != 0:
        outcome.complaints.append(f"the driver that took over failed; see {second.log}")
    outcome.left_over += second.clear()


_BLOWS = {"kill": _kill, "terminate": _terminate, "second driver": _second_driver, "pause": _pause}
