"""Whether processes find room on nodes, each of them whole on one."""

from collections import Counter
from collections.abc import Iterator, Sequence

from orchestrator.cluster.capacity import Resources

_WAYS = 10_000  # that are looked at; a second or two
_UNIT = 10_000  # Ray counts resources in ten-thousandths; sums of fractions must not miss by a rounding error

_Size = tuple[int, int]  # GPUs, CPUs: sorted by what is scarcer
_Rooms = frozenset[tuple[_Size, int]]  # how often each size is left; which node has it does not matter


def left_over(processes: Sequence[Resources], nodes: Sequence[Resources]) -> int | None:
    """Look for a way to place all processes.

    The largest goes first, to where it leaves the least. That is quick and nearly always a way; where it is none, the
    others are tried, as a run must not be refused that would find room. Ray itself places processes as they come and
    may do worse.

    Returns:
        Index of a process that finds no room even in the furthest of all ways. None if all do, or if the ways are too
        many to rule out.
    """
    sizes = [_size(process) for process in processes]
    order = sorted(range(len(processes)), key=sizes.__getitem__, reverse=True)
    start = frozenset(Counter(_size(node) for node in nodes).items())
    furthest, stack, seen = 0, [(0, start)], {(0, start)}
    while stack:
        placed, rooms = stack.pop()
        if placed == len(order):
            return None
        furthest = max(furthest, placed)
        for rest in _placed(sizes[order[placed]], rooms):
            if (way := (placed + 1, rest)) not in seen:
                seen.add(way)
                stack.append(way)
        if len(seen) > _WAYS:
            return None
    return order[furthest]


def _placed(size: _Size, rooms: _Rooms) -> Iterator[_Rooms]:
    """What may be left once a process of this size is placed; last where it leaves the least."""
    gpus, cpus = size
    for room_gpus, room_cpus in sorted((room for room, _ in rooms), reverse=True):
        if room_gpus >= gpus and room_cpus >= cpus:
            left = Counter(dict(rooms))
            left[room_gpus, room_cpus] -= 1
            left[room_gpus - gpus, room_cpus - cpus] += 1
            yield frozenset((+left).items())


def _size(resources: Resources) -> _Size:
    return round(resources.gpus * _UNIT), round(resources.cpus * _UNIT)
