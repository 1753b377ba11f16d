"""Whether the nodes of a cluster have room for all processes that a run requires, each of them whole on one node."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from orchestrator.cluster.requirements import Requirement
from orchestrator.cluster.resources import ClusterCapacity, Resources

_PATIENCE_S = 5.0  # of the solver
_UNIT = 10_000  # Ray counts resources in ten-thousandths; sums of fractions must not miss by a rounding error


def missing_room(required: Sequence[Requirement], capacity: ClusterCapacity, enough_together: bool) -> list[str]:
    """Say which processes find no room, and what to do. Nothing where all of them do.

    Args:
        required: The processes.
        capacity: The nodes.
        enough_together: Whether the CPUs and GPUs of all nodes add up to what is required. Only then it says something
            that not all processes fit at the same time.
    """
    required = [requirement for requirement in required if requirement.count]
    if too_large := [_too_large(each, capacity) for each in required if not capacity.fits(each.each)]:
        return too_large
    if not enough_together:
        return []
    unplaced = find_unplaced(required, capacity.nodes)
    return [] if unplaced is None else [_unplaced(unplaced, required, capacity)]


def find_unplaced(required: Sequence[Requirement], nodes: Sequence[Resources]) -> Requirement | None:
    """Return the largest processes that do not fit beside all larger ones.

    The answer is exact: a run that would find room must not be refused. Ray itself places processes as they come, and
    may do worse.

    Returns:
        None where all processes fit, or where the solver cannot tell within its time.
    """
    if _fit(required, nodes):
        return None
    largest_first = sorted(required, key=lambda each: (each.each.gpus, each.each.cpus), reverse=True)
    # Whatever does not fit does not fit with more beside it either.
    return largest_first[bisect_left(range(len(required)), True, key=lambda i: not _fit(largest_first[: i + 1], nodes))]


def _fit(required: Sequence[Requirement], nodes: Sequence[Resources]) -> bool:
    """Return whether processes fit on nodes, by an integer program: how many of which kind are on which node."""
    from scipy.optimize import milp
    from scipy.sparse import eye_array, kron

    kinds, count = len(required), len(nodes)
    reserved = np.array([[each.each.cpus, each.each.gpus] for each in required]).T  # [2, kinds]
    there = np.array([[node.cpus, node.gpus] for node in nodes])  # [nodes, 2]
    # Variables are in the order of kinds within nodes.
    per_node = kron(eye_array(count), np.round(reserved * _UNIT), format="csr")
    per_kind = kron(np.ones((1, count)), eye_array(kinds), format="csr")
    wanted = np.array([each.count for each in required])
    result = milp(
        np.zeros(kinds * count),
        integrality=np.ones(kinds * count),
        constraints=[(per_node, 0, np.round(there * _UNIT).ravel()), (per_kind, wanted, wanted)],
        options={"time_limit": _PATIENCE_S},
    )
    return result.status != 2  # infeasible


def _too_large(requirement: Requirement, capacity: ClusterCapacity) -> str:
    largest = " or ".join(sorted(map(_amount, _largest(capacity.nodes))))
    name, each, keys = requirement.name, requirement.each, requirement.keys
    if keys is None:
        return f"a {name} needs {_amount(each)} on one node, and the largest has {largest}: use larger nodes"
    wanted = f"{_count(each.cpus, 'CPU')} ({keys.cpus})"
    if each.gpus:
        wanted += f" and {_count(each.gpus, 'GPU')} ({keys.gpus})"
    return f"a {name} needs {wanted} on one node, and the largest has {largest}: ask for less, or use larger nodes"


def _unplaced(unplaced: Requirement, required: Sequence[Requirement], capacity: ClusterCapacity) -> str:
    wanted = ", ".join(f"{each.count} x {each.name} of {_amount(each.each)}" for each in required)
    there = ", ".join(f"{count} x {_amount(node)}" for node, count in _sizes(capacity.nodes).most_common())
    ways = ["use larger or more nodes"]
    if keys := [key for each in required for key in _may_be_lowered(each)]:
        ways.insert(0, f"lower {' or '.join(keys)}")
    return (
        f"a {unplaced.name} of {_amount(unplaced.each)} finds no room: the nodes have enough together, but each "
        f"process has to fit on one of them. Needed are {wanted}; there are nodes of {there}: {', or '.join(ways)}"
    )


def _may_be_lowered(requirement: Requirement) -> list[str]:
    keys = requirement.keys
    if keys is None:
        return []
    lower = {
        keys.cpus: requirement.each.cpus > 1,
        keys.gpus: requirement.each.gpus > 0,
        keys.count: requirement.count > 1,
    }
    return [key for key, possible in lower.items() if possible]


def _largest(nodes: Iterable[Resources]) -> list[Resources]:
    """Return the sizes of nodes than which no other has as much of both, CPUs and GPUs."""
    sizes = list(_sizes(nodes))
    return [
        size
        for size in sizes
        if not any(other != size and other.cpus >= size.cpus and other.gpus >= size.gpus for other in sizes)
    ]


def _sizes(nodes: Iterable[Resources]) -> Counter[Resources]:
    """Return how many nodes there are of each size, their memory left out."""
    return Counter(Resources(node.cpus, node.gpus) for node in nodes)


def _amount(resources: Resources) -> str:
    cpus = _count(resources.cpus, "CPU")
    return f"{cpus} and {_count(resources.gpus, 'GPU')}" if resources.gpus else cpus


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" + ("" if number == 1 else "s")
