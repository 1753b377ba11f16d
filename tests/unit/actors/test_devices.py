"""Which device a worker computes on."""

import pytest
import torch

from actors.data.devices import device_of
from actors.scorer.scorer import ScoreActor
from actors.weights import create_weights
from support import training_job
from support.hcot import HCOT


@pytest.mark.parametrize(("gpus", "available", "device"), [(0, True, "cpu"), (0.5, False, "cpu"), (0.5, True, "cuda")])
def test_a_worker_computes_on_the_gpu_that_it_reserved(monkeypatch, gpus, available, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert device_of(gpus) == device


def test_the_scoring_actor_moves_its_encoder(tmp_path, monkeypatch):
    create_weights(HCOT, tmp_path / "weights", training_job.toy_model(), seed=0)
    monkeypatch.setattr("actors.scorer.scorer.device_of", lambda gpus: "meta" if gpus else "cpu")
    on = {}
    for gpus in (0, 1):
        actor = ScoreActor(gpus)
        actor._load(str(tmp_path / "weights"))
        on[gpus] = actor._scorer.encoder.device.type
    assert on == {0: "cpu", 1: "meta"}
