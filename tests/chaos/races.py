"""Fifty times a second driver for one run directory; one holds it, and the others may change nothing."""

import hashlib
import subprocess
import sys
from pathlib import Path

from chaos.driver import ChaosError, Driver, start, wait_for_phase
from chaos.injection import Outcome
from chaos.reference import Reference
from chaos.run import is_finished, new_folder, resume_until_finished
from orchestrator.state.lease import read_lease

RACES, AT_ONCE = 50, 5
_CHANGING = {"lease.json", ".lease.lock"}
"""Renewed by the driver that holds the directory."""

_HOLD = """
import sys, time
from pathlib import Path
from orchestrator.state.lease import LeaseKeeper
from orchestrator.state.run_directory import RunDirectory
keeper = LeaseKeeper(RunDirectory(Path(sys.argv[1])))
keeper.acquire()
print("held", flush=True)
while True:
    time.sleep(1)
    keeper.check()
"""


def run_races(reference: Reference, seed: int, folder: Path) -> Outcome:
    """Fifty refusals of a second driver.

    The directory is that of a run that was killed as round 2 began, held by a process with the loop's own lease.
    45 real drivers are refused, five at a time. Then the holder is killed and six drivers start at once: one wins and
    finishes the run, as the undisturbed one was finished, and five are refused.
    """
    outcome = Outcome(new_folder(folder) / "run")
    driver = start(reference.config, folder, reference.settings)
    try:
        wait_for_phase(driver, outcome.run_dir, 2, "train")
    finally:
        driver.clear()
    racers = AT_ONCE + 1
    holder = subprocess.Popen([sys.executable, "-c", _HOLD, str(outcome.run_dir)], stdout=subprocess.PIPE, text=True)
    try:
        if holder.stdout.readline().strip() != "held":
            raise ChaosError(f"the lease of {outcome.run_dir} could not be taken")
        token, before = read_lease(outcome.run_dir).token, digest(outcome.run_dir)
        for first in range(0, RACES - AT_ONCE, AT_ONCE):
            drivers = [_resume(folder, first + number, outcome.run_dir) for number in range(AT_ONCE)]
            for driver in drivers:
                _finish(driver, outcome, refused=True)
            if digest(outcome.run_dir) != before or read_lease(outcome.run_dir).token != token:
                outcome.complaints.append(
                    f"a refused driver changed the run directory (races {first + 1} to {first + AT_ONCE})"
                )
                before = digest(outcome.run_dir)
        if holder.poll() is not None:
            outcome.complaints.append("the driver that held the directory lost it")
    finally:
        holder.kill()
        holder.wait()
    _race(outcome, [_resume(folder, RACES - AT_ONCE + number, outcome.run_dir) for number in range(racers)], token)
    resume_until_finished(outcome)
    return outcome


def _race(outcome: Outcome, drivers: list[Driver], token: int) -> None:
    statuses = [driver.wait() for driver in drivers]
    winners = [driver for driver, status in zip(drivers, statuses, strict=True) if status == 0]
    if len(winners) != 1:
        outcome.complaints.append(f"{len(winners)} of {len(drivers)} drivers that started at once won")
    for driver in drivers:
        _finish(driver, outcome, refused=driver not in winners)
    if not is_finished(outcome.run_dir):
        outcome.complaints.append("the winner did not finish the run")
    if (now := read_lease(outcome.run_dir).token) != token + 1:
        outcome.complaints.append(f"the lease changed hands {now - token} times instead of once")


def _resume(folder: Path, number: int, run_dir: Path) -> Driver:
    return Driver(folder / f"race-{number + 1:02d}.log", "resume", run_dir)


def _finish(driver: Driver, outcome: Outcome, refused: bool) -> None:
    try:
        status = driver.wait()
    finally:
        outcome.left_over += driver.clear()
    if not refused:
        return
    if status == 1 and "Another driver" in driver.said():
        outcome.injected += 1
    else:
        outcome.complaints.append(f"a second driver was not refused: exit status {status}, see {driver.log}")


def digest(run_dir: Path) -> str:
    """SHA-256 of names and content of all files below a run directory, but for its lease."""
    found = hashlib.sha256()
    for path in sorted(path for path in run_dir.rglob("*") if path.is_file() and path.name not in _CHANGING):
        found.update(f"{path.relative_to(run_dir)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return found.hexdigest()
