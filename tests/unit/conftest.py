"""What holds for every unit test."""

import sys

import pytest


@pytest.fixture(autouse=True)
def _starts_nothing():
    """A unit test leaves no cluster behind, which the next one would find."""
    yield
    ray = sys.modules.get("ray")
    assert ray is None or not ray.is_initialized(), "a test that starts Ray belongs into tests/integration"
    assert "vllm" not in sys.modules, "a test that starts or imports vLLM belongs into tests/integration"
