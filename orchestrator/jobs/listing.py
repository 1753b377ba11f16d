"""What is on a cluster, for people and as JSON."""

from datetime import UTC, datetime
from typing import Any

from rich.console import Console

from orchestrator.jobs.client import Jobs
from orchestrator.jobs.job import Job
from orchestrator.report.status import print_found
from orchestrator.report.tables import titled_table


def print_jobs(jobs: list[Job], console: Console) -> None:
    """Print the attempts of all runs as a table."""
    if not jobs:
        console.print("No run was submitted to this cluster.")
        return
    table = titled_table("Runs", "run", "attempt", "job", "exit status", "started (UTC)", "by")
    table.add_column("run directory", overflow="fold")
    for job in jobs:
        started = "" if job.started is None else f"{datetime.fromtimestamp(job.started, UTC):%Y-%m-%d %H:%M:%S}"
        exit_status = "" if job.exit_status is None else str(job.exit_status)
        table.add_row(
            job.attempt.name,
            str(job.attempt.number),
            job.status.lower(),
            exit_status,
            started,
            job.by,
            str(job.run_dir),
        )
    console.print(table)


def remote_status(jobs: Jobs, name: str) -> dict[str, Any]:
    """Return what is known of a run on a cluster: `job`, see `Job.as_json`, and `run`, see `status_as_json`."""
    job = jobs.last(name)
    return {"job": job.as_json(), "run": jobs.run_status(job)}


def print_remote_status(found: dict[str, Any], console: Console) -> None:
    """Print the same for a person."""
    job = found["job"]
    ended = "" if job["exit_status"] is None else f", exit status {job['exit_status']}"
    console.print(
        f"{'job':<14} {job['job_id']} (attempt {job['attempt']}): {job['status'].lower()}{ended}",
        highlight=False,
        soft_wrap=True,
        markup=False,
    )
    if job["reason"]:
        console.print(f"{'reason':<14} {job['reason']}", highlight=False, soft_wrap=True, markup=False)
    if found["run"] is None:
        console.print(f"{'run directory':<14} {job['run_dir']} is not there yet", highlight=False, soft_wrap=True)
    else:
        print_found(found["run"], console)
