"""The cells of a benchmark: which there are, what each rests on, and running those of one method on one data set."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import Field

import benchmark.suite.members  # noqa: F401  # whoever asks for cells finds the members registered
from benchmark.datasets.base import DATA_SETS, DataSetMissing
from benchmark.metrics.group_bootstrap import Estimate, combine
from benchmark.suite.base import METHODS, SUITE, Disclosing, MethodInputs, MethodMissing, NothingToJudge
from benchmark.suite.config import BenchmarkConfig
from benchmark.suite.peak_memory import PeakMemory
from corpus.storage.models import FrozenModel

PROTOCOL: Final = 2
"""Goes up where features, readouts or trainings change, so that a cell of another protocol is run again."""


class CellResult(FrozenModel):
    """One cell of the table."""

    task: str
    data_set: str
    method: str
    setting: str = Field(description="'' where no setting could be run")
    status: Literal["done", "not found"]
    note: str = Field(default="", description="what a reader has to know; where nothing was found, what to do")
    weights: str = Field(default="", description="what a reader has to know of the method's weights, with their hash")
    scores: dict[str, Estimate] = Field(default_factory=dict, description="the first one is the headline")
    seeds: int = 0
    seconds: float = 0
    peak_memory_mib: float = 0
    inputs: str = Field(default="", description="digest of what the cell rests on; another one makes it stale")

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells cells apart."""
        return self.task, self.data_set, self.method, self.setting


@dataclass(frozen=True)
class Job:
    """All cells of one method on one data set of a task. The unit that runs at once: the cells share features.

    Attributes:
        path: where the data set lies.
        inputs: what methods need.
        seeds: of every setting that draws anything and trains no network.
        training_seeds: of every setting that trains networks.
        done: digest of each setting that is there already.
        settings: to run; none: all that apply.
    """

    task: str
    data_set: str
    method: str
    path: Path
    inputs: MethodInputs
    seeds: int
    done: Mapping[str, str]
    settings: tuple[str, ...] = ()
    training_seeds: int = 1

    def seeds_of(self, setting: str) -> int:
        """How many seeds a setting of the task is run with."""
        asked = SUITE[self.task].settings[setting]
        return 1 if not asked.seeded else self.training_seeds if asked.trains else self.seeds

    def digest(self, setting: str, method: Any = None) -> str:
        """SHA-256 of what the outcome of a setting rests on, hexadecimal, shortened.

        Args:
            setting: one of the task's.
            method: the opened method.
        """
        own = {
            "data": fingerprint(self.path),
            "weights": fingerprint(self._own_weights()) if self.method.startswith("ours") else None,
            "encoder": self.inputs.encoder if self.method == "encoder" else None,
            "seeds": self.seeds_of(setting),
            "protocol": PROTOCOL,
            "cell": [self.task, self.data_set, self.method, setting],
        }
        if isinstance(method, Disclosing):
            own["weights"] = method.weights_sha256
        return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:16]

    def _own_weights(self) -> Path | None:
        """The weights of our encoder that the method has."""
        _, is_round, number = self.method.partition("_round_")
        return self.inputs.rounds.get(int(number)) if is_round else self.inputs.weights_dir


def check_data(jobs: Sequence[Job]) -> None:
    """Read every data set that is there once, so that what is wrong with one is found before anything is learned.

    A single one is read when its first cell runs. Simulated ones are made by the benchmark itself.

    Raises:
        DataSetError: a data set cannot be used.
    """
    places = dict.fromkeys((job.data_set, job.path) for job in jobs)
    real = [(name, path) for name, path in places if DATA_SETS.find(name).make is None and path.is_dir()]
    if len(places) > 1:
        for name, path in real:
            DATA_SETS.find(name).open(path)


def jobs_of(config: BenchmarkConfig, inputs: MethodInputs, there: Sequence[CellResult] = ()) -> list[Job]:
    """Every job of a configuration, data set by data set.

    Args:
        config: the section.
        inputs: what methods need.
        there: cells of an earlier call.
    """
    done: dict[tuple[str, str, str], dict[str, str]] = {}
    for cell in there:
        if cell.status == "done":
            done.setdefault(cell.key[:3], {})[cell.setting] = cell.inputs
    return [
        Job(
            task,
            name,
            method,
            config.path_of(name),
            inputs,
            config.seeds,
            done.get((task, name, method), {}),
            config.settings,
            config.training_seeds,
        )
        for task in config.tasks or tuple(SUITE)
        for name in SUITE[task].data_sets
        for method in config.methods or tuple(METHODS)
    ]


def run_job(job: Job) -> Iterator[CellResult]:
    """Run the cells of a job that are not there yet, each when the one before was taken.

    Yields:
        A cell for each setting that applies; one without a setting where data set or method is not found.

    Raises:
        DataSetError: the data set cannot be used.
    """
    task = SUITE[job.task]
    try:
        data, opened = _opened(job.data_set, job.path), METHODS[job.method].open(job.inputs)
    except (DataSetMissing, MethodMissing) as missing:
        yield _not_found(job, str(missing))
        return
    for name in task.settings:
        if job.settings and name not in job.settings:
            continue
        if not task.applies(name, opened) or job.done.get(name) == (digest := job.digest(name, opened)):
            continue
        begun = time.monotonic()
        seeds = job.seeds_of(name)
        try:
            with PeakMemory() as memory:
                outcomes = [task.run(data, name, opened, seed).scores for seed in range(seeds)]
        except NothingToJudge:
            continue
        except MethodMissing as missing:
            yield _not_found(job, str(missing))
            return
        yield CellResult(
            task=job.task,
            data_set=job.data_set,
            method=job.method,
            setting=name,
            status="done",
            note=getattr(data, "note", ""),
            weights=opened.disclosure if isinstance(opened, Disclosing) else "",
            scores={score: combine([outcome[score] for outcome in outcomes]) for score in outcomes[0]},
            seeds=seeds,
            seconds=time.monotonic() - begun,
            peak_memory_mib=memory.peak_mib,
            inputs=digest,
        )


def _not_found(job: Job, why: str) -> CellResult:
    return CellResult(task=job.task, data_set=job.data_set, method=job.method, setting="", status="not found", note=why)


@lru_cache(maxsize=1)
def _opened(data_set: str, path: Path) -> Any:
    """The data set that was used last stays open: the next method runs on the same one."""
    return DATA_SETS.find(data_set).open(path)


@lru_cache(maxsize=64)
def fingerprint(folder: Path | None) -> str:
    """SHA-256 of names and sizes of all files below a folder, and of the content of small tables, hexadecimal."""
    digest = hashlib.sha256()
    if folder is None:
        return digest.hexdigest()
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            digest.update(f"{path.relative_to(folder)}\x1f{path.stat().st_size}\x1e".encode())
            if path.suffix in (".csv", ".json", ".safetensors", ".txt", ".xml"):
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
