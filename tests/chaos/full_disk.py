"""The disk under the run directory fills up: a small file system of its own, filled from outside."""

import errno
import os
import shutil
import subprocess
import threading
import time
from pathlib import Path

from actors.trainer.resume import trainer_state_dir
from chaos.driver import KNOWLIP, ChaosError, Driver, start, wait_for_phase
from chaos.injection import Outcome
from chaos.reference import Reference
from chaos.run import new_folder, resume_until_finished
from corpus.annotations import AnnotationStore
from corpus.storage.disk import free_bytes
from model.checkpoint import weights_sha256
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory
from support.mounts import mount, unmount

PHASES = {"train": "checkpoint", "label": "label shards", "refresh": "commit"}
"""Phase at whose start the disk is filled -> what is written in it."""
ROUND = 2
"""So that there is a last round to read."""
SMALL_BYTES, SMALLEST_BYTES = 8 * 2**20, 4 * 4096
"""Room that is left ahead of a phase, for what is written until then; the smaller one for status.json, the lease and
memory.json, of a page each, but not for a commit."""
LONGEST_S = 400


class Filler:
    """Takes all room of the file system of `path`, and what becomes free again, until it is let go."""

    def __init__(self, path: Path) -> None:
        self._path, self._stop = path, threading.Event()
        self._full = threading.Event()
        self._thread = threading.Thread(target=self._run, name="filler", daemon=True)

    def leave(self, left_bytes: int) -> None:
        """Take all room but so much, ahead of the moment."""
        with open(self._path, "ab") as file:
            if (taken := free_bytes(self._path) - left_bytes) > 0:
                os.posix_fallocate(file.fileno(), file.tell(), taken)

    def fill(self) -> None:
        """Returns once no byte is left.

        Raises:
            ChaosError: there is still room after a minute.
        """
        self._thread.start()
        if not self._full.wait(60):
            raise ChaosError(f"{self._path.parent} could not be filled")

    def let_go(self) -> None:
        """Make room again."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        with open(self._path, "ab", buffering=0) as file:
            while not self._stop.is_set():
                for chunk in (2**20, 2**12, 1):
                    self._write(file, bytes(chunk))
                self._full.set()
                time.sleep(0.02)

    @staticmethod
    def _write(file, chunk: bytes) -> None:
        while True:
            try:
                file.write(chunk)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                return


def run_on_full_disk(phase: str, reference: Reference, seed: int, folder: Path) -> Outcome:
    """A run whose disk is full from a phase of round 2 on."""
    outcome = Outcome(new_folder(folder) / "run")
    small = folder / "small"
    small.mkdir()
    outcome.not_possible = mount(small, 2 * size_of(reference.run_dir) + 64 * 2**20)
    if outcome.not_possible is not None:
        return outcome
    try:
        there = small / "run"
        fill_and_resume(outcome, there, reference, phase, small, written_first(phase, there))
        # Beyond the file system's end, for the comparison and for whoever looks for a cause.
        shutil.copytree(there, outcome.run_dir, symlinks=True)
    finally:
        unmount(small)
    return outcome


def written_first(phase: str, run_dir: Path) -> Path:
    """Where a phase of PHASES writes first, which the error has to name.

    What is written at any time ends no run for want of room: the lease is renewed later, and memory.json is left
    as it was.
    """
    directory = RunDirectory(run_dir)
    return {"train": trainer_state_dir(run_dir), "label": directory.shards(ROUND), "refresh": directory.annotations}[
        phase
    ]


def fill_and_resume(
    outcome: Outcome, run_dir: Path, reference: Reference, phase: str, small: Path, named: Path
) -> None:
    """A run in `run_dir`, while whose round 2 the file system at `small` is filled: it has to end with an error that
    names a place and says what to do, leave the last round readable, and go on once there is room."""
    begun, logs = time.monotonic(), outcome.run_dir.parent
    driver = start(reference.config, logs, reference.settings, run_dir=run_dir)
    filler = Filler(small / "filler")
    try:
        _make_tight(driver, run_dir, reference, phase, filler)
        wait_for_phase(driver, run_dir, ROUND, phase)
        filler.fill()
        outcome.injected = int(os.statvfs(small).f_bavail == 0)
        status = driver.wait(LONGEST_S)
        outcome.complaints += said_of_full_disk(status, driver.said(), named)
        outcome.complaints += unreadable(run_dir, reference)
    finally:
        outcome.left_over += driver.clear()
        filler.let_go()
    again = Outcome(run_dir)
    resume_until_finished(again, logs=logs)
    if again.resumes > 1:
        outcome.complaints.append(f"{again.resumes} resumes were needed once there was room")
    outcome.finished, outcome.resumes = again.finished, again.resumes
    outcome.left_over += again.left_over
    outcome.seconds = time.monotonic() - begun


def _make_tight(driver: Driver, run_dir: Path, reference: Reference, phase: str, filler: Filler) -> None:
    """Take nearly all room ahead of a phase that writes soon after its start: filling a whole disk may take longer."""
    if phase == "label":
        wait_for_phase(driver, run_dir, ROUND, "score")
        filler.leave(SMALL_BYTES)
    elif phase == "refresh":
        wait_for_phase(driver, run_dir, ROUND, "label")
        filler.leave(SMALL_BYTES)
        shards = len(_shards(reference.run_dir))
        while len(_shards(run_dir)) < shards and not driver.ended:
            time.sleep(0.02)
        filler.leave(SMALLEST_BYTES)


def _shards(run_dir: Path) -> list[Path]:
    return list(RunDirectory(run_dir).shards(ROUND).glob("shard-*"))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def said_of_full_disk(status: int, said: str, named: Path) -> list[str]:
    """What is wrong with how a driver ended whose disk was full. named: what the error has to name."""
    error = said.rpartition("Error: ")[2]  # the run's directory is named before, too
    wrong = [] if status == 1 else [f"exit status {status} instead of 1"]
    if str(named) not in error:
        wrong.append(f"the error does not name {named}: {error[:300]}")
    if "No space left" not in error and "full" not in error:
        wrong.append("the error does not say that the disk is full")
    if "knowlip resume" not in error:
        wrong.append("the error does not say how to go on")
    if "Traceback" in said:
        wrong.append("it ended with a traceback")
    return wrong


def unreadable(run_dir: Path, reference: Reference) -> list[str]:
    """What cannot be read of the rounds before the one that failed, while the disk is still full."""
    directory = RunDirectory(run_dir.resolve())
    records = read_records(directory.path)
    wrong = [] if len(records) == ROUND - 1 else [f"{len(records)} rounds are recorded instead of {ROUND - 1}"]
    store = AnnotationStore(directory.annotations)
    for record, wanted in zip(records, reference.records, strict=False):
        if weights_sha256(directory.weights(record.round)) != wanted.weights_sha256:
            wrong.append(f"the weights of round {record.round} are not those of the undisturbed run")
        if store.read(record.corpus_version).num_rows == 0:
            wrong.append(f"the annotations of round {record.round} are empty")
    report = subprocess.run([str(KNOWLIP), "report", str(run_dir)], capture_output=True, text=True)
    if report.returncode != 0:
        wrong.append(f"knowlip report fails: {report.stderr.strip()[-300:]}")
    return wrong
