"""What holds for every unit test."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _starts_nothing():
    """A unit test leaves no cluster behind, which the next one would find, and does not wait for vLLM's import."""
    had_vllm = "vllm" in sys.modules  # an integration test ran before in this process
    yield
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized(), "a test that starts Ray belongs into tests/integration"
    assert had_vllm or "vllm" not in sys.modules, "a test that starts or imports vLLM belongs into tests/integration"
