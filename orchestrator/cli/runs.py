"""Commands that start, continue and follow a run."""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from corpus.storage.errors import InputError
from corpus.storage.objects import StoreUri
from orchestrator.cli.arguments import (
    ASKING,
    AsJson,
    Config,
    RunDir,
    RunPlace,
    Settings,
    Tiles,
    WorkingFolder,
    console,
    load,
    run_place,
)
from orchestrator.jobs.address import job_server

Address = Annotated[
    str | None,
    typer.Option(
        "--address",
        metavar="URL",
        callback=lambda address: address and job_server(address),
        help="Job server of a cluster: RUN_DIR is the name of a run that was submitted there.",
    ),
]

_LOADING = "loading libraries"  # some seconds, in which a terminal is not to stay blank


def run(
    config: Config,
    tiles: Tiles = None,
    run_dir: Annotated[
        Any,
        typer.Option(
            "--run-dir",
            metavar="D",
            help="Where to write; default runs/<config>-<UTC time>. s3://BUCKET/PREFIX is as --set storage=URI.",
            parser=run_place,
        ),
    ] = None,
    settings: Settings = None,
) -> None:
    """Run the closed loop: train, publish, score, relabel, accept, refresh, evaluate, round by round."""
    if isinstance(run_dir, StoreUri):
        settings, run_dir = [*(settings or []), f"storage.uri={run_dir}"], None
    with console.status(_LOADING):
        from orchestrator.start import start_run

        loaded = load(config, tiles, settings)
    start_run(loaded, run_dir, console)


def resume(run_dir: RunPlace, folder: WorkingFolder = None) -> None:
    """Continue a run after its last recorded round."""
    with console.status(_LOADING):
        from orchestrator.start import resume_run

    if folder is not None and isinstance(run_dir, Path):
        raise InputError(f"--run-dir is the working folder of a run that is stored, and {run_dir} is a run directory.")
    resume_run(run_dir, console, folder)


def fetch(
    uri: Annotated[
        Any, typer.Argument(metavar="URI", help="Where a run is stored: s3://BUCKET/PREFIX.", parser=run_place)
    ],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that is empty or does not exist.")],
) -> None:
    """Copy a stored run to a folder, as it was published last; every command that reads a run reads it there."""
    from orchestrator.run.restored import fetch_run

    if isinstance(uri, Path):
        raise InputError(f"{uri} is no URI of a stored run: write s3://BUCKET/PREFIX.")
    size = fetch_run(uri, folder)
    console.print(
        f"run directory {folder.resolve()} ({size / 2**20:,.1f} MiB)", highlight=False, soft_wrap=True, markup=False
    )


def status(run_dir: RunPlace, as_json: AsJson = False, address: Address = None) -> None:
    """Say what a run does, how far it has come, what it waits for, and where its results lie."""
    if address is not None:
        with console.status(ASKING):
            from orchestrator.jobs.client import Jobs
            from orchestrator.jobs.listing import print_remote_status, remote_status

            found = remote_status(Jobs(address), str(run_dir))
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            print_remote_status(found, console)
        return
    if isinstance(run_dir, StoreUri):
        from orchestrator.report.status import print_found
        from orchestrator.report.stored_status import stored_status

        found = stored_status(run_dir)
        if as_json:
            print(json.dumps(found, indent=2))
        else:
            print_found(found, console)
        return
    from orchestrator.report.status import print_status, status_as_json

    if as_json:
        print(json.dumps(status_as_json(run_dir), indent=2))
    else:
        print_status(run_dir, console)


def logs(
    run_dir: RunDir = Path("runs/latest"),
    level: Annotated[str, typer.Option("--level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR.")] = "INFO",
    logger: Annotated[
        str, typer.Option("--logger", metavar="NAME", help="Only this part, for instance actors.trainer.")
    ] = "",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what is logged from now on.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")] = False,
    address: Address = None,
) -> None:
    """Print what the processes of a run logged, driver and actors, in order of time."""
    if address is not None:
        with console.status(ASKING):
            from orchestrator.jobs.client import Jobs
            from orchestrator.jobs.follow import wait
            from orchestrator.jobs.ray_words import of_the_run

            jobs = Jobs(address)
            job = jobs.last(str(run_dir))
            said = None if follow else of_the_run(jobs.logs(job))
        if said is None:
            raise typer.Exit(wait(jobs, job, console))
        print(said, end="")
        return
    from orchestrator.monitoring.logs import follow_logs, format_line, read_logs
    from orchestrator.state.run_directory import RunDirectory

    RunDirectory.open(run_dir)
    if level.upper() not in (known := logging.getLevelNamesMapping()):
        raise typer.BadParameter(f"--level {level}: it is one of DEBUG, INFO, WARNING, ERROR.")
    read = follow_logs if follow else read_logs
    for line in read(run_dir, known[level.upper()], logger):
        print(format_line(line, as_json), flush=follow)
