"""The pending demand of a Ray cluster and its free resources, in words.

Ray 2.60 has no public Python interface for it (https://github.com/ray-project/ray/issues/37838). What `ray status`
itself calls is used here and nowhere else.
"""

from collections import Counter

import ray
from ray.autoscaler.v2.sdk import get_cluster_status

from orchestrator.policies.stall import PendingDemand


def pending_demand() -> PendingDemand:
    """Ask the cluster that this process is connected to. Neither a dashboard nor an autoscaler is needed.

    Raises:
        RuntimeError: This process is connected to no cluster; asking would start one.
        Exception: Whatever Ray raises where it does not answer.
    """
    if not ray.is_initialized():
        raise RuntimeError("this process is connected to no Ray cluster")
    status = get_cluster_status(ray.get_runtime_context().gcs_address)
    counts: Counter[str] = Counter()
    for kind, demands in (
        ("actor or task", status.resource_demands.ray_task_actor_demand),
        ("placement group", status.resource_demands.placement_group_demand),
    ):
        for demand in demands:
            for shape in demand.bundles_by_count:
                counts[f"{kind} that asks for {_resources(shape.bundle)}"] += shape.count
    usage = [each for each in status.cluster_resource_usage if each.resource_name in ("CPU", "GPU", "memory")]
    free = ", ".join(
        f"{_amount(each.resource_name, each.total - each.used)} of {_amount(each.resource_name, each.total)}"
        for each in usage
    )
    return PendingDemand(tuple(f"{count} x {what}" for what, count in counts.most_common()), free or "nothing")


def _resources(bundle: dict[str, float]) -> str:
    return (
        " + ".join(_amount(name, value) for name, value in bundle.items() if not name.startswith(("bundle", "node:")))
        or "no resources"
    )


def _amount(name: str, value: float) -> str:
    return f"{value / 2**30:.1f} GiB of memory" if name == "memory" else f"{value:g} {name}"
