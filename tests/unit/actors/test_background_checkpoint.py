"""Checkpoints in the background: when they are due, what becomes of errors, and keys that are refused."""

import threading

import pytest
import torch
from pydantic import ValidationError

from actors.trainer.background import BackgroundWrite, Interval, Snapshots
from actors.trainer.config import TrainConfig


def test_a_checkpoint_is_due_so_many_seconds_after_the_last_one_was_begun():
    now = [100.0]
    interval = Interval(30, clock=lambda: now[0])
    assert not interval.is_over()
    now[0] = 130.0
    assert interval.is_over()
    interval.restart()
    assert not interval.is_over()
    assert Interval(0, clock=lambda: now[0]).is_over()


def test_a_snapshot_holds_the_state_of_its_step(tmp_path):
    weight = torch.zeros(3)
    snapshots = Snapshots()
    snapshots.save({"weight": weight, "parts": [weight], "step": 7}, str(tmp_path / "state.pt"))
    weight += 1
    write = BackgroundWrite(snapshots.taken)
    write.wait()
    assert write.done()
    found = torch.load(tmp_path / "state.pt", weights_only=True)
    assert found["step"] == 7
    assert torch.equal(found["weight"], torch.zeros(3))
    assert torch.equal(found["parts"][0], torch.zeros(3))


def test_nobody_waits_for_a_write_under_way(tmp_path, monkeypatch):
    may_write, save = threading.Event(), BackgroundWrite._save_file

    def held_back(content, path) -> None:
        may_write.wait()
        save(content, path)

    monkeypatch.setattr(BackgroundWrite, "_save_file", staticmethod(held_back))
    write = BackgroundWrite([(tmp_path / "a", 1), (tmp_path / "b", 2)])
    assert not write.done()
    may_write.set()
    write.wait()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_the_write_ended_with_is_raised_in_the_training(tmp_path):
    write = BackgroundWrite([(tmp_path / "no folder" / "state.pt", 1)])
    with pytest.raises(Exception, match="no folder"):
        write.wait()
    with pytest.raises(Exception, match="no folder"):
        write.done()


def test_stage_3_is_refused_with_the_key_and_what_to_do():
    assert TrainConfig().deepspeed(2)["zero_optimization"] == {"stage": 1}
    assert TrainConfig(zero_stage=2).deepspeed(2)["zero_optimization"]["stage"] == 2
    with pytest.raises(ValidationError, match=r"zero_stage\n.*stage 3 spreads the weights.*Set train.zero_stage to 2"):
        TrainConfig.model_validate({"zero_stage": 3})


def test_the_defaults_are_those_that_change_no_bit():
    train = TrainConfig()
    assert (train.precision, train.zero_stage, train.activation_checkpointing, train.compile) == (
        "fp32",
        1,
        False,
        False,
    )
