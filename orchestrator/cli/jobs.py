"""Commands on runs that are jobs of a cluster elsewhere."""

import json
from pathlib import Path
from typing import Annotated

import typer

from orchestrator.cli.arguments import ASKING, AsJson, Settings, Tiles, console, load
from orchestrator.jobs.address import job_server

Address = Annotated[
    str,
    typer.Option(
        "--address",
        metavar="URL",
        envvar=["RAY_API_SERVER_ADDRESS", "RAY_ADDRESS"],
        callback=job_server,
        show_default=False,
        help="The cluster's job server, for instance http://localhost:8265; a token comes from RAY_AUTH_TOKEN. Needed.",
    ),
]
RunName = Annotated[str, typer.Argument(metavar="NAME", help="Name of a submitted run.")]


def submit(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML configuration.")],
    address: Address = "",
    name: Annotated[
        str | None, typer.Option("--name", metavar="N", help="Name of the run; default: that of the configuration.")
    ] = None,
    storage: Annotated[
        str,
        typer.Option(
            "--storage",
            metavar="DIR",
            envvar="KNOWLIP_STORAGE",
            help="Storage that all nodes of the cluster see; runs, data and relative paths lie below it.",
        ),
    ] = "/runs",
    wait: Annotated[
        bool, typer.Option("--wait", help="Print what the run prints, and end with its exit status.")
    ] = False,
    code: Annotated[
        bool, typer.Option("--code", help="Send this installation's code along: the cluster has none, or another.")
    ] = False,
    tiles: Tiles = None,
    settings: Settings = None,
) -> None:
    """Run on a cluster elsewhere. Given again, it goes on with the same run, and never doubles one that is at work."""
    with console.status(ASKING):
        from orchestrator.jobs.follow import wait as wait_for
        from orchestrator.jobs.submit import submit as submit_run

        loaded = load(config, tiles, settings)
        jobs, job = submit_run(loaded, address, name or loaded.name, storage, console, code)
    if wait:
        raise typer.Exit(wait_for(jobs, job, console))


def list_jobs(address: Address = "", as_json: AsJson = False) -> None:
    """List the runs that were submitted to a cluster."""
    with console.status(ASKING):
        from orchestrator.jobs.client import Jobs
        from orchestrator.jobs.listing import print_jobs

        found = Jobs(address).all()
    if as_json:
        print(json.dumps([job.as_json() for job in found], indent=2))
    else:
        print_jobs(found, console)


def stop(name: RunName, address: Address = "") -> None:
    """Have a submitted run save its state and end; submitting it again goes on."""
    with console.status(ASKING):
        from orchestrator.jobs.client import Jobs

        jobs = Jobs(address)
        job = jobs.last(name)
    if job.is_live:
        jobs.stop(job)
        said = "was asked to save its state and end"
    else:
        said = f"has ended before, with exit status {job.exit_status}"
    console.print(f"attempt {job.attempt.number} of {name} {said}", highlight=False, soft_wrap=True, markup=False)
