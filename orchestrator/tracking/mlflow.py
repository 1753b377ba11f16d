"""A run's MLflow record: one parent run per loop, one child run per round, the same ones after a restart.

Ray Train v2 has no MLflow callback, so the loop owns the runs. Everything goes through the outbox in the run directory,
so that the loop goes on while the tracking server is away.

MLflow itself is imported where it is used: `knowlip status` asks a tracker what waits and where to look, at once.
"""

import logging
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from corpus.storage.redaction import without_user
from corpus.storage.state_files import RecordError, read_json
from orchestrator.state.records import InitialSummary, RoundRecord, record_path
from orchestrator.state.run_end import RunStatus, status_of
from orchestrator.tracking.base import (
    CorpusRole,
    Repair,
    TrackedRound,
    TrackedRun,
)
from orchestrator.tracking.charts import LOSS, of_initial, of_record
from orchestrator.tracking.description import of_round
from orchestrator.tracking.mlflow_points import MetricPoints, key_of, text_of
from orchestrator.tracking.mlflow_store import (
    IN_RUN_DIR,
    RUNS_FILE,
    TrackedRuns,
    local_store,
    opening,
    say,
    sign_in,
    store_name,
    tracking_uri,
    ui_command,
)
from orchestrator.tracking.outbox import LOOP, Outbox, RunGone, open_runs

_STATUS: dict[RunStatus, str] = {"finished": "FINISHED", "failed": "FAILED", "interrupted": "KILLED"}
_SECRET = re.compile(r"(?:^|_)(?:token|secret|password|passwd|api_?key|credentials?)$", re.IGNORECASE)
_PICKLED = {".pt", ".pth", ".bin", ".pkl", ".pickle"}
_DESCRIPTION = "mlflow.note.content"
_FACTS = {"user": "mlflow.user", "source": "mlflow.source.name", "git_commit": "mlflow.source.git.commit"}


class MlflowRound:
    """The MLflow run of one round."""

    def __init__(self, runs: TrackedRuns, number: int) -> None:
        self._runs, self.number = runs, number

    @property
    def run_id(self) -> str | None:
        """The id in MLflow; None until the server, being away, has created the run."""
        return self._runs.run_id(self.number)


class MlflowTracker:
    """Writes one run of the loop to MLflow.

    The store is a SQLite file (`local_store`), unless MLFLOW_TRACKING_URI names another one. A store that
    cannot be reached is no error: what is written waits in the run directory. What the store refuses is one, and so is
    that it has lost the run; the next start enters it there again.
    """

    def __init__(self, run: TrackedRun) -> None:
        self._run, self._run_dir = run, run.directory.path.resolve()
        self._uri = sign_in(tracking_uri(self._run_dir))
        self._opened: tuple[TrackedRuns, Outbox, MetricPoints] | None = None
        # The store's migrations report every step at INFO on the first use; and what it raises it logs too, at length.
        logging.getLogger("alembic").setLevel(logging.WARNING)
        logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)

    def check_reachable(self) -> None:
        """Open the store that MLFLOW_TRACKING_URI names, if it does, and look for the run's experiment.

        Raises:
            TrackerAway: There is no answer.
            TrackerMisconfigured: There is no such store, or its driver is not installed.
            TrackerUnusable: It cannot be opened, or the experiment is deleted in it.
        """
        if not (named := os.environ.get("MLFLOW_TRACKING_URI")):
            return
        from orchestrator.tracking.mlflow_reach import check_store

        check_store(named, self._uri, self._run.experiment)

    @property
    def waiting(self) -> int:
        """How many entries wait for the store, also while another process works on the run."""
        return Outbox(self._run.directory, lambda entry: None).waiting

    @property
    def view(self) -> str:
        """The shell command that shows the run in the browser."""
        return ui_command(self._run_dir)

    @property
    def undelivered(self) -> str | None:
        """What to tell the user while entries wait for the store, or None."""
        if self._opened is None or not (waiting := self._outbox.waiting):
            return None
        problem = self._outbox.last_problem
        why = f" ({without_user(problem)[:300]})" if problem else ""
        return (
            f"MLflow at {without_user(self._uri)} cannot be told, so {waiting} entries wait in {self._run_dir}{why}. "
            f"Deliver them, once it can, with: knowlip resume {self._run_dir}"
        )

    def run_id(self, number: int = LOOP) -> str | None:
        """The MLflow id of a round's run, or of the parent run; None until the store has made it."""
        return self._runs.run_id(number)

    def start(self, params: Mapping[str, Any]) -> None:
        """Begin the parent run, or go on with the one of an earlier start.

        Args:
            params: The configuration with dotted keys. Values of secret-looking keys are left out.
        """
        self._open()
        with self._entering_again():
            self._outbox.write("open", LOOP, {})
        texts = {
            key_of(name): text_of(value)
            for name, value in params.items()
            if not _SECRET.search(name.rsplit(".", 1)[-1])
        }
        self._outbox.write("params", LOOP, {"params": texts})
        if facts := self._run.facts:
            self.log_tags({_FACTS.get(name, f"knowlip.{name}"): value for name, value in facts.items()})

    def finish(self, status: RunStatus) -> None:
        """Close the parent run, and try to deliver all that waits."""
        if self._opened is None:
            return
        for number in sorted(open_runs(self._outbox.entries()) - {LOOP}):
            self._close_round(number, status)  # a driver was killed before it could
        self._outbox.write("close", LOOP, {"status": _STATUS[status]})
        self._outbox.flush()

    def deliver(self) -> None:
        """Deliver what an ended run left."""
        self._open()
        with self._entering_again():
            self._outbox.flush()

    def log_initial(self, summary: InitialSummary) -> None:
        """What the run starts from, as step 0 of the parent's charts."""
        self.log_metrics(of_initial(summary), step=0)

    @contextmanager
    def round(self, number: int) -> Iterator[MlflowRound]:
        """Keep a child run open while the body runs. A round that was interrupted and runs again goes on with its own.

        A body that raises before the round's record is written leaves the child FAILED, or KILLED if the user
        interrupted it.
        """
        self._outbox.write("open", number, {})
        try:
            yield MlflowRound(self._runs, number)
        except BaseException as error:
            with suppress(Exception):  # `finish` closes it then, and the error of the body is the one to be raised
                self._close_round(number, status_of(error))
            raise
        self._close_round(number, "finished")

    def log_losses(self, round_: TrackedRound, losses: Sequence[Mapping[str, float]]) -> None:
        """Per-step losses: one mapping a step, with `step` counted over the run; also on the parent, as one curve."""
        points = [
            (f"{LOSS}{key_of(name)}", float(value), int(row["step"]))
            for row in losses
            for name, value in row.items()
            if name != "step"
        ]
        self._points.write(round_.number, points, with_parent=True)

    def log_record(self, round_: TrackedRound, record: RoundRecord) -> None:
        """The numbers of a round's record, on its own run and, with the round as step, on the parent."""
        points = [(key_of(name), float(value), record.round) for name, value in of_record(record).items()]
        self._points.write(round_.number, points, with_parent=True, of_model=True)
        self._outbox.write(
            "tags",
            round_.number,
            {
                "tags": {
                    "knowlip.corpus_digest": record.corpus_digest,
                    "knowlip.seed": str(record.seed),
                    "knowlip.weights_sha256": record.weights_sha256,
                    _DESCRIPTION: of_round(record),
                }
            },
        )

    def log_repairs(self, round_: TrackedRound, repairs: Sequence[Repair]) -> None:
        """Enter each repair as a trace of the round's run and of the parent, with a span for each label source."""
        if repairs:
            pictures = {f"{at}.jpg": each.picture for at, each in enumerate(repairs) if each.picture is not None}
            values = {"repairs": [{**asdict(each), "picture": None} for each in repairs]}
            self._outbox.write("repairs", round_.number, values, files=pictures)

    def log_metrics(self, values: Mapping[str, float], step: int, round_: TrackedRound | None = None) -> None:
        """Numbers of the parent run, or of a round's own."""
        number = LOOP if round_ is None else round_.number
        self._points.write(number, [(key_of(name), float(value), step) for name, value in values.items()])

    def log_corpus(self, round_: TrackedRound, table: Path, version: int, digest: str, role: CorpusRole) -> None:
        """Enter a version of the annotations (a Delta table) as a dataset of the round, with its role as context.

        MLflow has no datasets among the outputs of a run.
        """
        self._outbox.write(
            "dataset",
            round_.number,
            {"table": self._inside(table), "version": version, "digest": digest, "context": role},
        )

    def log_checkpoint(self, round_: TrackedRound, weights_dir: Path, weights_sha256: str) -> None:
        """Enter a round's weights, below the run directory, as a logged model.

        Only the reference is entered.

        Raises:
            ValueError: The folder holds a pickled file.
        """
        weights_dir = Path(weights_dir)
        pickles = [path.name for path in weights_dir.rglob("*") if path.suffix in _PICKLED]
        if pickles:
            raise ValueError(f"{weights_dir} holds pickled files ({', '.join(pickles)}); only safetensors are tracked")
        self._outbox.write(
            "model", round_.number, {"weights": self._inside(weights_dir), "weights_sha256": weights_sha256}
        )

    def log_tags(self, tags: Mapping[str, str]) -> None:
        """Tags of the parent run; a later value takes the place of an earlier one."""
        self._outbox.write("tags", LOOP, {"tags": dict(tags)})

    def log_prompts(self, texts: Mapping[str, str], sha256: str) -> None:
        """Enter the templates as a version of a prompt, unless one has this hash, and tag the parent run with it.

        Harmless before `start`.
        """
        if self._opened is not None:
            text = "\n".join(f"{{# {name} #}}\n{text}" for name, text in sorted(texts.items()))
            self._outbox.write("prompt", LOOP, {"sha256": sha256, "text": text})

    def describe(self, text: str) -> None:
        """Set the description of the parent run. Harmless before `start`."""
        if self._opened is not None:
            self.log_tags({_DESCRIPTION: text})

    def log_champion(self, number: int, held_out: float) -> None:
        """Register a round's logged model, and have the alias `champion` name it if it beats the one that has it.

        The registered model has the name of the experiment, so that its champion is the best of all its runs.
        """
        self._outbox.write("champion", number, {"held_out": held_out})

    def log_deletion(self, number: int) -> None:
        """The weights of a round are about to be deleted: its run and its logged model say so from now on."""
        self._outbox.write("deletion", number, {})

    def log_files(self, round_: TrackedRound | None, paths: Sequence[Path], folder: str) -> None:
        """Copy files into a run's artifacts: the round's, or the parent's where round_ is None."""
        if paths:
            self._outbox.write("files", LOOP if round_ is None else round_.number, {"folder": folder}, files=paths)

    @property
    def _runs(self) -> TrackedRuns:
        return self._need_start()[0]

    @property
    def _outbox(self) -> Outbox:
        return self._need_start()[1]

    @property
    def _points(self) -> MetricPoints:
        return self._need_start()[2]

    def _need_start(self) -> tuple[TrackedRuns, Outbox, MetricPoints]:
        if self._opened is None:
            raise RuntimeError("the tracker was not started")
        return self._opened

    @property
    def _file(self) -> Path:
        return self._run_dir / RUNS_FILE

    @property
    def _where(self) -> str:
        return store_name(self._run_dir, self._uri)

    def _open(self) -> None:
        from mlflow import MlflowClient

        from orchestrator.tracking.mlflow_delivery import Delivery

        if self._file.exists():
            runs = read_json(self._run_dir, self._file, TrackedRuns)
            if runs.tracking_uri != self._where:
                raise RecordError(
                    f"This run is tracked at {runs.tracking_uri}, but now MLFLOW_TRACKING_URI asks for "
                    f"{self._where}. Set or unset it as before, or start a new run."
                )
        else:
            runs = TrackedRuns(tracking_uri=self._where)
        self._save(runs)  # the key must be on disk before a run is created with it
        folder = local_store(self._run_dir)
        location = (folder / "mlartifacts").as_uri() if self._where == IN_RUN_DIR else None
        with opening(self._run_dir, self._uri):
            client = MlflowClient(tracking_uri=self._uri)
        outbox = Outbox(self._run.directory, Delivery(client, self._run, runs, lambda: self._save(runs), location))
        self._opened = runs, outbox, MetricPoints(outbox)

    @contextmanager
    def _entering_again(self) -> Iterator[None]:
        """The body delivers. A store that has lost the run gets all of the outbox again.

        It goes into new runs, or into those that the store still has.
        """
        try:
            yield
        except RunGone as error:
            say(
                f"{error.lost} The run is entered there once more, from its beginning; only files that were sent "
                "before are not sent again."
            )
            self._outbox.begin_again()  # first: an interrupt before the ids are forgotten comes here again
            self._runs.forget()
            self._save(self._runs)
            self._outbox.flush()

    def _close_round(self, number: int, status: RunStatus) -> None:
        # A round that is recorded is over, and is never run again.
        recorded = record_path(self._run_dir, number).exists()
        self._outbox.write("close", number, {"status": _STATUS["finished" if recorded else status]})

    def _save(self, runs: TrackedRuns) -> None:
        self._run.directory.write_json(self._file, runs)

    def _inside(self, path: Path) -> str:
        return str(Path(path).resolve().relative_to(self._run_dir))
