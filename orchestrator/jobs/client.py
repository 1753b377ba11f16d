"""The jobs of one Ray cluster, of which those of knowlip are seen here as attempts of runs."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

import requests
import stamina
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient

from corpus.storage.errors import InputError, Interrupted, UserError
from corpus.storage.redaction import without_user
from orchestrator.jobs.package import run_command, run_dir_of, status_command
from orchestrator.policies.attempts import Attempt, attempt_of, last_attempt
from orchestrator.run.origin import ENVIRONMENT, Origin

_ASKED_EVERY_S = 2.0
_STATUS_PATIENCE_S = 180.0
_RUN_DIR, _USER, _HOST = "knowlip_run_dir", "knowlip_user", "knowlip_host"


class JobsUnreachable(UserError):
    """The cluster's job server does not answer, or refuses; the message says what to check."""


class UnknownJob(InputError):
    """The cluster has no run of that name; the message names those that it has."""


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
        }


class Jobs:
    """The job server of a cluster.

    Args:
        address: as Ray takes it, for instance http://localhost:8265. Ray takes a token from RAY_AUTH_TOKEN where
            RAY_AUTH_MODE is token.

    Raises:
        JobsUnreachable: it does not answer, or does not let us in.
    """

    def __init__(self, address: str) -> None:
        logging.getLogger("ray").setLevel(logging.WARNING)  # it tells at INFO what it uploads
        self._address = without_user(address)
        with self._answering():
            self._client = JobSubmissionClient(address)

    def all(self) -> list[Job]:
        """Return the attempts of all runs, those of one run in their order."""
        with self._answering():
            jobs = self._client.list_jobs()
        found = [job for each in jobs if (job := _job(each)) is not None]
        return sorted(found, key=lambda job: job.attempt)

    def last(self, name: str) -> Job:
        """Return the last attempt of a run.

        Raises:
            UnknownJob: there is none.
        """
        jobs = {job.attempt: job for job in self.all()}
        if (attempt := last_attempt(name, [each.submission_id for each in jobs])) is None:
            names = ", ".join(sorted({each.name for each in jobs})) or "none"
            raise UnknownJob(f"The cluster at {self._address} has no run '{name}'. It has: {names}.")
        return jobs[attempt]

    def submit(
        self,
        name: str,
        storage: PurePosixPath,
        folder: Path,
        origin: Callable[[Attempt], Origin],
    ) -> tuple[Job, bool]:
        """Submit a run, or find it where it is at work or done.

        Args:
            name: of the run.
            storage: root of the storage that the cluster's nodes see.
            folder: what `package.pack` wrote.
            origin: says where an attempt comes from.

        Returns:
            (the job, whether it was submitted now).
        """
        known = {job.attempt: job for job in self.all() if job.attempt.name == name}
        last = max(known, default=None)
        if last is not None and (known[last].is_live or known[last].exit_status == 0):
            return known[last], False
        attempt = Attempt(name, 1 if last is None else last.number + 1)
        said = origin(attempt)
        run_dir = run_dir_of(name, storage)
        with self._answering():
            try:
                self._submit(
                    entrypoint=run_command(run_dir),
                    submission_id=attempt.submission_id,
                    runtime_env={
                        "working_dir": str(folder),
                        "env_vars": {ENVIRONMENT: said.model_dump_json()},
                    },
                    metadata={_RUN_DIR: str(run_dir), _USER: said.user, _HOST: said.host},
                )
            except RuntimeError:
                if attempt not in {job.attempt for job in self.all()}:
                    raise
                return self.last(name), False  # somebody has submitted the same at the same time
        return self.last(name), True

    def _submit(self, **job: Any) -> str:
        """Submit a job, again and again for a while where the cluster says that it is only just starting."""
        for attempt in stamina.retry_context(_is_starting, attempts=20, wait_initial=1.0, wait_max=5.0, timeout=90.0):
            with attempt:
                return self._client.submit_job(**job)
        raise AssertionError("stamina raises the last error")

    def logs(self, job: Job) -> str:
        """Return what the driver of a job has printed."""
        with self._answering():
            return self._client.get_job_logs(job.attempt.submission_id)

    def follow(self, job: Job, write: Callable[[str], None]) -> Job:
        """Pass on what the driver prints until it has ended, and return the job then."""
        seen = 0
        while True:
            now = self.last(job.attempt.name)
            text = self.logs(now)
            if len(text) > seen:
                write(text[seen:])
                seen = len(text)
            if not now.is_live or now.attempt != job.attempt:
                return now
            time.sleep(_ASKED_EVERY_S)

    def stop(self, job: Job) -> None:
        """Ask the run to save its state and end. It does so in its own time."""
        with self._answering():
            self._client.stop_job(job.attempt.submission_id)

    def run_status(self, job: Job) -> dict[str, Any] | None:
        """Return what `knowlip status --json` says on the cluster; None where the run has no directory yet.

        A small job of its own looks there, which takes some seconds.

        Raises:
            JobsUnreachable: it did not end in time.
        """
        with self._answering():
            environment = {key: value for key, value in job.runtime_env.items() if key in ("working_dir", "env_vars")}
            job_id = self._submit(entrypoint=status_command(job.run_dir), runtime_env=environment)
            deadline = time.monotonic() + _STATUS_PATIENCE_S
            while not (status := self._client.get_job_status(job_id)).is_terminal():
                if time.monotonic() > deadline:
                    self._client.stop_job(job_id)
                    raise JobsUnreachable(
                        f"The cluster at {self._address} did not look into {job.run_dir} within "
                        f"{_STATUS_PATIENCE_S:.0f} s: see that its head node is well, then ask again."
                    )
                time.sleep(0.5)
            said = self._client.get_job_logs(job_id)
            self._client.delete_job(job_id)
        if status != JobStatus.SUCCEEDED or "{" not in said:
            return None
        return json.loads(said[said.index("{") : said.rindex("}") + 1])

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted; jobs on the cluster go on.") from error
        except (ConnectionError, RuntimeError, AuthenticationError, requests.exceptions.RequestException) as error:
            first = next(iter(str(error).splitlines()), type(error).__name__)
            raise JobsUnreachable(
                f"The job server of the cluster at {self._address} does not do what it was asked: "
                f"{without_user(first)[:300]}. Is it Ray's dashboard, such as http://HOST:8265 (kubectl port-forward)? "
                "Does it ask for a token? Then set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN."
            ) from error


def _is_starting(error: Exception) -> bool:
    return isinstance(error, RuntimeError) and "No available agent" in str(error)


def _job(details: JobDetails) -> Job | None:
    attempt = attempt_of(details.submission_id or "")
    if attempt is None:
        return None
    metadata, status = details.metadata or {}, JobStatus(details.status)
    return Job(
        attempt,
        status.value,
        _exit_status(status, details.driver_exit_code),
        PurePosixPath(metadata.get(_RUN_DIR, "")),
        metadata.get(_USER, ""),
        metadata.get(_HOST, ""),
        None if details.start_time is None else details.start_time / 1000,
        details.message or "",
        details.runtime_env or {},
    )


def _exit_status(status: JobStatus, code: int | None) -> int | None:
    """The run's exit status; Ray keeps none of a job that was stopped, or whose node is gone."""
    if not status.is_terminal():
        return None
    if status == JobStatus.STOPPED:
        return Interrupted.exit_status
    return code if code is not None and 0 <= code <= 3 else int(status != JobStatus.SUCCEEDED)
