"""The weights that a run starts from, and who needs torch to make them."""

import subprocess
import sys
from dataclasses import replace

import pytest

from actors.trainer.start_weights import StartWeights
from model.checkpoint import weights_sha256
from model.weights_check import WeightsError
from support.hcot import HCOT
from support.training_job import toy_model


def test_weights_are_made_once_from_their_seed(tmp_path):
    first, again, other = (
        StartWeights(tmp_path / name, HCOT, toy_model(), seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    for each in (first, again, other):
        each.make()
    digests = [weights_sha256(tmp_path / name) for name in "abc"]
    assert digests[0] == digests[1] != digests[2]
    (tmp_path / "a" / "note").write_text("kept")
    first.make()
    assert (tmp_path / "a" / "note").exists()


def test_weights_of_an_earlier_run_are_copied(tmp_path):
    StartWeights(tmp_path / "earlier", HCOT, toy_model(), 1).make()
    StartWeights(tmp_path / "new", HCOT, toy_model(), 2, tmp_path / "earlier").make()
    assert weights_sha256(tmp_path / "new") == weights_sha256(tmp_path / "earlier")


def test_unsafe_weights_of_an_earlier_run_are_not_copied(tmp_path):
    StartWeights(tmp_path / "earlier", HCOT, toy_model(), 1).make()
    (tmp_path / "earlier" / "pytorch_model.bin").write_bytes(b"pickled")
    with pytest.raises(WeightsError):
        StartWeights(tmp_path / "new", HCOT, toy_model(), 2, tmp_path / "earlier").make()
    assert not (tmp_path / "new").exists()


def test_only_weights_that_come_from_files_have_to_be_made_where_these_lie(tmp_path):
    untrained = StartWeights(tmp_path / "new", HCOT, toy_model(), 1)
    assert not untrained.comes_from_files
    assert replace(untrained, source=tmp_path).comes_from_files
    model = toy_model()
    vision = model.encoder.vision.model_copy(update={"pretrained": tmp_path})
    encoder = model.encoder.model_copy(update={"vision": vision})
    assert replace(untrained, model=model.model_copy(update={"encoder": encoder})).comes_from_files


def test_the_driver_starts_without_torch_and_transformers():
    said = "import sys, orchestrator.start; print(*{'torch', 'transformers', 'vllm', 'mlflow'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
