"""Who computes what is done block by block: this process, or workers that hold the blocks.

A corpus is cut into blocks of a fixed number of tiles, and what is summed over tiles is summed in the order of the
blocks. So numbers do not depend on how many workers there are, or on which of them is done first.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

TILES_OF_BLOCK = 4096
"""A corpus of at most so many tiles is one block, and is weighed in the process that asks."""

Found = TypeVar("Found")


class Workers(Protocol):
    """Computes calls of functions. Arguments that `hold` returned may stand for what they hold."""

    def hold(self, what: Any) -> Any:
        """Keep something where it is used; returns what stands for it in calls."""
        ...

    def map(self, function: Callable[..., Found], calls: Iterable[tuple]) -> list[Found]:
        """What a function makes of each tuple of arguments, in their order."""
        ...

    def map_kept(self, function: Callable[..., tuple[Found, Any]], calls: Iterable[tuple]) -> list[tuple[Found, Any]]:
        """The same of a function that returns a pair, whose second part is kept: what stands for it is returned."""
        ...

    def get(self, kept: Any) -> Any:
        """What `hold` or `map_kept` keeps."""
        ...


class ThisProcess:
    """Computes one call after the other, here."""

    def hold(self, what: Any) -> Any:
        """See `Workers`."""
        return what

    def map(self, function: Callable[..., Found], calls: Iterable[tuple]) -> list[Found]:
        """See `Workers`."""
        return [function(*call) for call in calls]

    def map_kept(self, function: Callable[..., tuple[Found, Any]], calls: Iterable[tuple]) -> list[tuple[Found, Any]]:
        """See `Workers`."""
        return self.map(function, calls)

    def get(self, kept: Any) -> Any:
        """See `Workers`."""
        return kept


THIS_PROCESS = ThisProcess()


def blocks_of(tiles: int) -> list[slice]:
    """The rows of each block; one empty block of no tiles."""
    return [slice(start, min(start + TILES_OF_BLOCK, tiles)) for start in range(0, max(tiles, 1), TILES_OF_BLOCK)]


def who_weighs(tiles: int, workers: Workers) -> Workers:
    """This process where there is only one block: workers would be no faster."""
    return workers if len(blocks_of(tiles)) > 1 else THIS_PROCESS


def summed(parts: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Of several arrays from each block, each array summed over the blocks in their order."""
    return [sum(each[1:], start=each[0]) for each in _across(parts)]


def _across(parts: Sequence[Sequence[np.ndarray]]) -> Iterator[list[np.ndarray]]:
    return (list(each) for each in zip(*parts, strict=True))
