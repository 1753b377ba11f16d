"""What a cluster has to offer, node by node, before a run starts there."""

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from actors.data.devices import visible_gpus
from orchestrator.config.schema import RunConfig


@dataclass(frozen=True)
class Resources:
    """Of a node, of all of them, or of what a process reserves: logical CPUs, GPUs, memory in GiB."""

    cpus: float
    gpus: float
    memory_gib: float = 0


@dataclass(frozen=True)
class Offer:
    """The nodes that are there.

    What an autoscaler would add does not count: Ray 2.60 has a place where it could be read, ClusterConfig in the GCS,
    but its autoscalers, KubeRay's included, leave that empty.
    """

    nodes: tuple[Resources, ...]

    @property
    def total(self) -> Resources:
        """Of all nodes together."""
        return Resources(
            sum(node.cpus for node in self.nodes),
            sum(node.gpus for node in self.nodes),
            sum(node.memory_gib for node in self.nodes),
        )

    def fits(self, process: Resources) -> bool:
        """Whether one node alone has what a process reserves."""
        return any(node.cpus >= process.cpus and node.gpus >= process.gpus for node in self.nodes)


def offered(config: RunConfig) -> Offer:
    """What this machine, or the cluster at the configured address, offers.

    Raises:
        orchestrator.cluster.connect.ClusterUnreachable: there is none at that address.
    """
    if config.cluster.address is None:
        return Offer((Resources(config.cluster.local_cpus, visible_gpus(), psutil.virtual_memory().available / 2**30),))
    import ray

    from orchestrator.cluster.connect import connect, leave

    connect(config.cluster.address)
    try:
        return offer_of(ray.nodes())
    finally:
        leave()


def offer_of(nodes: Iterable[dict]) -> Offer:
    """What `ray.nodes()` tells; it also lists nodes that have died. Ray counts memory in bytes."""
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    return Offer(tuple(Resources(has.get("CPU", 0), has.get("GPU", 0), has.get("memory", 0) / 2**30) for has in alive))
