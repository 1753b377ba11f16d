"""What a cluster has, node by node, before a run starts there."""

from collections.abc import Iterable

import psutil

from actors.data.devices import visible_gpus
from orchestrator.cluster.requirements import total_requirement
from orchestrator.cluster.resources import ClusterCapacity, Resources
from orchestrator.config.schema import RunConfig


def cluster_capacity(config: RunConfig) -> ClusterCapacity:
    """Return the capacity of the cluster at the configured address, or of this machine.

    The GPUs of this machine are counted only for a run that needs any.

    Raises:
        orchestrator.cluster.connect.ClusterUnreachable: There is no cluster at that address.
    """
    if config.cluster.address is None:
        free_gib = psutil.virtual_memory().available / 2**30
        # They are counted by torch, which takes seconds to import.
        gpus = visible_gpus() if total_requirement(config).gpus else 0
        return ClusterCapacity((Resources(config.cluster.local_cpus, gpus, free_gib),))
    import ray

    from orchestrator.cluster.connect import connect, leave

    connect(config.cluster.address)
    try:
        return capacity_of(ray.nodes())
    finally:
        leave()


def capacity_of(nodes: Iterable[dict]) -> ClusterCapacity:
    """Return the capacity of the nodes of `ray.nodes()`, which counts memory in bytes and lists dead nodes too."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return ClusterCapacity(
        tuple(Resources(has.get("CPU", 0), has.get("GPU", 0), has.get("memory", 0) / 2**30) for has in alive)
    )
