"""What the trainer channel remembers of worker groups that start and fail, without Ray, and where it runs, with Ray."""

from types import SimpleNamespace

import pytest
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.trainer import channel as module
from actors.trainer.channel import TrainCommand, TrainerChannel, start_channel
from support.row_windows import no_rows


@pytest.fixture
def channel():
    """The class behind the actor."""
    return TrainerChannel.__ray_metadata__.modified_class()


def command(round_: int = 1) -> TrainCommand:
    return TrainCommand(round_, 0, round_ == 1, no_rows(8), 1, f"weights/round-{round_:04d}")


def test_groups_that_start_while_there_is_nothing_to_train_do_not_count(channel):
    for _ in range(4):
        channel.starting()
        channel.report_error("a node went away")
    channel.send(command())
    assert channel.trouble() == (0, "")
    channel.starting()
    assert channel.trouble()[0] == 1


def test_groups_that_fail_before_the_first_command_count_and_are_not_ready(channel):
    """The loop waits for the first group before it sends a command."""
    for _ in range(4):
        channel.starting()
        channel.report_error("no such weights")
    assert channel.trouble() == (4, "no such weights")
    assert channel.progress() == {}
    channel.started(2)
    assert channel.progress() == {"world_size": 2}


def test_a_trained_step_ends_the_count(channel):
    channel.send(command())
    channel.starting()
    channel.report_progress({"step": 1, "total_step": 1, "losses": {}})
    assert channel.trouble()[0] == 0


def test_losses_are_told_step_by_step_and_the_first_of_a_step_stand_until_the_next_command(channel):
    channel.send(command())
    for step, loss in ((5, 2.0), (6, 1.5), (5, 2.1), (7, 1.0)):  # a group went on from a checkpoint before step 5
        channel.report_progress({"step": step - 4, "total_step": step, "losses": {"itc": loss}})
    assert channel.losses_after(0) == [{"step": 5, "itc": 2.0}, {"step": 6, "itc": 1.5}, {"step": 7, "itc": 1.0}]
    assert channel.losses_after(6) == [{"step": 7, "itc": 1.0}]
    channel.send(command(2))
    assert channel.losses_after(0) == []


def test_the_first_reason_of_the_latest_group_is_the_cause(channel):
    channel.starting()
    channel.report_error("out of memory")
    channel.report_error("connection closed by peer")
    assert channel.trouble() == (1, "out of memory")
    # The loop may look after the next group has started and before it fails, too.
    channel.starting()
    assert channel.trouble() == (2, "out of memory")
    channel.report_error("bad weights")
    channel.report_error("connection closed by peer")
    assert channel.trouble() == (2, "bad weights")


def test_the_channel_is_bound_to_the_drivers_node(monkeypatch):
    """Ray places an actor of no CPU on any node, and removing that one would end the run."""
    asked = {}
    monkeypatch.setattr(module.ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "ab" * 28))
    monkeypatch.setattr(
        TrainerChannel, "options", lambda **options: asked.update(options) or SimpleNamespace(remote=lambda: "it")
    )
    assert start_channel() == "it"
    where = asked["scheduling_strategy"]
    assert isinstance(where, NodeAffinitySchedulingStrategy)
    assert (where.node_id, where.soft) == ("ab" * 28, False)
