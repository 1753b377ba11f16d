"""One trial of a search: a run of the loop for each seed, looked at round by round by Ray Tune."""

import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import fmean
from typing import Any

import psutil
from ray import tune

from corpus.storage.errors import UserError
from orchestrator.config.load import load_saved_config
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.tune_config import override
from orchestrator.state.records import RoundRecord, is_over, read_records

_PREFIX = "trial-"  # of the name of a run directory
_LOOK_EVERY_S = 1.0
_ENDING_S = 120.0  # for a run to end, besides the grace period in which it saves its state
# Of Ray's variables those that are the user's. The others are of the search's cluster, and a run starts its own.
_KEPT = {"RAY_TMPDIR", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"}


class TrialFailed(UserError):
    """A run of a trial failed; the message says where its output lies."""


def grace_of(config: RunConfig) -> float:
    """Seconds that a run has once it is told to end."""
    return config.cluster.grace_period_s + _ENDING_S


def directory_of(out: Path, settings: dict[str, Any], seed: int) -> Path:
    """Directory of a run: equal settings have the same, so that a search that is given again goes on."""
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:10]
    return out / f"{_PREFIX}{digest}-seed{seed}"


def end_runs(out: Path, grace_s: float) -> None:
    """Tell the runs below `out` that processes of this one have started to end, and wait until they have.

    Ray kills the children of a trial's process together with it, some seconds after it was asked to stop, and a trial
    that waits for a round hears nothing meanwhile. So the driver ends the runs, before it ends Ray.
    """
    told: set[psutil.Process] = set()
    deadline = time.monotonic() + grace_s
    # A trial that was starting may begin a run while others end.
    while (alive := set(_runs_below(out))) and time.monotonic() < deadline:
        for run in alive - told:
            with suppress(psutil.NoSuchProcess):
                run.terminate()
        told |= alive
        time.sleep(_LOOK_EVERY_S / 4)


def _runs_below(out: Path) -> Iterator[psutil.Process]:
    """Processes below this one that work on a run of the search, without what they have started themselves."""
    within: set[int] = set()
    for process in psutil.Process().children(recursive=True):  # parents come before their children
        with suppress(psutil.NoSuchProcess):
            if process.ppid() in within:
                within.add(process.pid)
            elif any(part.startswith(f"{out}/{_PREFIX}") for part in process.cmdline()):  # a zombie has none
                within.add(process.pid)
                yield process


class Trial(tune.Trainable):
    """Runs a setting once for each seed, side by side. A step is a round of all of them.

    Its configuration has `settings`, and what the search gives: program, base, fixed, out, cwd, seeds, metric, grace_s.
    """

    def setup(self, config: dict[str, Any]) -> None:
        """Start the runs, or go on with those that an earlier search left."""
        self._metric, self._grace_s, out = config["metric"], config["grace_s"], Path(config["out"])
        self._runs: list[tuple[Path, subprocess.Popen | None]] = []
        for seed in config["seeds"]:
            directory = directory_of(out, config["settings"], seed)
            self._runs.append((directory, _start(config, directory, seed)))

    def step(self) -> dict[str, Any]:
        """Wait for the next round of every run, and return the mean of the metric.

        Raises:
            TrialFailed: A run ended before it was over, or its record lacks the metric.
        """
        number = self.iteration + 1
        found = [self._wait_for(number, directory, run) for directory, run in self._runs]
        values = [record.metrics.get(self._metric) for record in found]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            names = sorted({name for record in found for name, value in record.metrics.items() if value is not None})
            raise TrialFailed(
                f"round {number} of {self._runs[0][0]} has no metric {self._metric}: name one of {', '.join(names)}"
            )
        over = any(record.end is not None or record.round < number for record in found)
        done = over or all(_is_over(directory) for directory, _ in self._runs)
        return {self._metric: fmean(known), "round": number, "done": done}

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take on another setting: starting a process for each trial costs ten seconds of a core."""
        self.cleanup()
        self.setup(new_config)
        return True

    def cleanup(self) -> None:
        """Tell runs that go on to end; they save their state."""
        alive = [run for _, run in self._runs if run is not None and run.poll() is None]
        for run in alive:
            run.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + self._grace_s
        for run in alive:
            try:
                run.wait(max(1.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                run.kill()

    def _wait_for(self, number: int, directory: Path, run: subprocess.Popen | None) -> RoundRecord:
        """The record of a round, or the last one where the schedule ended the run before."""
        while True:
            ended = run is None or run.poll() is not None  # looked at first: a record may come before the end
            records = read_records(directory)
            if len(records) >= number:
                return records[number - 1]
            if ended and records and _is_over(directory):
                return records[-1]
            if ended:
                raise TrialFailed(f"the run in {directory} ended before round {number}; see {directory}.log")
            time.sleep(_LOOK_EVERY_S)


def _is_over(directory: Path) -> bool:
    config = directory / "config.yaml"
    return config.exists() and is_over(read_records(directory), load_saved_config(config).rounds)


def _start(config: dict[str, Any], directory: Path, seed: int) -> subprocess.Popen | None:
    """Start a run; None where all its rounds are recorded."""
    if _is_over(directory):
        return None
    if (directory / "config.yaml").exists():
        arguments: Sequence[str] = ["resume", str(directory)]
    else:
        values = {**config["settings"], "seed": seed}
        settings = [*config["fixed"], *(override(key, value) for key, value in values.items())]
        arguments = ["run", config["base"], "--run-dir", str(directory)]
        arguments += [part for setting in settings for part in ("--set", setting)]
    there = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") or name in _KEPT}
    with open(f"{directory}.log", "a", encoding="utf-8") as log:
        return subprocess.Popen(
            [*config["program"], *arguments],
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=config["cwd"],
            env={**there, "COLUMNS": "240"},
            start_new_session=True,
        )
