"""What a cluster has, node by node, before a run starts there."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from actors.data.devices import visible_gpus
from orchestrator.config.schema import RunConfig


@dataclass(frozen=True)
class Resources:
    """Logical CPUs, GPUs and memory in GiB: of a node, of all nodes, or reserved by a process."""

    cpus: float
    gpus: float
    memory_gib: float = 0


@dataclass(frozen=True)
class ClusterCapacity:
    """The nodes that a cluster has now.

    Nodes that an autoscaler would add do not count. Ray 2.60 has a place where they could be read, ClusterConfig in the
    GCS, but its autoscalers, KubeRay's included, leave that empty.
    """

    nodes: tuple[Resources, ...]

    @property
    def total(self) -> Resources:
        """Return the resources of all nodes together."""
        return Resources(
            sum(node.cpus for node in self.nodes),
            sum(node.gpus for node in self.nodes),
            sum(node.memory_gib for node in self.nodes),
        )

    def fits(self, process: Resources) -> bool:
        """Return whether one node alone has the CPUs and GPUs that a process reserves."""
        return any(node.cpus >= process.cpus and node.gpus >= process.gpus for node in self.nodes)


def cluster_capacity(config: RunConfig) -> ClusterCapacity:
    """Return the capacity of the cluster at the configured address, or of this machine.

    Raises:
        orchestrator.cluster.connect.ClusterUnreachable: There is no cluster at that address.
    """
    if config.cluster.address is None:
        free_gib = psutil.virtual_memory().available / 2**30
        return ClusterCapacity((Resources(config.cluster.local_cpus, visible_gpus(), free_gib),))
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
