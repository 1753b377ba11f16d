"""What a process reserves, and what the nodes of a cluster have."""

from dataclasses import dataclass


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
