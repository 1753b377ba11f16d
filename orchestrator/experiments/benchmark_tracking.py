"""A benchmark in the tracker: the table and its headlines in a parent run, the scores of each method in a child."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from zlib import crc32

from benchmark.suite.cells import CellResult
from corpus.storage.state_files import StateFolder
from orchestrator.config.load import flatten
from orchestrator.config.schema import RunConfig
from orchestrator.state.run_end import RunStatus, status_of
from orchestrator.tracking.base import TrackedRun, Tracker
from orchestrator.tracking.registry import make_tracker

_STEP = 0


def child_of(method: str) -> int:
    """Number of a method's child run. It is the same in every call, whichever methods a call names."""
    return 1 + crc32(method.encode()) % 10**9


class BenchmarkTracking:
    """Tells a tracker of cells.

    Args:
        tracker: of the benchmark; it was started.
    """

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker

    def tell(self, cell: CellResult) -> None:
        """Tell the scores of a finished cell: all to the method's run, the headline to the parent too."""
        if not cell.scores:
            return
        where = f"{cell.task}/{cell.data_set}/{cell.setting}"
        values = {f"{where}/{name}": score.value for name, score in cell.scores.items()}
        headline, score = next(iter(cell.scores.items()))
        if score.low is not None and score.high is not None:
            values |= {f"{where}/{headline}_low": score.low, f"{where}/{headline}_high": score.high}
        values[f"{where}/seconds"] = cell.seconds
        with self._tracker.round(child_of(cell.method)) as child:
            self._tracker.log_metrics(values, _STEP, child)
        self._tracker.log_metrics({f"{where}/{cell.method}": score.value}, _STEP)
        if cell.weights:
            self._tracker.log_tags({f"knowlip.weights.{cell.method}": cell.weights})

    def tell_table(self, paths: Sequence[Path]) -> None:
        """Hand over the table and its picture."""
        self._tracker.log_files(None, paths, "table")


@contextmanager
def tracked_benchmark(config: RunConfig, out: Path, methods: Sequence[str]) -> Iterator[BenchmarkTracking]:
    """Keep the benchmark's run open while the body runs.

    Args:
        config: of the benchmark.
        out: folder of the table; what cannot be delivered yet waits there.
        methods: that are judged.

    Yields:
        What is told of cells.
    """
    children = {child_of(method): method for method in methods}
    run = TrackedRun(StateFolder(out), config.name, out.name, kind="benchmark", children=children)
    tracker = make_tracker(config.tracking, run)
    section = flatten(config)
    tracker.start({name: value for name, value in section.items() if name.startswith(("benchmark.", "name", "seed"))})
    status: RunStatus = "finished"
    try:
        yield BenchmarkTracking(tracker)
    except BaseException as error:
        status = status_of(error)
        raise
    finally:
        tracker.finish(status)
