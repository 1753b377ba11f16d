"""What a real cluster offers is read from it, and one that does not answer is named."""

import pytest
from ray.cluster_utils import Cluster

from corpus.storage.errors import UserError
from orchestrator.cluster.capacity import cluster_capacity
from orchestrator.cluster.connect import ClusterUnreachable
from orchestrator.cluster.requirements import total_requirement
from orchestrator.cluster.resources import ClusterCapacity
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.run.preflight import PreflightError, check
from support.paths import ROOT
from support.ports import free_port

SMOKE = ROOT / "configs" / "smoke.yaml"


def refusal(config: RunConfig, capacity: ClusterCapacity) -> str:
    with pytest.raises(PreflightError) as error:
        check(config, capacity)
    return str(error.value)


def test_a_cluster_that_does_not_answer_is_named_with_what_to_look_at():
    address = f"127.0.0.1:{free_port()}"
    with pytest.raises(
        ClusterUnreachable, match=f"cluster.address={address}.*ray status.*RAY_AUTH_MODE=token"
    ) as error:
        cluster_capacity(load_config(SMOKE, [f"cluster.address={address}"]))
    assert isinstance(error.value, UserError)


def test_a_worker_that_fits_on_no_node_of_a_real_cluster_is_refused():
    import ray

    small = {"num_cpus": 4, "object_store_memory": 100 * 2**20}
    cluster = Cluster(initialize_head=True, head_node_args=small)
    try:
        cluster.add_node(**small)
        config = load_config(SMOKE, [f"cluster.address={cluster.address}", "cluster.memory_gib=0.1"])
        capacity = cluster_capacity(config)
        assert [node.cpus for node in capacity.nodes] == [4, 4]
        assert all(node.memory_gib > 0 for node in capacity.nodes)
        check(config, capacity)
        wide = config.model_copy(update={"train": config.train.model_copy(update={"cpus_per_worker": 5})})
        assert total_requirement(wide).cpus == capacity.total.cpus == 8
        assert (
            "a training worker needs 5 CPUs (train.cpus_per_worker) on one node, and the largest has 4 CPUs:"
            in refusal(wide, capacity)
        )
        assert not ray.is_initialized()
    finally:
        cluster.shutdown()
