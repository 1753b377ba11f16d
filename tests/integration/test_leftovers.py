"""What a killed driver leaves on a cluster is ended by the next run that is admitted there."""

import importlib

import pytest
import ray
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import get_or_create_autoscaling_coordinator

from actors.captioner.deployment import Deployment, replicas_of
from actors.captioner.registry import CAPTIONERS
from actors.data.reservation import Reservation
from orchestrator.cluster.connect import start_local
from orchestrator.run.actors import end_leftovers
from support.plugins import forgotten_afterwards


@pytest.fixture
def toy():
    with forgotten_afterwards("support.toy_captioner", CAPTIONERS) as module:
        yield importlib.import_module(module)


def test_captioner_and_reservation_of_a_killed_run_are_ended_and_those_of_others_stay(tmp_path, toy):
    (table := tmp_path / "answers.json").write_text("{}")
    start_local(num_cpus=4, object_store_memory=100 * 2**20)
    try:
        for owner in ("killed", "other"):
            config = toy.TableCaptionerConfig(table=table)
            Deployment(toy.TableReplica, config, str(table), owner=owner).wait_until_running()
            Reservation(owner, lambda: [{"CPU": 1.0}]).close(cancel=False)
        end_leftovers("killed")
        end_leftovers("a run that left nothing")
        assert (replicas_of("killed"), replicas_of("other")) == (0, 1)
        held = get_or_create_autoscaling_coordinator().get_reserved_resources
        assert not any(ray.get(held.remote("knowlip-killed")).values())
        assert sum(node.get("CPU", 0) for node in ray.get(held.remote("knowlip-other")).values()) == 1
    finally:
        ray.shutdown()
