"""The injection of one fault: when it falls, and what it takes for it to count."""

import signal
import time
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from actors.trainer.checkpoint import latest_checkpoint
from actors.trainer.resume import trainer_state_dir
from chaos import targets
from chaos.compare import Comparison
from chaos.driver import ChaosError, Driver, NotSurvived
from chaos.faults import BOUNDARY, Fault
from corpus.storage.errors import Interrupted
from orchestrator.monitoring.status import read_status
from orchestrator.state.lease import LASTS_S


class TooLate(ChaosError):
    """The phase was over before the fault fell."""


@dataclass(frozen=True)
class Injection:
    """A fault, the round it strikes (None: before the first), and how long after the phase's beginning."""

    fault: Fault
    round: int | None
    delay_s: float


@dataclass
class Outcome:
    """What became of one run.

    injected: how often a fault is known to have struck. injections: those of faults that end a process.
    resumes: how often `knowlip resume` was needed. status: with which the last driver ended.
    complaints: what was not as it should be, apart from the results (a wrong exit status, a driver that should have
    lost). left_over: processes that had to be killed after the driver's end. found: the comparison with the undisturbed
    run, once there is one. not_possible: why this machine cannot inject the fault.
    """

    run_dir: Path
    seconds: float = 0.0
    injected: int = 0
    injections: list[Injection] = field(default_factory=list)
    resumes: int = 0
    status: int | None = None
    finished: bool = False
    left_over: int = 0
    complaints: list[str] = field(default_factory=list)
    found: Comparison | None = None
    not_possible: str | None = None


def inject(injection: Injection, driver: Driver, outcome: Outcome) -> None:
    """Wait for the moment within a phase that has begun, and inject the fault.

    Raises:
        TooLate: the phase was over before. ChaosError: there was no process to inject it into.
    """
    until = time.monotonic() + injection.delay_s
    while (rest := until - time.monotonic()) > 0:
        _check_inside(driver, outcome.run_dir, injection)
        time.sleep(min(rest, 0.02))
    _check_inside(driver, outcome.run_dir, injection)
    _ACTIONS[injection.fault.action](driver, injection, outcome)
    outcome.injections.append(injection)
    outcome.injected += 1


def _check_inside(driver: Driver, run_dir: Path, injection: Injection) -> None:
    """A fault that falls in another phase would be counted for this one, and one on a dead driver for a kill."""
    if driver.ended:
        raise ChaosError(
            f"the driver had ended by itself before {injection.fault.name} fell; its words are in {driver.log}"
        )
    if not driver.is_in(run_dir, injection.round, injection.fault.phase):
        moment = "began" if injection.fault.moment == BOUNDARY else f"was struck after {injection.delay_s:.2f} s"
        raise TooLate(f"{injection.fault.phase} of round {injection.round} was over before it {moment}")


def _kill(driver: Driver, injection: Injection, outcome: Outcome) -> None:
    fault, deadline = injection.fault, time.monotonic() + 120
    while (process := targets.find(fault.target, fault.number, driver.process.pid, driver.mark)) is None:
        if driver.ended or time.monotonic() > deadline:
            raise ChaosError(f"there was no {fault.who} to kill; see {driver.log}")
        _check_inside(driver, outcome.run_dir, injection)
        time.sleep(0.01)
    _check_inside(driver, outcome.run_dir, injection)
    try:
        targets.kill(process)
    except psutil.NoSuchProcess as error:
        raise ChaosError(f"{fault.who} was gone before it was killed; see {driver.log}") from error


def _terminate(driver: Driver, injection: Injection, outcome: Outcome) -> None:
    """The driver has to end by itself, with status 3, to say how to go on, and to save what it has trained.

    Nothing may have been trained when it strikes round 1, whose phase begins with the workers' start.
    """
    state = trainer_state_dir(outcome.run_dir)
    before = latest_checkpoint(state)
    driver.process.send_signal(signal.SIGTERM)
    if (status := driver.wait()) != Interrupted.exit_status:
        outcome.complaints.append(f"SIGTERM: exit status {status} instead of {Interrupted.exit_status}")
    if "Resume with: knowlip resume" not in driver.said():
        outcome.complaints.append("SIGTERM: it did not say how to resume")
    if injection.fault.phase == "train" and before is not None:
        at_the_end = before[1].round == injection.round and before[1].round_finished
        if not at_the_end and latest_checkpoint(state)[1].total_steps <= before[1].total_steps:
            outcome.complaints.append("SIGTERM: no state of the trainer was saved")


def _second_driver(driver: Driver, injection: Injection, outcome: Outcome) -> None:
    """A resume of the same run while the first driver works: it has to be refused and to change nothing."""
    second = Driver(
        driver.log.with_name(f"second-in-{injection.fault.phase}-{injection.round}.log"), "resume", outcome.run_dir
    )
    try:
        status = second.wait()
    finally:
        second.clear()
    if driver.ended:
        raise ChaosError(f"the first driver had ended before the second was refused; see {driver.log}")
    if status != 1 or "Another driver" not in second.said():
        outcome.complaints.append(f"the second driver was not refused: exit status {status}, see {second.log}")


def _pause(driver: Driver, injection: Injection, outcome: Outcome) -> None:
    """The driver sleeps for longer than its lease lasts, another one takes over, and then it wakes."""
    driver.process.send_signal(signal.SIGSTOP)
    time.sleep(LASTS_S + 2)
    second = Driver(driver.log.with_name("takeover.log"), "resume", outcome.run_dir)
    try:
        deadline = time.monotonic() + 300
        while (now := read_status(outcome.run_dir)) is None or now.pid != second.process.pid:
            if second.ended or time.monotonic() > deadline:
                raise NotSurvived(f"no second driver took over; see {second.log}")
            time.sleep(0.05)
        driver.process.send_signal(signal.SIGCONT)
        status = driver.wait()
        if status == 0 or "has taken over" not in driver.said():
            outcome.complaints.append(f"the paused driver did not give way: exit status {status}, see {driver.log}")
        if second.wait() != 0:
            outcome.complaints.append(f"the driver that took over failed; see {second.log}")
    finally:
        outcome.left_over += second.clear()


_ACTIONS = {"kill": _kill, "terminate": _terminate, "second driver": _second_driver, "pause": _pause}
