"""The jobs of one Ray cluster, of which those of knowlip are seen here as attempts of runs."""

import json
import logging
import os
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

import requests
import stamina
from ray.dashboard.modules import dashboard_sdk
from ray.exceptions import AuthenticationError
from ray.job_submission import JobStatus, JobSubmissionClient

from corpus.storage.errors import InputError, Interrupted, UserError
from corpus.storage.redaction import without_user
from orchestrator.jobs.job import CONFIG, HOST, RUN_DIR, USER, Job, job_of
from orchestrator.jobs.package import as_text, differences, from_text, run_command, run_dir_of, status_command
from orchestrator.policies.attempts import Attempt, last_attempt
from orchestrator.run.origin import ENVIRONMENT, Origin

_STATUS_PATIENCE_S = 180.0
_MONITOR_S = 3.0
"""Ray's monitor looks at a job once a second until it finds its supervisor gone, and writes the entry of a job that was
deleted before anew (`_monitor_job_internal` in job_manager.py of Ray 2.60)."""
_STOP_PATIENCE_S = 10.0
_NAMED = 5
_log = logging.getLogger(__name__)


class JobsUnreachable(UserError):
    """The cluster's job server does not answer, or refuses; the message says what to check."""


class OtherRun(InputError):
    """The cluster has another run of that name; the message says what differs."""


class UnknownJob(InputError):
    """The cluster has no run of that name; the message names those that it has."""


class Jobs:
    """The job server of a cluster.

    Args:
        address: as Ray takes it, for instance http://localhost:8265. Ray takes a token from RAY_AUTH_TOKEN where
            RAY_AUTH_MODE is token.

    Raises:
        JobsUnreachable: it does not answer, or does not let us in.
    """

    def __init__(self, address: str) -> None:
        for logger in ("ray", dashboard_sdk.__name__):  # the second has a level of its own
            logging.getLogger(logger).setLevel(logging.WARNING)  # it tells at INFO what it uploads
        os.environ["RAY_API_SERVER_ADDRESS"] = address  # Ray would take RAY_ADDRESS instead of what it is given
        self._address = without_user(address)
        with self._answering():
            self._client = JobSubmissionClient(address)

    def all(self) -> list[Job]:
        """Return the attempts of all runs, those of one run in their order."""
        with self._answering():
            jobs = self._client.list_jobs()
        found = [job for each in jobs if (job := job_of(each)) is not None]
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

    def follow_command(self, job: Job) -> str:
        """Return what follows a run from here."""
        return f"knowlip logs {job.attempt.name} --address {self._address} --follow"

    def submit(
        self,
        name: str,
        storage: PurePosixPath,
        folder: Path,
        config: dict[str, Any],
        origin: Callable[[Attempt], Origin],
    ) -> tuple[Job, Job | None]:
        """Submit a run, or find it where it is at work or done.

        Args:
            name: of the run.
            storage: root of the storage that the cluster's nodes see.
            folder: what `package.pack` wrote.
            config: what `package.on_cluster` returns for no root: what lies below one is told by that.
            origin: says where an attempt comes from.

        Returns:
            (the job, the last attempt before this call): both are the same where nothing was submitted.

        Raises:
            OtherRun: the last attempt had another configuration, or another storage.
        """
        run_dir = run_dir_of(name, storage)
        last = max((job for job in self.all() if job.attempt.name == name), key=lambda job: job.attempt, default=None)
        if last is not None:
            self._refuse_another(last, run_dir, config)
            if last.is_live or last.exit_status == 0:
                return last, last
        attempt = Attempt(name, 1 if last is None else last.attempt.number + 1)
        said = origin(attempt)
        with self._answering():
            try:
                self._submit(
                    entrypoint=run_command(run_dir),
                    submission_id=attempt.submission_id,
                    runtime_env={
                        "working_dir": str(folder),
                        "env_vars": {ENVIRONMENT: said.model_dump_json()},
                    },
                    metadata={
                        RUN_DIR: str(run_dir),
                        USER: said.user,
                        HOST: said.host,
                        CONFIG: as_text(config),
                    },
                )
            except RuntimeError:
                if attempt not in {job.attempt for job in self.all()}:
                    raise
                now = self.last(name)  # somebody has submitted the same at the same time
                self._refuse_another(now, run_dir, config)
                return now, now
        return self.last(name), last

    def _refuse_another(self, last: Job, run_dir: PurePosixPath, config: dict[str, Any]) -> None:
        """Refuse what a submission would ignore: the run goes on as it was begun."""
        if last.exit_status == InputError.exit_status:  # it has to be given anew with what is mended
            return
        differing = [] if last.run_dir == run_dir else [f"the run directory, {last.run_dir} there and {run_dir} here"]
        differing += [
            f"{key}, {there} there and {here} here" for key, there, here in differences(from_text(last.config), config)
        ]
        if not differing:
            return
        more = f"; and {len(differing) - _NAMED} more" if len(differing) > _NAMED else ""
        raise OtherRun(
            f"The cluster at {self._address} has a run '{last.attempt.name}', submitted by {last.by}, which differs in "
            f"{without_user('; '.join(differing[:_NAMED]))}{more}. A run keeps what it was begun with: give this one a "
            "name of its own (--name), or submit it as it was."
        )

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

    def stop(self, job: Job) -> None:
        """Ask the run to save its state and end. It does so in its own time."""
        with self._answering():
            self._client.stop_job(job.attempt.submission_id)

    def run_status(self, job: Job) -> dict[str, Any] | None:
        """Return what `knowlip status --json` says on the cluster; None where the run has no directory yet.

        Raises:
            JobsUnreachable: it did not end in time.
        """
        said = None
        with closing(self.look(job)) as looks, self._answering():
            for found in looks:
                said = found or said
                time.sleep(0.5)
        return said

    def look(self, job: Job) -> Generator[dict[str, Any] | None]:
        """Have `knowlip status --json` look at a run on the cluster, step by step.

        A small job of its own looks there, which takes some seconds. It is forgotten in the end or on closing.

        Yields:
            What it says, once, if the run has a directory; before and after that None.

        Raises:
            JobsUnreachable: it did not end in time.
        """
        environment = {key: value for key, value in job.runtime_env.items() if key in ("working_dir", "env_vars")}
        with self._answering():
            job_id = self._submit(entrypoint=status_command(job.run_dir), runtime_env=environment)
        deadline = time.monotonic() + _STATUS_PATIENCE_S
        try:
            while not (status := self._state(job_id)).is_terminal():
                if time.monotonic() > deadline:
                    raise JobsUnreachable(
                        f"The cluster at {self._address} did not look into {job.run_dir} within "
                        f"{_STATUS_PATIENCE_S:.0f} s: see that its head node is well, then ask again."
                    )
                yield None
            with self._answering():
                said = self._client.get_job_logs(job_id)
            if status == JobStatus.SUCCEEDED and "{" in said:
                yield json.loads(said[said.index("{") : said.rindex("}") + 1])
            forgotten = time.monotonic() + _MONITOR_S
            while time.monotonic() < forgotten:
                yield None
        finally:
            self._forget(job_id)

    def _state(self, job_id: str) -> JobStatus:
        with self._answering():
            return self._client.get_job_status(job_id)

    def _forget(self, job_id: str) -> None:
        """Delete a job from Ray's list, and end it where it works."""
        deadline = time.monotonic() + _STOP_PATIENCE_S
        try:
            if not self._state(job_id).is_terminal():
                with self._answering():
                    self._client.stop_job(job_id)
                while not self._state(job_id).is_terminal() and time.monotonic() < deadline:
                    time.sleep(0.2)
                time.sleep(_MONITOR_S)
            with self._answering():
                self._client.delete_job(job_id)
        except JobsUnreachable as error:  # what it was asked for is known, or another error says why it is not
            _log.info("%s stays in Ray's list of jobs: %s", job_id, error)

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
