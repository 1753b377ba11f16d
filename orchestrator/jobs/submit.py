"""`knowlip submit`: sends a run to a cluster, once, and waits for it where that is asked for."""

import re
import socket
import tempfile
from pathlib import Path, PurePosixPath

from rich.console import Console

from corpus.storage.errors import InputError
from corpus.storage.redaction import without_user
from orchestrator.cluster.admission import user_name
from orchestrator.config.schema import RunConfig
from orchestrator.jobs.client import Jobs
from orchestrator.jobs.job import Job
from orchestrator.jobs.package import on_cluster, pack
from orchestrator.policies.attempts import NAME_PATTERN, Attempt
from orchestrator.run.origin import Origin
from orchestrator.tracking.facts import git_commit


class UnusableSubmission(InputError):
    """A name or a storage root that cannot be used."""


def submit(
    config: RunConfig, address: str, name: str, storage: str, console: Console, code: bool = False
) -> tuple[Jobs, Job]:
    """Submit a run, and say what became of it.

    Args:
        config: of the run.
        address: of the cluster's job server.
        name: of the run on that cluster: submitting it again goes on with the same run.
        storage: root of the storage that all nodes of the cluster see.
        console: that the user reads.
        code: whether to send knowlip's own code along.

    Raises:
        UnusableSubmission: name or storage cannot be used.
        OtherRun: the cluster has another run of that name.
        JobsUnreachable: the cluster does not answer.
    """
    if not re.fullmatch(NAME_PATTERN, name):
        raise UnusableSubmission(
            f"'{name}' is no name of a submission: use letters, digits, - and _, at most 60 of them (--name)."
        )
    root = PurePosixPath(storage)
    if not root.is_absolute():
        raise UnusableSubmission(
            f"--storage {storage}: name an absolute path that all nodes of the cluster see, for instance /runs."
        )
    jobs = Jobs(address)
    with tempfile.TemporaryDirectory(prefix="knowlip-submit-") as folder:
        pack(config, root, Path(folder), code)
        given = on_cluster(config, PurePosixPath())
        job, last = jobs.submit(name, root, Path(folder), given, lambda attempt: _origin(attempt, address, code))
    _say(job, last, jobs, console)
    return jobs, job


def _say(job: Job, last: Job | None, jobs: Jobs, console: Console) -> None:
    attempt = f"attempt {job.attempt.number} of {job.attempt.name}"
    if job is not last:
        said = f"submitted {attempt}, which writes to {job.run_dir}"
    elif job.is_live:
        said = f"{attempt} is {job.status.lower()} already; nothing was submitted"
    else:
        said = f"{attempt} has finished; nothing was submitted"
    if last is not None and (last.user, last.host) != (user_name(), socket.gethostname()):
        said += f" (attempt {last.attempt.number} was submitted by {last.by})"
    console.print(said, highlight=False, soft_wrap=True, markup=False)
    if job.is_live:
        console.print(f"follow it with: {jobs.follow_command(job)}", highlight=False, soft_wrap=True, markup=False)


def _origin(attempt: Attempt, address: str, code: bool) -> Origin:
    return Origin(
        job_id=attempt.submission_id,
        attempt=attempt.number,
        cluster=without_user(address),
        host=socket.gethostname(),
        user=user_name(),
        git_commit=git_commit() if code else None,  # else the cluster's own code runs, whose commit the run knows
    )
