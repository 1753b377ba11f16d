"""The run's MLflow record: one parent run per loop, one child per round, the same ones after a restart.

Ray Train v2 has no MLflow callback, so the loop owns the runs. Everything goes through a spool in the run directory
(orchestrator/tracking/outbox.py), so that the loop goes on while the tracking server is away.
"""

import json
import logging
import os
import re
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from mlflow import MlflowClient

from corpus.storage.redaction import without_user
from corpus.storage.state_files import RecordError, read_json, write_json
from orchestrator.state.records import RoundRecord, record_path
from orchestrator.tracking.mlflow_delivery import Delivery, TrackedRuns, reaching_store, say
from orchestrator.tracking.outbox import LOOP, RunGone, Spool, open_runs

_SECRET = re.compile(r"(?:^|_)(?:token|secret|password|passwd|api_?key|credentials?)$", re.IGNORECASE)
_PICKLED = {".pt", ".pth", ".bin", ".pkl", ".pickle"}
_TIMES = "time/"
_LONGEST = 500  # characters of a parameter's value that every MLflow store takes
IN_RUN_DIR = "the run directory"
_UNSAFE = re.compile(r"[^A-Za-z0-9_\-. :/]")


class RoundRun:
    """The MLflow run of one round."""

    def __init__(self, runs: TrackedRuns, number: int) -> None:
        self._runs, self.number = runs, number

    @property
    def run_id(self) -> str | None:
        """The id in MLflow; None until the server, being away, has created the run."""
        return self._runs.run_id(self.number)


class Tracker:
    """Writes one run of the loop to MLflow.

    The store is a SQLite file in the run directory, unless MLFLOW_TRACKING_URI names another one. A store that
    cannot be reached is no error: what is written waits in the run directory. What the store refuses is one, and so is
    that it has lost the run; the next start enters it there again.

    Args:
        check: called before every write; raises if another driver has taken over the run directory.
        kind: tag of the parent run, by which a search tells loops from ablations.
    """

    def __init__(
        self,
        run_dir: Path,
        experiment: str,
        run_name: str,
        check: Callable[[], None] = lambda: None,
        kind: str = "loop",
    ) -> None:
        self._run_dir = Path(run_dir).resolve()
        self._experiment, self._run_name, self._check, self._kind = experiment, run_name, check, kind
        self._uri = _sign_in(tracking_uri(self._run_dir))
        self._runs: TrackedRuns | None = None
        self._spool: Spool | None = None
        self._points: set[tuple[int, str, int, str]] = set()
        # The store's migrations report every step at INFO on the first use; and what it raises it logs too, at length.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

    @property
    def parent_run_id(self) -> str | None:
        return self._opened[0].parent

    @property
    def undelivered(self) -> str | None:
        """What to tell the user while entries wait for the server, or None."""
        if self._spool is None or not self._spool.waiting:
            return None
        problem = f" ({without_user(self._spool.last_problem)[:300]})" if self._spool.last_problem else ""
        return (
            f"MLflow at {without_user(self._uri)} cannot be told, so {self._spool.waiting} entries wait in "
            f"{self._run_dir}{problem}. Deliver them, once it can, with: knowlip resume {self._run_dir}"
        )

    def start(self, params: Mapping[str, Any]) -> str | None:
        """Begin the parent run, or go on with the one of an earlier start; returns its id, None if the server is away.

        params: the configuration with dotted keys. Values of secret-looking keys are left out.
        """
        self._open()
        with self._entering_again():
            self._spool.write("open", LOOP, {})
        texts = {
            _key(name): _text(value) for name, value in params.items() if not _SECRET.search(name.rsplit(".", 1)[-1])
        }
        self._spool.write("params", LOOP, {"params": texts})
        return self._runs.parent

    def finish(self, status: str) -> None:
        """Close the parent run as FINISHED, FAILED or KILLED (by the user), and try to deliver all that waits."""
        if self._spool is None:
            return
        for number in sorted(open_runs(self._spool.entries) - {LOOP}):
            self._close_round(number, status)  # a driver was killed before it could
        self._spool.write("close", LOOP, {"status": status})
        self._spool.flush()

    def deliver_rest(self) -> None:
        """Deliver what an ended run left; a run that was killed after its last round is FINISHED now."""
        self._open()
        with self._entering_again():
            self._spool.flush()
        if LOOP in open_runs(self._spool.entries):
            self.finish("FINISHED")

    @contextmanager
    def round(self, number: int) -> Iterator[RoundRun]:
        """The child run of a round. A round that was interrupted and runs again goes on with its child.

        A body that raises before the round's record is written leaves the child FAILED (KILLED when interrupted by the
        user).
        """
        runs, spool = self._opened
        spool.write("open", number, {})
        status = "FAILED"
        try:
            yield RoundRun(runs, number)
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            self._close_round(number, status)

    def log_losses(self, child: RoundRun, losses: Sequence[Mapping[str, float]]) -> None:
        """Per-step losses: one mapping a step, with `step` counted over the run; also on the parent, as one curve."""
        points = [
            (f"loss/{_key(name)}", float(value), int(row["step"]))
            for row in losses
            for name, value in row.items()
            if name != "step"
        ]
        for number in (child.number, LOOP):
            self._log_metrics(number, points)

    def log_record(self, child: RoundRun, record: RoundRecord) -> None:
        """The numbers of a round's record, on its child and, with the round as step, on the parent."""
        values = {name: value for name, value in record.metrics.items() if value is not None}
        values |= {f"count/{name}": value for name, value in record.counts.model_dump().items()}
        values |= {f"{_TIMES}{name}": value for name, value in record.timings.model_dump().items()}
        values |= {
            f"accuracy/{name}": value for name, value in (record.accuracy_by_clause or {}).items() if value is not None
        }
        values["world_size"] = record.world_size
        points = [(_key(name), float(value), record.round) for name, value in values.items()]
        for number in (child.number, LOOP):
            self._log_metrics(number, points)
        self._opened[1].write(
            "tags",
            child.number,
            {
                "tags": {
                    "knowlip.corpus_digest": record.corpus_digest,
                    "knowlip.seed": str(record.seed),
                    "knowlip.weights_sha256": record.weights_sha256,
                }
            },
        )

    def log_metrics(self, values: Mapping[str, float], step: int) -> None:
        """Numbers of the parent run."""
        self._log_metrics(LOOP, [(_key(name), float(value), step) for name, value in values.items()])

    def log_corpus(self, child: RoundRun, table: Path, version: int, digest: str) -> None:
        """Enter a version of the annotations (a Delta table) as a dataset that this round trained on."""
        self._opened[1].write(
            "dataset", child.number, {"table": self._inside(table), "version": version, "digest": digest}
        )

    def log_checkpoint(self, child: RoundRun, weights_dir: Path, weights_sha256: str) -> None:
        """Enter a round's weights, below the run directory, as a logged model.

        Only the reference is entered. A pickled file raises ValueError.
        """
        weights_dir = Path(weights_dir)
        pickles = [path.name for path in weights_dir.rglob("*") if path.suffix in _PICKLED]
        if pickles:
            raise ValueError(f"{weights_dir} holds pickled files ({', '.join(pickles)}); only safetensors are tracked")
        self._opened[1].write(
            "model", child.number, {"weights": self._inside(weights_dir), "weights_sha256": weights_sha256}
        )

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the parent run; a later value takes the place of an earlier one."""
        self._opened[1].write("tags", LOOP, {"tags": dict(tags)})

    def log_deletion(self, number: int) -> None:
        """The weights of a round are about to be deleted: its run and its logged model say so from now on."""
        self._opened[1].write("deletion", number, {})

    def log_files(self, child: RoundRun | None, paths: Sequence[Path], folder: str) -> None:
        """Copy files into a run's artifacts: the round's, or the parent's where child is None."""
        if paths:
            self._opened[1].write("files", LOOP if child is None else child.number, {"folder": folder}, files=paths)

    @property
    def _opened(self) -> tuple[TrackedRuns, Spool]:
        if self._runs is None or self._spool is None:
            raise RuntimeError("Tracker.start() was not called")
        return self._runs, self._spool

    @property
    def _file(self) -> Path:
        return self._run_dir / "mlflow_runs.json"

    @property
    def _where(self) -> str:
        # Not the path, so that a run directory can be moved.
        return IN_RUN_DIR if self._uri == local_uri(self._run_dir) else without_user(self._uri)

    def _open(self) -> None:
        if self._file.exists():
            self._runs = read_json(self._run_dir, self._file, TrackedRuns)
            if self._runs.tracking_uri != self._where:
                raise RecordError(
                    f"This run is tracked at {self._runs.tracking_uri}, but now MLFLOW_TRACKING_URI asks for "
                    f"{self._where}. Set or unset it as before, or start a new run."
                )
        else:
            self._runs = TrackedRuns(tracking_uri=self._where)
        self._save()  # the key must be on disk before a run is created with it
        location = (self._run_dir / "mlartifacts").as_uri() if self._where == IN_RUN_DIR else None
        deliver = Delivery(
            MlflowClient(tracking_uri=self._uri),
            self._run_dir,
            self._experiment,
            self._run_name,
            self._kind,
            location,
            self._runs,
            self._save,
            lambda: self._spool.kept_files(),
        )
        self._spool = Spool(self._run_dir, deliver, self._check)
        for entry in self._spool.entries:
            if entry.kind == "metrics":
                self._points.update(_identity(entry.run, point) for point in entry.values["points"])

    @contextmanager
    def _entering_again(self) -> Iterator[None]:
        """The body delivers. If the store has lost the run, it gets all of the journal again: into new runs, or those
        that it still has.
        """
        try:
            yield
        except RunGone as error:
            say(
                f"{error.lost} The run is entered there once more, from its beginning; only files that were sent "
                "before are not sent again."
            )
            self._spool.begin_again()  # first: an interrupt before the ids are forgotten comes here again
            self._runs.forget()
            self._save()
            self._spool.flush()

    def _close_round(self, number: int, status: str) -> None:
        # A round that is recorded is over, and is never run again.
        recorded = record_path(self._run_dir, number).exists()
        self._opened[1].write("close", number, {"status": "FINISHED" if recorded else status})

    def _save(self) -> None:
        self._check()  # what the server was asked before may have taken longer than the lease lasts
        write_json(self._run_dir, self._file, self._runs)

    def _inside(self, path: Path) -> str:
        return str(Path(path).resolve().relative_to(self._run_dir))

    def _log_metrics(self, number: int, points: Sequence[tuple[str, float, int]]) -> None:
        # A round that was interrupted runs again and comes to the same numbers; they are entered once. Its times are
        # others: the first stand.
        fresh = [point for point in points if _identity(number, point) not in self._points]
        if fresh:
            self._opened[1].write("metrics", number, {"points": fresh})
            self._points.update(_identity(number, point) for point in fresh)


def check_store() -> None:
    """Ask the store that MLFLOW_TRACKING_URI names, if it does, for an answer.

    Raises:
        StoreAway: there is none. MlflowException: it is an error.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI")
    if uri:
        with reaching_store():
            MlflowClient(tracking_uri=_sign_in(uri)).search_experiments(max_results=1)


def local_uri(run_dir: Path) -> str:
    """The SQLite store inside a run directory."""
    return f"sqlite:///{Path(run_dir).resolve() / 'mlflow.db'}"


def tracking_uri(run_dir: Path) -> str:
    """Where a run is tracked: MLFLOW_TRACKING_URI, else the store inside its directory."""
    return os.environ.get("MLFLOW_TRACKING_URI") or local_uri(run_dir)


def ui_command(run_dir: Path) -> str:
    """The shell command that shows a run in the browser."""
    uri = tracking_uri(run_dir)
    if uri.startswith(("http://", "https://")):
        return f"open {without_user(uri)}"
    program = Path(sys.prefix, "bin", "mlflow")
    if program.is_relative_to(Path.cwd()):
        program = program.relative_to(Path.cwd())
    # A database's URI may hold a password; the shell knows it.
    store = shlex.quote(uri) if without_user(uri) == uri else '"$MLFLOW_TRACKING_URI"'
    return f"{shlex.quote(str(program))} ui --backend-store-uri {store}"


def _sign_in(uri: str) -> str:
    """A server's URI without its user and password, which MLflow then takes from the environment: its messages quote
    the URI.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https") or parts.username is None:
        return uri
    os.environ["MLFLOW_TRACKING_USERNAME"] = unquote(parts.username)
    os.environ["MLFLOW_TRACKING_PASSWORD"] = unquote(parts.password or "")
    return without_user(uri)


def _key(name: str) -> str:
    return _UNSAFE.sub("_", name)


def _text(value: Any) -> str:
    return without_user(json.dumps(value) if isinstance(value, (list, dict)) else str(value))[:_LONGEST]


def _identity(number: int, point: Sequence[Any]) -> tuple[int, str, int, str]:
    key, value, step = point
    # As text, since NaN is not equal to itself.
    return number, key, step, "" if key.startswith(_TIMES) else repr(value)
