"""One run of the loop, with faults injected from outside."""

import shutil
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from chaos.driver import Driver, DriverEnded, start, wait_for_phase
from chaos.injection import Injection, Outcome, TooLate, inject
from corpus.storage.state_files import RecordError
from orchestrator.state.records import is_over, read_records
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError
from support.mounts import unmount

RESUMES = 3
"""How often a run is resumed after one fault before it counts as lost."""


def run_with_faults(
    config: Path,
    folder: Path,
    settings: Sequence[str],
    injections: Sequence[Injection] = (),
    variables: Mapping[str, str] | None = None,
) -> Outcome:
    """A run that `injections` hit one after the other, in the order of their phases, resumed until it ends.

    What an earlier, broken-off call left in `folder` is removed.

    Raises:
        ChaosError: no fault could be injected (TooLate if all came too late), or the run was over before the last.
        NotSurvived: a driver does not end.
    """
    outcome = Outcome(new_folder(folder) / "run")
    begun = time.monotonic()
    drivers = [start(config, folder, settings, variables)]
    try:
        for injection in injections:
            if outcome.injections:
                _until_phase(drivers, outcome, injection, variables)
            else:
                wait_for_phase(drivers[-1], outcome.run_dir, injection.round, injection.fault.phase)
            try:
                inject(injection, drivers[-1], outcome)
                if injection.fault.ends_driver:  # one that has lost its node comes on for a phase or two that need none
                    drivers[-1].wait()
            except TooLate:
                if injection is injections[-1] and not outcome.injections:
                    raise
        outcome.status = drivers[-1].wait()
    finally:
        outcome.left_over += drivers[-1].clear()
    resume_until_finished(outcome, variables)
    outcome.seconds = time.monotonic() - begun
    outcome.complaints += complaints_of(outcome)
    return outcome


def complaints_of(outcome: Outcome) -> list[str]:
    """A run may need a resume where a fault ends the driver, and nowhere else; what comes to its end says so."""
    faults = [each.fault for each in outcome.injections]
    wrong, ends = [], sum(fault.ends_driver for fault in faults)
    if outcome.resumes > ends:
        wrong.append(f"{outcome.resumes} resumes were needed, {ends} expected; see {outcome.run_dir.parent}")
    # A paused driver gives way to another one, which is asked for its status there.
    # A driver may be killed after its last record.
    by_a_fault = any(fault.action == "pause" for fault in faults) or (ends and outcome.status == -signal.SIGKILL)
    if outcome.finished and outcome.status != 0 and not by_a_fault:
        wrong.append(
            f"all rounds are recorded, but the driver's exit status was {outcome.status}; see {outcome.run_dir.parent}"
        )
    return wrong


def _until_phase(
    drivers: list[Driver], outcome: Outcome, injection: Injection, variables: Mapping[str, str] | None
) -> None:
    """Wait for a fault's phase; where an earlier fault ended the driver, in one that resumes the run and is added."""
    for _ in range(RESUMES):
        try:
            wait_for_phase(drivers[-1], outcome.run_dir, injection.round, injection.fault.phase)
            return
        except DriverEnded:
            if is_finished(outcome.run_dir):
                raise
        outcome.left_over += drivers[-1].clear()
        drivers.append(_resume(outcome, variables))
    wait_for_phase(drivers[-1], outcome.run_dir, injection.round, injection.fault.phase)


def new_folder(folder: Path) -> Path:
    """An empty folder for a run and its logs, whatever a broken-off call has left there."""
    for mounted in folder.glob("*/"):
        if mounted.is_mount():
            unmount(mounted)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def resume_until_finished(
    outcome: Outcome, variables: Mapping[str, str] | None = None, logs: Path | None = None
) -> None:
    """`knowlip resume`, a few times at most; `logs`: where its words go, by default beside the run directory."""
    for _ in range(RESUMES):
        if is_finished(outcome.run_dir):
            break
        again = _resume(outcome, variables, logs)
        try:
            outcome.status = again.wait()
        finally:
            outcome.left_over += again.clear()
    outcome.finished = is_finished(outcome.run_dir)


def _resume(outcome: Outcome, variables: Mapping[str, str] | None, logs: Path | None = None) -> Driver:
    outcome.resumes += 1
    log = (logs or outcome.run_dir.parent) / f"resume-{outcome.resumes}.log"
    return Driver(log, "resume", outcome.run_dir, variables=variables)


def is_finished(run_dir: Path) -> bool:
    """Whether all rounds are recorded."""
    try:
        directory, config = RunDirectory.open(run_dir)
        return is_over(read_records(directory.path), config.rounds)
    except (RunDirectoryError, RecordError):
        return False
