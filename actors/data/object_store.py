"""Takes blocks out of the object store, and says so where there is no room for them any more."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import ray
from ray.exceptions import GetTimeoutError, OutOfDiskError
from ray.experimental.locations import get_object_locations

PATIENCE_S = 30.0


class NoRoomForBlocks(RuntimeError):
    """Blocks that were spilled cannot come back: the object store is in use, and the disk behind it is full."""


def take(blocks: Sequence[ray.ObjectRef], patience_s: float = PATIENCE_S) -> list[Any]:
    """What references stand for; waits as long as it can still come.

    Where there is no room for a block that was spilled, Ray tries again for ever and says nothing. What is stored anew
    needs the same room, and is refused at once.

    Args:
        blocks: references to the blocks.
        patience_s: after so long it is looked whether there is room.

    Raises:
        NoRoomForBlocks: there is none.
    """
    while True:
        try:
            return ray.get(list(blocks), timeout=patience_s)
        except GetTimeoutError:
            _look_for_room(blocks, patience_s)


def _look_for_room(blocks: Sequence[ray.ObjectRef], patience_s: float) -> None:
    size_bytes = 0
    try:
        found = get_object_locations(list(blocks), timeout_ms=int(1000 * patience_s)).values()
        size_bytes = sum(each["object_size"] or 0 for each in found)
        ray.put(np.zeros(size_bytes, np.uint8))
    except GetTimeoutError:  # their owner does not answer, which is no want of room
        return
    except OutOfDiskError as error:
        raise NoRoomForBlocks(
            f"no room for {size_bytes / 2**20:.1f} MiB of blocks on the node with "
            f"ip={ray.util.get_node_ip_address()}: {error}"
        ) from error
