"""Runs of a cluster are followed, asked for their state and submitted again; the cluster's job server is a stand-in."""

import io
import json
import logging
import subprocess
import sys

import pytest
import ray.dashboard.modules.dashboard_sdk
from rich.console import Console
from typer.testing import CliRunner

from corpus.storage.errors import Interrupted
from orchestrator.cli import app
from orchestrator.config.load import load_config
from orchestrator.jobs import client, follow
from orchestrator.jobs.address import UnusableAddress
from orchestrator.jobs.address import job_server as address_of
from orchestrator.jobs.client import Jobs, JobsUnreachable, OtherRun
from orchestrator.jobs.follow import wait
from orchestrator.jobs.listing import print_remote_status, remote_status
from orchestrator.jobs.ray_words import of_the_run, reason
from orchestrator.jobs.submit import submit
from support.job_server import job_server
from support.paths import ROOT

SMOKE = ROOT / "configs" / "smoke.yaml"
RAYS = (
    "2026-12-01 18:11:47,304\tINFO job_manager.py:602 -- Runtime env is setting up.\n"
    "Running entrypoint for job knowlip-small: if [ -e x ]; then exec y; fi\n"
)
FAILED = "Job entrypoint command failed with exit code 2, last available logs (truncated to 20,000 chars):\n"


@pytest.fixture
def server(monkeypatch):
    """A job server that is asked often."""
    for module, name, value in (
        (client, "_MONITOR_S", 0.5),
        (follow, "_ASKED_EVERY_S", 0.01),
        (follow, "_LOOKED_EVERY_S", 0.02),
        (follow, "_LONGEST_PAUSE_S", 0.05),
    ):
        monkeypatch.setattr(module, name, value)
    monkeypatch.setenv("RAY_API_SERVER_ADDRESS", "http://127.0.0.1:1")  # put back afterwards
    with job_server() as server:
        yield server


def waited(server, capsys, **options) -> tuple[int, str, str]:
    """(exit status, standard output, standard error) of waiting for the run `small`."""
    jobs = Jobs(server.address)
    status = wait(jobs, jobs.last("small"), Console(width=200, **options))
    said = capsys.readouterr()
    return status, said.out, said.err


def then(server, *changes) -> None:
    """Make one change at each of the next looks at the list of jobs."""
    rest = iter(changes)
    asked = server.answer

    def answer(method, path, body):
        if path == ["api", "jobs"] and method == "GET":
            next(rest, lambda: None)()
        return asked(method, path, body)

    server.answer = answer


def test_an_attempt_that_was_begun_meanwhile_is_followed_to_its_end_and_its_status_counts(server, capsys):
    server.add("knowlip-small", "RUNNING", RAYS + "one\n")

    def another() -> None:
        server.add("knowlip-small", "STOPPED", RAYS + "one\nstopped")
        server.add("knowlip-small.2", "RUNNING", RAYS + "two\n")

    def failed() -> None:
        server.add("knowlip-small.2", "FAILED", RAYS + "two\nError: bad\n", 2, message=FAILED + "two\nError: bad\n")

    then(server, lambda: None, lambda: None, another, lambda: None, failed)
    status, out, _ = waited(server, capsys)
    assert status == 2
    assert out == "one\nstoppedAttempt 2 of small was begun, and is followed from here on.\ntwo\nError: bad\n"


def test_a_connection_that_is_lost_for_a_while_is_asked_for_again(server, capsys):
    server.add("knowlip-small", "RUNNING", "one\n")

    def lost() -> None:
        server.away = 5
        server.add("knowlip-small", "SUCCEEDED", "one\ntwo\n", 0)

    then(server, lambda: None, lambda: None, lost)
    assert waited(server, capsys)[:2] == (0, "one\ntwo\n")
    assert server.away == 0


def test_who_follows_in_vain_is_told_that_the_run_goes_on_and_how_to_follow_it(server, monkeypatch):
    monkeypatch.setattr(follow, "_PATIENCE_S", 0.2)
    server.add("knowlip-small", "RUNNING")
    jobs = Jobs(server.address)
    job = jobs.last("small")
    server.away = 10_000
    with pytest.raises(
        JobsUnreachable, match=rf"goes on on the cluster.*logs small --address {server.address} --follow"
    ):
        wait(jobs, job, Console(file=io.StringIO()))


def test_who_ends_the_waiting_is_told_that_the_run_goes_on(server, monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    server.add("knowlip-small", "RUNNING")
    monkeypatch.setattr(follow.time, "sleep", interrupt)
    with pytest.raises(Interrupted):
        waited(server, capsys)
    assert "the run goes on" in capsys.readouterr().out


def test_a_line_says_what_the_run_does_between_the_whole_lines_of_its_log(server, capsys):
    found = {"state": "running", "phase": "train", "round": 2, "rounds": 5, "progress": 0.375, "phase_left_s": 240}
    server.said = f"a warning\n{json.dumps(found | {'left_s': 3600, 'waiting_for': None})}\n"
    server.add("knowlip-small", "RUNNING", "one\nhal")
    said = io.StringIO()

    def ended() -> None:
        if "raysubmit_1" in server.ended and server.jobs.get("raysubmit_1") is None:
            server.add("knowlip-small", "SUCCEEDED", "one\nhalf\n", 0)

    then(server, *[ended] * 10_000)
    assert waited(server, capsys, file=said, force_terminal=True)[0] == 0
    assert "round 2 of 5, train (38% done); about 4 minutes of train, 60 minutes of the run" in said.getvalue()
    assert "one\n\x1b" in said.getvalue()
    assert "half\n\x1b" in said.getvalue()
    assert "hal\n" not in said.getvalue()


def test_nothing_of_a_look_at_a_run_is_left_among_the_jobs(server):
    server.add("knowlip-small", "RUNNING")
    server.said = 'a warning\n{"state": "new"}\n'
    jobs = Jobs(server.address)
    assert jobs.run_status(jobs.last("small")) == {"state": "new"}
    assert list(server.jobs) == ["knowlip-small"]


def test_ray_says_nothing_of_its_own(server, caplog):
    assert of_the_run(RAYS + "one\n") == "one\n"
    assert of_the_run(RAYS + RAYS[:40]) == RAYS[:40]
    assert of_the_run("one\nRunning entrypoint for job x\n") == "one\nRunning entrypoint for job x\n"
    Jobs(server.address)
    assert not ray.dashboard.modules.dashboard_sdk.logger.isEnabledFor(logging.INFO)


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (FAILED + "round 1\nError: no room\n  left\n", "Error: no room\n  left"),
        (FAILED + "Traceback\nValueError: x\n", "ValueError: x"),
        ("Unexpected error occurred: the node died\nmore", "Unexpected error occurred: the node died"),
        ("", ""),
    ],
)
def test_why_a_run_failed_is_read_from_the_message_of_its_job(message, said):
    assert reason(message) == said


@pytest.mark.parametrize("quiet", [False, True])
def test_a_run_that_failed_is_told_once_with_its_error(server, capsys, quiet):
    server.add("knowlip-small", "FAILED", "one\nError: bad\n", 2, message=FAILED + "one\nError: bad\n")
    expected = ("", "Error: bad\n") if quiet else ("one\nError: bad\n", "")
    assert waited(server, capsys, quiet=quiet) == (2, *expected)


def test_the_status_of_a_run_that_failed_says_why(server):
    server.add("knowlip-small", "FAILED", "", 2, message=FAILED + "one\nError: [bad]\n")
    said = io.StringIO()
    print_remote_status(remote_status(Jobs(server.address), "small"), Console(file=said, width=200))
    assert "reason         Error: [bad]\n" in said.getvalue()


@pytest.mark.parametrize(
    "address", ["127.0.0.1:8265", "nonsense", "ray://host:10001", "http://", "http://h:x", "auto", ""]
)
def test_what_is_no_address_of_a_job_server_is_refused_before_ray_sees_it(address):
    with pytest.raises(UnusableAddress, match=r"http://localhost:8265"):
        address_of(address)


def given(server, *settings, storage="/runs") -> str:
    """What is said of submitting the run `small`."""
    said = io.StringIO()
    submit(load_config(SMOKE, list(settings)), server.address, "small", storage, Console(file=said, width=500))
    return said.getvalue()


def test_a_run_is_submitted_again_only_as_it_was(server):
    assert "submitted attempt 1 of small" in given(server, "rounds=3")
    assert "nothing was submitted\n" in given(server, "rounds=3")
    with pytest.raises(OtherRun, match=r"which differs in rounds, 3 there and 4 here\. .*--name"):
        given(server, "rounds=4")
    with pytest.raises(
        OtherRun, match=r"differs in the run directory, /runs/runs/small there and /b/runs/small here\. "
    ):
        given(server, "rounds=3", storage="/b")


def test_a_configuration_that_could_not_be_used_may_be_mended(server):
    given(server, "rounds=3")
    server.jobs["knowlip-small"] |= {"status": "FAILED", "driver_exit_code": 2}
    assert "submitted attempt 2 of small" in given(server, "rounds=4")


def test_whose_run_it_is_is_said_where_another_user_has_submitted_it(server):
    server.add("knowlip-small", "RUNNING")
    assert "nothing was submitted (attempt 1 was submitted by ada@desk)" in given(server)


@pytest.mark.parametrize("command", [["list"], ["status", "small"], ["stop", "small"], ["logs", "small", "--follow"]])
def test_a_command_with_no_usable_address_ends_at_once_and_loads_no_ray(command):
    asked = f"import sys; from orchestrator.cli import main; sys.argv[1:] = {[*command, '--address', 'nonsense']}\n"
    asked += "try: main()\nfinally: print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "False\n")
    assert "'nonsense' is no address" in done.stderr


def test_a_command_that_needs_a_cluster_says_so_in_words(monkeypatch):
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    error = CliRunner().invoke(app, ["list"]).exception
    assert isinstance(error, UnusableAddress)
    assert str(error).startswith("No cluster is named: write --address http://HOST:PORT")
