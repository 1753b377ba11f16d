"""`knowlip tune`: searches a space of settings on Ray Tune; every trial is a real run directory."""

import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.basic_variant import BasicVariantGenerator
from rich.console import Console

from corpus.storage.errors import Interrupted
from corpus.storage.models import FrozenModel
from corpus.storage.state_files import StateFolder, write_json
from orchestrator.cluster.connect import leave, start_local
from orchestrator.cluster.signals import ending_on_signals
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.trial import Trial, directory_of, end_runs, grace_of
from orchestrator.experiments.tune_config import Range, SpaceConfig, check_values
from orchestrator.report.tables import share_text, titled_table
from orchestrator.state.records import read_records
from orchestrator.state.run_end import RunStatus
from orchestrator.tracking.base import TrackedRun
from orchestrator.tracking.registry import make_tracker

_STORE = 100 * 2**20  # bytes of the object store of the search's own cluster, which holds next to nothing
_TRIES = 100  # draws for each setting, until it is another one: a list of few values has no more


class TrialResult(FrozenModel):
    """What a trial came to.

    `metric` is the mean over the seeds after the last round that all of them have, None before the first.
    """

    settings: dict[str, Any]
    directories: list[str]
    rounds: int
    metric: float | None
    accuracy: float | None
    seconds: float


class SearchResult(FrozenModel):
    """tune.json of a search: its trials, the best first."""

    metric: str
    mode: str
    trials: list[TrialResult]


@dataclass(frozen=True)
class SearchJob:
    """What all trials of a search share.

    Attributes:
        base: Configuration of the runs.
        fixed: `key=value` overrides of all of them.
        out: Directory of the search.
        program: The command that `run` and `resume` are given to.
    """

    base: Path
    fixed: Sequence[str]
    out: Path
    program: Sequence[str] = (str(Path(sys.prefix, "bin", "knowlip")),)


def run_search(job: SearchJob, space: SpaceConfig, console: Console) -> SearchResult:
    """Draw settings, run them, and stop those early that are behind after as many rounds (ASHA).

    The same search, given again, draws the same settings and goes on with what their runs have recorded.

    Raises:
        ConfigError: A configuration of the space cannot be used.
        Interrupted: The user, or a signal, ended the search; its runs have saved their state.
    """
    config = load_config(job.base, job.fixed)
    check_values(space, job.base, job.fixed)
    drawn = draw_settings(space)
    job.out.mkdir(parents=True, exist_ok=True)
    console.print(
        f"search {job.out}: {len(drawn)} trials of {config.rounds} rounds at most, {len(space.seeds)} seeds each",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    tracker = make_tracker(config.tracking, TrackedRun(StateFolder(job.out), config.name, job.out.name, kind="search"))
    tracker.start({"base": str(job.base), **space.model_dump(mode="json")})
    status: RunStatus = "failed"
    try:
        with ending_on_signals():
            _search(job, space, config, drawn)
            found = _results(job, space, drawn)
            write_json(job.out, job.out / "tune.json", found)
            tracker.log_files(None, [job.out / "tune.json"], "table")
            known = {number: trial.metric for number, trial in enumerate(found.trials) if trial.metric is not None}
            tracker.log_metrics({f"trial/{number}": value for number, value in known.items()}, step=len(found.trials))
            status = "finished"
    except KeyboardInterrupt as error:
        status = "interrupted"
        said = "Interrupted; what is finished is kept. Go on with the same command."
        console.print(said, highlight=False)
        raise Interrupted(said) from error
    finally:
        tracker.finish(status)
    return found


def print_search(found: SearchResult, console: Console) -> None:
    """Print the trials, the best first."""
    table = titled_table("Trials, the best first", "", "rounds", found.metric, "accuracy", "seconds")
    table.add_column("settings")
    for trial in found.trials:
        settings = ", ".join(f"{key}={_short(value)}" for key, value in trial.settings.items())
        values = (share_text(trial.metric), share_text(trial.accuracy))
        table.add_row(str(trial.rounds), *values, f"{trial.seconds:.0f}", settings)
    console.print(table)


def draw_settings(space: SpaceConfig) -> list[dict[str, Any]]:
    """Draw the settings of every trial, each of them once: equal ones would work in the same run directories."""
    generator = np.random.default_rng(space.draw_seed)
    domains = {key: _domain(values) for key, values in space.keys.items()}
    drawn: dict[Path, dict[str, Any]] = {}
    for _ in range(_TRIES * space.trials):
        settings = {key: domain.sample(random_state=generator) for key, domain in domains.items()}
        drawn.setdefault(directory_of(Path(), settings, 0), settings)
        if len(drawn) == space.trials:
            break
    return list(drawn.values())


def _search(job: SearchJob, space: SpaceConfig, config: RunConfig, drawn: list[dict[str, Any]]) -> None:
    """Run a trial of each of the settings."""
    shared = asdict(job) | {
        "base": str(job.base.resolve()),
        "out": str(job.out.resolve()),
        "program": list(job.program),
        "fixed": list(job.fixed),
        "seeds": list(space.seeds),
        "metric": space.metric,
        "cwd": os.getcwd(),
        "grace_s": grace_of(config),
    }
    # Else Ray takes Ctrl-C for a search that is over, and kills the runs.
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"
    try:
        # A cluster of the search's own, for its bookkeeping alone: every run starts or joins one as it is configured.
        start_local(num_cpus=space.concurrent, object_store_memory=_STORE)
        tune.Tuner(
            tune.with_resources(Trial, {"cpu": 1}),
            param_space={**shared, "settings": tune.grid_search(drawn)},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                max_concurrent_trials=space.concurrent,
                search_alg=BasicVariantGenerator(max_concurrent=space.concurrent),
                scheduler=ASHAScheduler(
                    time_attr="training_iteration",
                    metric=space.metric,
                    mode=space.mode,
                    max_t=config.rounds,
                    grace_period=min(space.grace_rounds, config.rounds),
                    reduction_factor=space.reduction,
                ),
            ),
            run_config=tune.RunConfig(storage_path=str(job.out.resolve() / "ray_tune"), verbose=0),
        ).fit()
    finally:
        try:
            end_runs(Path(shared["out"]), grace_of(config))
        finally:
            leave()


def _domain(values: Range | list) -> Any:
    if isinstance(values, list):
        return tune.choice(values)
    low, high = values.low, values.high
    if isinstance(low, int) and isinstance(high, int):
        return tune.lograndint(low, high + 1) if values.log else tune.randint(low, high + 1)
    return tune.loguniform(low, high) if values.log else tune.uniform(low, high)


def _results(job: SearchJob, space: SpaceConfig, drawn: list[dict[str, Any]]) -> SearchResult:
    """Read from the records what every trial came to."""
    trials = []
    for settings in drawn:
        directories = [directory_of(job.out, settings, seed) for seed in space.seeds]
        runs = [read_records(directory) for directory in directories]
        rounds = min(map(len, runs))
        last = [records[rounds - 1].metrics for records in runs] if rounds else []
        trials.append(
            TrialResult(
                settings=settings,
                directories=[str(directory) for directory in directories],
                rounds=rounds,
                metric=_mean([metrics.get(space.metric) for metrics in last]),
                accuracy=_mean([metrics.get("annotation_accuracy") for metrics in last]),
                seconds=sum(record.timings.total_s for records in runs for record in records),
            )
        )
    sign = 1 if space.mode == "max" else -1
    trials.sort(key=lambda trial: (trial.metric is not None, sign * (trial.metric or 0.0)), reverse=True)
    return SearchResult(metric=space.metric, mode=space.mode, trials=trials)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if values and len(known) == len(values) else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
