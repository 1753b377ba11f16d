"""A job of a Ray cluster as an attempt of a run."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

from ray.job_submission import JobDetails, JobStatus

from corpus.storage.errors import Interrupted
from orchestrator.jobs.ray_words import reason
from orchestrator.policies.attempts import Attempt, attempt_of

RUN_DIR, USER, HOST, CONFIG = "knowlip_run_dir", "knowlip_user", "knowlip_host", "knowlip_config"
"""Keys of a job's metadata."""


@dataclass(frozen=True)
class Job:
    """One attempt of a run on a cluster.

    Attributes:
        attempt: the run's name and the number of the attempt.
        status: PENDING, RUNNING, SUCCEEDED, FAILED or STOPPED.
        exit_status: of the run's process, see docs/durability.md; None while it works.
        run_dir: on the cluster's storage.
        user: who submitted it.
        host: from where.
        started: seconds since 1970; None before it started.
        message: what Ray says of it.
        runtime_env: of the job.
        config: of the run as it was sent, see `package.as_text`; empty where an older version has sent it.
    """

    attempt: Attempt
    status: str
    exit_status: int | None
    run_dir: PurePosixPath
    user: str
    host: str
    started: float | None
    message: str
    runtime_env: dict[str, Any]
    config: str

    @property
    def by(self) -> str:
        """Who submitted it, and from where."""
        return f"{self.user}@{self.host}"

    @property
    def reason(self) -> str:
        """Why it failed or was stopped; empty where it works, or has ended well."""
        return reason(self.message) if self.exit_status else ""

    @property
    def is_live(self) -> bool:
        """Whether it waits or works."""
        return self.exit_status is None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.attempt.name,
            "attempt": self.attempt.number,
            "job_id": self.attempt.submission_id,
            "status": self.status,
            "exit_status": self.exit_status,
            "run_dir": str(self.run_dir),
            "user": self.user,
            "host": self.host,
            "started": None if self.started is None else datetime.fromtimestamp(self.started, UTC).isoformat(),
            "message": self.message,
            "reason": self.reason,
        }


def job_of(details: JobDetails) -> Job | None:
    """Return the attempt that a job is; None of a job that is none."""
    attempt = attempt_of(details.submission_id or "")
    if attempt is None:
        return None
    metadata, status = details.metadata or {}, JobStatus(details.status)
    return Job(
        attempt,
        status.value,
        _exit_status(status, details.driver_exit_code),
        PurePosixPath(metadata.get(RUN_DIR, "")),
        metadata.get(USER, ""),
        metadata.get(HOST, ""),
        None if details.start_time is None else details.start_time / 1000,
        details.message or "",
        details.runtime_env or {},
        metadata.get(CONFIG, ""),
    )


def _exit_status(status: JobStatus, code: int | None) -> int | None:
    """The run's exit status; Ray keeps none of a job that was stopped, or whose node is gone."""
    if not status.is_terminal():
        return None
    if status == JobStatus.STOPPED:
        return Interrupted.exit_status
    return code if code is not None and 0 <= code <= 3 else int(status != JobStatus.SUCCEEDED)
