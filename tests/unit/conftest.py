"""What holds for every unit test."""

import sys

import pytest

from support.mlflow_tables import copy_tables_in


@pytest.fixture(autouse=True)
def _starts_nothing():
    """A unit test leaves no cluster behind, which the next one would find, and does not wait for vLLM's import."""
    had_vllm = "vllm" in sys.modules  # an integration test ran before in this process
    yield
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized(), "a test that starts Ray belongs into tests/integration"
    assert had_vllm or "vllm" not in sys.modules, "a test that starts or imports vLLM belongs into tests/integration"


@pytest.fixture(autouse=True)
def _mlflow_stores_are_copies_of_an_empty_one(_starts_nothing, monkeypatch, tmp_path_factory):
    # After _starts_nothing, which looks at the modules once monkeypatch has taken stand-ins away.
    copy_tables_in(monkeypatch, tmp_path_factory)
