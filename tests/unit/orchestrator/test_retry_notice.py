"""Whoever waits is told for what."""

import io

import pytest
import stamina
from rich.console import Console
from stamina.instrumentation import set_on_retry_hooks

from orchestrator.cli import _retries_nothing
from orchestrator.cluster.retry_notice import announce_retries


@pytest.fixture
def said():
    """What is printed of retries."""
    words = io.StringIO()
    announce_retries(Console(file=words, width=40))
    yield words
    set_on_retry_hooks(None)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionError("https://me:hunter2@host/x does not\nanswer"), "https://host/x does not answer"),
        (ConnectionError(), "ConnectionError"),
    ],
)
def test_a_retry_is_told_with_its_cause_and_no_password(said, error, cause):
    answers = [error, "answer"]

    @stamina.retry(on=ConnectionError, attempts=2, wait_initial=0, wait_max=0, wait_jitter=0)
    def ask() -> str:
        if isinstance(answer := answers.pop(0), Exception):
            raise answer
        return answer

    assert ask() == "answer"
    assert said.getvalue() == f"Trying again in 0 s: {cause}\n"


@pytest.mark.parametrize(
    ("arguments", "nothing"),
    [
        (["status", "runs/latest"], True),
        (["--version"], True),
        (["status", "s3://bucket/a"], False),
        (["status", "small", "--address=http://h:8265"], False),
        (["run", "a.yaml"], False),
    ],
)
def test_only_what_asks_no_other_machine_goes_without_the_library_that_tries_again(arguments, nothing):
    assert _retries_nothing(arguments) is nothing
