"""Commands for who tunes schedules: compare runs, simulate one, search for one."""

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.arguments import AsJson, Config, Settings, console, load, progress_console, run_directory


def compare(
    run_dirs: Annotated[
        list[Path], typer.Argument(metavar="RUN_DIR ...", help="Two run directories or more.", parser=run_directory)
    ],
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="PNG", help="Draw annotation accuracy against seconds.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs by their records: cost, accuracy by round, and the configuration keys in which they differ."""
    from orchestrator.report.comparison import comparison_as_json, print_comparison, read_runs

    runs = read_runs(run_dirs)
    if as_json:
        print(json.dumps(comparison_as_json(runs), indent=2))
    else:
        print_comparison(runs, console)
    if plot is not None:
        from orchestrator.report.comparison_plot import accuracy_against_seconds
        from orchestrator.report.plots import save

        save(accuracy_against_seconds(runs), plot)
        if not as_json:
            console.print(f"plot {plot.resolve()}", highlight=False, soft_wrap=True, markup=False)


def simulate(
    path: Config,
    settings: Settings = None,
    nodes: Annotated[int | None, typer.Option("--nodes", metavar="N", min=1, help="Nodes of the cluster.")] = None,
    cpus: Annotated[
        float | None, typer.Option("--cpus", metavar="C", min=1, help="CPUs of each; default: a local cluster.")
    ] = None,
    gpus: Annotated[
        float | None, typer.Option("--gpus", metavar="G", min=0, help="GPUs of each; default none.")
    ] = None,
    costs: Annotated[
        Path | None,
        typer.Option(
            "--costs", metavar="FILE|RUN_DIR", help="What steps cost: a YAML file, or a finished run to measure."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the loop and its schedule on a clock of their own: timeline, utilisation and cost, before anything starts."""
    from orchestrator.simulation.costs import Costs, read_costs
    from orchestrator.simulation.hardware import choose_hardware
    from orchestrator.simulation.measured import measure
    from orchestrator.simulation.simulate import simulate as run_simulation
    from orchestrator.simulation.tables import print_simulation

    config = load(path, None, settings)
    measured = measure(costs) if costs is not None and costs.is_dir() else None
    stated = measured.costs if measured is not None else Costs() if costs is None else read_costs(costs)
    found = run_simulation(config, stated, choose_hardware(config, stated.cores, nodes, cpus, gpus))
    if as_json:
        measured_s = None if measured is None else measured.total_s
        print(json.dumps(found.as_json() | {"costs": stated.model_dump(), "measured_s": measured_s}, indent=2))
    else:
        print_simulation(found, console, None if measured is None else measured.total_s)
        if config.schedule.flat_rounds is not None:
            console.print("schedule.flat_rounds is left out: a simulation does not know the held-out likelihood.")


def tune(
    path: Config,
    space: Annotated[Path, typer.Option("--space", metavar="FILE", help="What is searched: keys and their values.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="D", help="Where the runs go; default runs/tune-<config>.")
    ] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Search for settings on Ray Tune: each trial is a run, and those that are behind after a round end early."""
    from orchestrator.experiments.tune import SearchJob, print_search, run_search
    from orchestrator.experiments.tune_config import load_space

    searched = load_space(space)
    name = load(path, None, settings).name
    job = SearchJob(path, settings or [], (out or Path("runs") / f"tune-{name}").resolve())
    found = run_search(job, searched, progress_console(as_json))
    if as_json:
        print(found.model_dump_json(indent=2))
    else:
        print_search(found, console)
