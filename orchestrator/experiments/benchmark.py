"""Runs the unified benchmark: missing cells one after another, or as Ray tasks, and a table after each.

A cell runs in this process unless `benchmark.workers` is more than 1. A kNN cell takes seconds, and a Ray cluster takes
longer to start than that; on one machine of two cores nothing is gained by it. With more workers each method on a data
set is a Ray task, on a cluster as on a large machine.
"""

from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console

from benchmark.suite.base import MethodInputs
from benchmark.suite.cells import CellResult, Job, check_data, jobs_of, run_job
from benchmark.suite.results import FILE, add_result, chosen, read_results
from benchmark.suite.table import markdown, shown
from corpus.storage.writer import UNGUARDED
from orchestrator.config.schema import RunConfig
from orchestrator.experiments.benchmark_tracking import tracked_benchmark
from orchestrator.experiments.pretraining import pretraining_of
from orchestrator.report.benchmark_plot import radar
from orchestrator.report.plots import save
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory, RunDirectoryError

TABLE = "benchmark.md"
RADAR = "benchmark_radar.png"


def weights_of(run_dir: Path) -> Path:
    """The weights of the last round of a run.

    Raises:
        RunDirectoryError: there is no run, or no round of it is over.
    """
    directory, _ = RunDirectory.open(run_dir)
    records = read_records(directory.path)
    if not records:
        raise RunDirectoryError(f"{run_dir} has no finished round yet, so it has no weights to judge.")
    return directory.weights(records[-1].round)


def early_rounds_of(run_dir: Path) -> dict[int, Path]:
    """Where the weights of rounds 0 and 1 of a run lie, or did."""
    directory, _ = RunDirectory.open(run_dir)
    return {number: directory.weights(number) for number in (0, 1)}


def run_benchmark(config: RunConfig, out: Path | None, run_dir: Path | None, console: Console) -> list[CellResult]:
    """Run what is missing.

    Args:
        config: what to run, in its section `benchmark`.
        out: folder of the table; None: runs/NAME-benchmark.
        run_dir: run whose last weights are those of the method `ours`; None: `benchmark.weights`.
        console: where progress is printed.

    Returns:
        All cells of the chosen tasks and methods.

    Raises:
        DataSetError: a data set cannot be used; what was finished before is kept.
        RunDirectoryError: run_dir is no run, or has no weights.
    """
    section = config.benchmark
    out = (out or Path("runs") / f"{config.name}-benchmark").resolve()
    weights = section.weights if run_dir is None else weights_of(run_dir)
    inputs = MethodInputs(
        weights_dir=weights,
        rounds={} if run_dir is None else early_rounds_of(run_dir),
        encoder=section.encoder,
        pretraining=pretraining_of(config, run_dir, out),
        checkpoints_dir=section.checkpoints_dir,
        checkpoints=section.checkpoints,
    )
    cells = read_results(out)
    jobs = jobs_of(section, inputs, cells)
    check_data(jobs)
    methods = list(dict.fromkeys(job.method for job in jobs))
    out.mkdir(parents=True, exist_ok=True)
    with tracked_benchmark(config, out, methods) as tracking:
        for cell in _ray_cells(jobs, config) if section.workers > 1 else _cells(jobs):
            cells = add_result(out, cell)
            UNGUARDED.write_text(out / TABLE, markdown(cells))
            tracking.tell(cell)
            console.print(_line(cell), highlight=False, soft_wrap=True)
        files = [path for path in (out / TABLE, out / FILE) if path.exists()]
        if (picture := radar(cells)) is not None:
            files.append(save(picture, out / RADAR))
        tracking.tell_table(files)
    console.print(f"table {', '.join(map(str, files))}", highlight=False, soft_wrap=True)
    return chosen(cells, {job.task for job in jobs}, {job.method for job in jobs})


def _cells(jobs: list[Job]) -> Iterator[CellResult]:
    for job in jobs:
        yield from run_job(job)


def _ray_cells(jobs: list[Job], config: RunConfig) -> Iterator[CellResult]:
    """Cells as they are finished, of as many jobs at a time as there are workers."""
    import ray

    from orchestrator.cluster.connect import leave, start_cluster

    start_cluster(config)
    try:
        run, waiting = ray.remote(num_cpus=1)(_run_whole), deque(jobs)
        running: list[Any] = []
        while waiting or running:
            while waiting and len(running) < config.benchmark.workers:
                running.append(run.remote(waiting.popleft()))
            ready, running = ray.wait(running)
            for cells in ray.get(ready):
                yield from cells
    finally:
        leave()


def _run_whole(job: Job) -> list[CellResult]:
    return list(run_job(job))


def _line(cell: CellResult) -> str:
    what = f"{cell.task} {cell.data_set} {cell.method}"
    if cell.status != "done":
        return f"{what}: {cell.note}"
    headline, score = next(iter(cell.scores.items()))
    return f"{what} {cell.setting}: {headline} {shown(score)}, {cell.seconds:.1f} s"
