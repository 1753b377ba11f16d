"""What is tried again follows the exit statuses: the RayJob's scripts, with programs in place of knowlip and Ray."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from corpus.storage.errors import InputError, Interrupted, UserError
from support.kustomize import FOLDER, container, needs_kustomize, of_kind, overlay, ray_cluster

SCRIPTS = FOLDER / "components" / "run"
OTHER, PERMANENT, INTERRUPTED = UserError.exit_status, InputError.exit_status, Interrupted.exit_status
KILLED = 137


class Head:
    """A head's container: its storage, and programs that note how they were called."""

    def __init__(self, folder: Path) -> None:
        self.storage, self.calls, programs = folder / "storage", folder / "calls", folder / "programs"
        self.storage.mkdir()
        programs.mkdir()
        self.program(programs / "knowlip", 'exec sh -c "$KNOWLIP_DOES"')
        self.program(programs / "ray", "exit 0")
        self.program(programs / "sleep", "exit 0")
        self.environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "KNOWLIP_STORAGE": str(self.storage),
            "KNOWLIP_RUN": "cities",
            "KNOWLIP_HEAD": str(folder),
            "RAY_JOB_CONFIG_JSON_ENV_VAR": json.dumps({"metadata": {"job_submission_id": "knowlip-cities-x7"}}),
        }

    def program(self, path: Path, does: str) -> None:
        path.write_text(f'#!/bin/sh\necho "{path.name} $*" >>{self.calls}\n{does}\n')
        path.chmod(0o755)

    def run(self, status: int) -> tuple[int, list[str]]:
        """One attempt of which knowlip ends with a status; returns run.sh's own, and what was called."""
        self.calls.unlink(missing_ok=True)
        done = subprocess.run(
            ["sh", str(SCRIPTS / "run.sh")],
            env=self.environment | {"KNOWLIP_DOES": f"exit {status}"},
            capture_output=True,
            timeout=20,
        )
        return done.returncode, self.calls.read_text().splitlines()


@pytest.fixture
def head(tmp_path):
    return Head(tmp_path)


STOP = "ray job stop --address http://127.0.0.1:8265 --no-wait knowlip-cities-x7"


def test_a_first_attempt_begins_the_run_and_a_later_one_goes_on(head):
    begins = 'knowlip run /etc/knowlip/run.yaml --run-dir runs/cities --set cluster.address=auto --set name="cities"'
    assert head.run(INTERRUPTED) == (INTERRUPTED, [begins])
    (head.storage / "runs" / "cities").mkdir()
    (head.storage / "runs" / "cities" / "config.yaml").touch()
    assert head.run(0) == (0, ["knowlip resume runs/cities"])


def test_a_permanent_error_stops_the_job_which_kuberay_does_not_repeat(head):
    status, calls = head.run(PERMANENT)
    assert (status, calls[1]) == (PERMANENT, STOP)


def test_an_interruption_is_tried_again_however_often(head):
    assert all(len(head.run(INTERRUPTED)[1]) == 1 for _ in range(5))


@pytest.mark.parametrize("status", [OTHER, KILLED])
def test_other_errors_are_tried_again_three_times_in_a_row(head, status):
    assert [STOP in head.run(status)[1] for _ in range(4)] == [False, False, True, False]


def test_a_run_that_gets_on_has_its_tries_again(head):
    assert [STOP in head.run(each)[1] for each in (1, 1, INTERRUPTED, 1, 1, 0, 1, 1)] == [False] * 8


def test_the_shell_waits_for_the_run_that_is_told_to_end(head):
    """Ray signals the shell and all that it started."""
    saves = "trap 'sleep 0; echo saved >saved; exit 3' TERM; echo >ready; while :; do :; done"
    attempt = subprocess.Popen(
        ["sh", str(SCRIPTS / "run.sh")], env=head.environment | {"KNOWLIP_DOES": saves}, start_new_session=True
    )
    wait_for(head.storage / "ready")
    os.killpg(attempt.pid, signal.SIGTERM)
    assert attempt.wait(20) == INTERRUPTED
    assert (head.storage / "saved").exists()


def test_a_head_that_ends_waits_for_its_own_jobs_and_then_ends_ray(head):
    saves = f"trap 'echo saved >>{head.calls}; exit 3' TERM; echo >$PLACE/ready; while :; do /bin/sleep 0.05; done"
    places = [head.storage / "own", head.storage / "foreign"]
    jobs = []
    for place, pod in zip(places, (head.environment["KNOWLIP_HEAD"], "another pod"), strict=True):
        place.mkdir()
        mine = head.environment | {"KNOWLIP_HEAD": pod, "PLACE": str(place)}
        jobs.append(subprocess.Popen(["sh", "-c", saves], env=mine))
        wait_for(place / "ready")
    own, foreign = jobs
    try:
        here = {key: value for key, value in head.environment.items() if key != "RAY_JOB_CONFIG_JSON_ENV_VAR"}
        ending = subprocess.Popen(["sh", str(SCRIPTS / "stop.sh")], env=here)
        assert own.wait(20) == INTERRUPTED
        assert ending.wait(20) == 0
        called = [line for line in head.calls.read_text().splitlines() if not line.startswith("sleep")]
        assert called == ["saved", "ray stop"]
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


@needs_kustomize
def test_pods_call_these_scripts():
    job = of_kind(overlay("cpu"), "RayJob")[0]["spec"]
    head = ray_cluster(overlay("cpu"))["headGroupSpec"]["template"]
    [scripts] = [each for each in of_kind(overlay("cpu"), "ConfigMap") if "run.sh" in each["data"]]
    assert scripts["data"] == {each: (SCRIPTS / each).read_text() for each in ("run.sh", "stop.sh")}
    assert job["entrypoint"] == "exec /bin/sh /etc/knowlip/run.sh"  # no shell around it that a signal ends first
    assert job["backoffLimit"] >= 3
    assert container(head)["lifecycle"]["preStop"]["exec"]["command"] == ["/bin/sh", "/etc/knowlip/stop.sh"]


@needs_kustomize
def test_the_job_of_a_standing_cluster_goes_by_the_statuses_too():
    [job] = of_kind(overlay("cluster"), "Job")
    actions = {
        tuple(rule["onExitCodes"]["values"]): rule["action"]
        for rule in job["spec"]["podFailurePolicy"]["rules"]
        if "onExitCodes" in rule
    }
    assert actions == {(PERMANENT,): "FailJob", (INTERRUPTED,): "Ignore"}
    assert job["spec"]["backoffLimit"] == 3
    names = {container(job["spec"]["template"])["name"]}
    assert names == {rule["onExitCodes"]["containerName"] for rule in job["spec"]["podFailurePolicy"]["rules"][:2]}


def wait_for(path: Path) -> None:
    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until
        time.sleep(0.01)
