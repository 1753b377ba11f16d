"""The tools beside the product: the proof of a refactoring, and the picture of the imports."""

import importlib.util
import io
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from support.paths import ROOT


def tool(name: str) -> ModuleType:
    """A program of tools/ as a module."""
    spec = importlib.util.spec_from_file_location(f"tool_{name}", ROOT / "tools" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_picture_is_written_small_enough_for_the_documentation_whatever_it_shows(tmp_path):
    pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    noise = np.random.default_rng(0).integers(0, 256, (420, 540, 3), dtype=np.uint8)
    for name, pixels in {"noise": noise, "plain": np.full((420, 540, 3), 7, np.uint8)}.items():
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        said = tool("screenshots").save(buffer.getvalue(), tmp_path / f"{name}.webp")
        assert (tmp_path / f"{name}.webp").stat().st_size <= 150_000
        assert said.startswith(str(tmp_path / f"{name}.webp"))
    assert Image.open(tmp_path / "plain.webp").size == (540, 420)


def test_equal_records_differ_in_nothing():
    record = [{"weights_sha256": "a", "counts": {"flagged": 1}, "metrics": {"share": 0.5}}]
    assert tool("same").differences(record, record, "smoke") == []


def test_another_hash_a_lost_key_and_a_lost_round_are_named_with_their_place():
    differences = tool("same").differences
    assert differences([{"weights_sha256": "a"}], [{"weights_sha256": "b"}], "smoke") == [
        "smoke[0].weights_sha256: a instead of b"
    ]
    assert differences([{}], [{"seed": 0}], "smoke") == ["smoke[0].seed: absent instead of 0"]
    assert len(differences([], [{}], "smoke")) == 1


def test_metrics_may_differ_in_their_last_digits_and_nothing_else_may():
    differences = tool("same").differences
    assert differences([{"metrics": {"share": 0.5000001}}], [{"metrics": {"share": 0.5}}], "smoke") == []
    assert len(differences([{"metrics": {"share": 0.501}}], [{"metrics": {"share": 0.5}}], "smoke")) == 1
    assert len(differences([{"accuracy": 0.5000001}], [{"accuracy": 0.5}], "smoke")) == 1


def test_the_picture_in_docs_shows_the_imports_of_today():
    architecture = tool("architecture")
    assert (ROOT / "docs" / "architecture.svg").read_text() == architecture.picture(), (
        "run python tools/architecture.py"
    )
