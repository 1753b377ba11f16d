"""What the mailbox remembers of worker groups that start and fail, without Ray, and where it runs, with Ray."""

from types import SimpleNamespace

import pytest
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from actors.trainer import orders as module
from actors.trainer.orders import Mailbox, RoundOrder, start_mailbox


@pytest.fixture
def box():
    """The class behind the actor."""
    return Mailbox.__ray_metadata__.modified_class()


def order(round_: int = 1) -> RoundOrder:
    return RoundOrder(round_, 0, round_ == 1, [], (8,), 1, f"weights/round-{round_:04d}")


def test_groups_that_start_while_nothing_is_ordered_do_not_count(box):
    for _ in range(4):
        box.starting()
        box.put_error("a node went away")
    box.post(order())
    assert box.trouble() == (0, "")
    box.starting()
    assert box.trouble()[0] == 1


def test_groups_that_fail_before_the_first_order_count_and_are_not_ready(box):
    """The loop waits for the first group before it orders anything."""
    for _ in range(4):
        box.starting()
        box.put_error("no such weights")
    assert box.trouble() == (4, "no such weights")
    assert box.progress() == {}
    box.started(2)
    assert box.progress() == {"world_size": 2}


def test_a_trained_step_ends_the_count(box):
    box.post(order())
    box.starting()
    box.put_progress({"step": 1})
    assert box.trouble()[0] == 0


def test_the_first_reason_of_the_latest_group_is_the_cause(box):
    box.starting()
    box.put_error("out of memory")
    box.put_error("connection closed by peer")
    assert box.trouble() == (1, "out of memory")
    # The loop may look after the next group has started and before it fails, too.
    box.starting()
    assert box.trouble() == (2, "out of memory")
    box.put_error("bad weights")
    box.put_error("connection closed by peer")
    assert box.trouble() == (2, "bad weights")


def test_the_mailbox_is_bound_to_the_drivers_node(monkeypatch):
    """Ray places an actor of no CPU on any node, and removing that one would end the run."""
    asked = {}
    monkeypatch.setattr(module.ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "ab" * 28))
    monkeypatch.setattr(
        Mailbox, "options", lambda **options: asked.update(options) or SimpleNamespace(remote=lambda: "it")
    )
    assert start_mailbox() == "it"
    where = asked["scheduling_strategy"]
    assert isinstance(where, NodeAffinitySchedulingStrategy)
    assert (where.node_id, where.soft) == ("ab" * 28, False)
