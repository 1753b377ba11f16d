"""Peak resident memory of this process while a body runs."""

from __future__ import annotations

import threading
from types import TracebackType

import psutil

_EVERY_S = 0.05


class PeakMemory:
    """Samples the resident size in a thread. What was resident before the body began counts too."""

    def __init__(self) -> None:
        self._process, self._stop = psutil.Process(), threading.Event()
        self._thread = threading.Thread(target=self._sample, name="peak memory", daemon=True)
        self._peak = 0

    @property
    def peak_mib(self) -> float:
        """The largest size seen, in MiB."""
        return self._peak / 2**20

    def __enter__(self) -> PeakMemory:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._look()

    def _sample(self) -> None:
        while not self._stop.wait(_EVERY_S):
            self._look()

    def _look(self) -> None:
        self._peak = max(self._peak, self._process.memory_info().rss)
