"""Workers of `knowlip scale`: processes of this machine, with files where a cluster has its object store.

The files lie in a folder that was made for one measurement, and only these processes write there. Nobody passes them
on, so they may be pickles, as what processes send one another is (docs/decisions/0003-no-pickles.md).
"""

import itertools
import multiprocessing
import pickle
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from hcot_llm.aggregation.workers import Found


@dataclass(frozen=True)
class Held:
    """Stands for what a file has."""

    path: str

    def read(self) -> Any:
        """What it stands for."""
        with open(self.path, "rb") as file:
            return pickle.load(file)  # these processes wrote it


class ProcessWorkers:
    """`hcot_llm.aggregation.workers.Workers` in processes. They end with the block that they are entered in.

    Args:
        folder: an empty one, for what they hold.
        processes: their number.
    """

    def __init__(self, folder: Path, processes: int = 2) -> None:
        self.cpu_s = 0.0
        """CPU seconds of all calls so far."""
        self._folder, self._names = folder, itertools.count()
        self._pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))

    def __enter__(self) -> "ProcessWorkers":
        """Nothing starts before the first call."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def hold(self, what: Any) -> Held:
        """See `Workers`."""
        held = self._name()
        _write(held, what)
        return held

    def map(self, function: Callable[..., Found], calls: Iterable[tuple]) -> list[Found]:
        """See `Workers`."""
        return self._all([self._pool.submit(_called, function, call) for call in calls])

    def map_kept(self, function: Callable[..., tuple[Found, Any]], calls: Iterable[tuple]) -> list[tuple[Found, Any]]:
        """See `Workers`."""
        return self._all([self._pool.submit(_called_and_kept, function, call, self._name()) for call in calls])

    def get(self, kept: Any) -> Any:
        """See `Workers`."""
        return kept.read() if isinstance(kept, Held) else kept

    def _name(self) -> Held:
        return Held(str(self._folder / f"{next(self._names)}.held"))

    def _all(self, coming: list) -> list:
        found = []
        for each in coming:
            result, cpu_s = each.result()
            self.cpu_s += cpu_s
            found.append(result)
        return found


def _write(held: Held, what: Any) -> None:
    with open(held.path, "wb") as file:
        pickle.dump(what, file, protocol=5)


def _called(function: Callable[..., Any], call: tuple) -> tuple[Any, float]:
    begun = time.process_time()
    found = function(*(each.read() if isinstance(each, Held) else each for each in call))
    return found, time.process_time() - begun


def _called_and_kept(function: Callable[..., tuple[Any, Any]], call: tuple, held: Held) -> tuple[Any, float]:
    (found, kept), cpu_s = _called(function, call)
    begun = time.process_time()
    _write(held, kept)
    return (found, held), cpu_s + time.process_time() - begun
