"""Names the processes for which the nodes of a cluster have no room."""

from collections import Counter
from collections.abc import Iterable, Sequence

from orchestrator.cluster.capacity import Offer, Resources
from orchestrator.cluster.placement import left_over
from orchestrator.cluster.requirements import Need


def without_room(needs: Sequence[Need], offer: Offer, enough_together: bool) -> list[str]:
    """What finds no room, as each process has to fit on one node, in words, and what to do; nothing where all does.

    enough_together: whether all nodes' CPUs and GPUs add up to what is needed; only then it says something that not all
    processes fit at the same time.
    """
    needs = [need for need in needs if need.count]
    if too_large := [_too_large(need, offer) for need in needs if not offer.fits(need.each)]:
        return too_large
    if not enough_together:
        return []
    processes = [need for need in needs for _ in range(need.count)]
    left = left_over([process.each for process in processes], offer.nodes)
    return [] if left is None else [_left_over(processes[left], needs, offer)]


def _too_large(need: Need, offer: Offer) -> str:
    largest = " or ".join(sorted(map(_amount, _largest(offer.nodes))))
    if need.keys is None:
        return f"a {need.name} needs {_amount(need.each)} on one node, and the largest has {largest}: use larger nodes"
    wanted = f"{_count(need.each.cpus, 'CPU')} ({need.keys.cpus})"
    if need.each.gpus:
        wanted += f" and {_count(need.each.gpus, 'GPU')} ({need.keys.gpus})"
    return f"a {need.name} needs {wanted} on one node, and the largest has {largest}: ask for less, or use larger nodes"


def _left_over(left: Need, needs: Sequence[Need], offer: Offer) -> str:
    wanted = ", ".join(f"{need.count} x {need.name} of {_amount(need.each)}" for need in needs)
    there = ", ".join(f"{count} x {_amount(node)}" for node, count in _sizes(offer.nodes).most_common())
    ways = ["use larger or more nodes"]
    if keys := [key for need in needs for key in _may_be_lowered(need)]:
        ways.insert(0, f"lower {' or '.join(keys)}")
    return (
        f"a {left.name} of {_amount(left.each)} finds no room: the nodes have enough together, but each process "
        f"has to fit on one of them. Needed are {wanted}; there are nodes of {there}: {', or '.join(ways)}"
    )


def _may_be_lowered(need: Need) -> list[str]:
    if need.keys is None:
        return []
    return [
        key
        for key, lower in (
            (need.keys.cpus, need.each.cpus > 1),
            (need.keys.gpus, need.each.gpus > 0),
            (need.keys.count, need.count > 1),
        )
        if lower
    ]


def _largest(nodes: Iterable[Resources]) -> list[Resources]:
    """Sizes of nodes than which no other has as much of both, CPUs and GPUs."""
    sizes = list(_sizes(nodes))
    return [
        size
        for size in sizes
        if not any(other != size and other.cpus >= size.cpus and other.gpus >= size.gpus for other in sizes)
    ]


def _sizes(nodes: Iterable[Resources]) -> Counter[Resources]:
    """How often there is a node of which size; their memory is not looked at."""
    return Counter(Resources(node.cpus, node.gpus) for node in nodes)


def _amount(resources: Resources) -> str:
    cpus = _count(resources.cpus, "CPU")
    return f"{cpus} and {_count(resources.gpus, 'GPU')}" if resources.gpus else cpus


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" + ("" if number == 1 else "s")
