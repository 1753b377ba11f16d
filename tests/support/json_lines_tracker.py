"""A tracker from outside the project: it appends a JSON line to a file for each thing that it is told."""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.state.records import InitialSummary, RoundRecord
from orchestrator.state.run_end import RunStatus
from orchestrator.tracking.base import CorpusRole, Repair, TrackedRound, TrackedRun
from orchestrator.tracking.registry import TRACKERS

FILE = "told.jsonl"


@dataclass(frozen=True)
class JsonLinesRound:
    """A round, known by its number."""

    number: int

    @property
    def run_id(self) -> str:
        """Its id in the file."""
        return f"round-{self.number}"


@TRACKERS.register("json_lines")
class JsonLinesTracker:
    """Tells a file in the run directory."""

    waiting = 0
    undelivered = None

    def __init__(self, run: TrackedRun) -> None:
        self._run, self._file = run, run.directory.path / FILE
        self.view = f"cat {self._file}"

    def _tell(self, what: str, **values: Any) -> None:
        self._run.directory.writer.check()
        with open(self._file, "a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, **values}) + "\n")

    def check_reachable(self) -> None:
        """A file is always there."""

    def start(self, params: Mapping[str, Any]) -> None:
        self._tell("start", experiment=self._run.experiment, seed=params["seed"])

    def log_initial(self, summary: InitialSummary) -> None:
        self._tell("initial", accuracy=summary.annotation_accuracy)

    @contextmanager
    def round(self, number: int) -> Iterator[JsonLinesRound]:
        self._tell("begin", round=number)
        yield JsonLinesRound(number)
        self._tell("end", round=number)

    def log_losses(self, round_: TrackedRound, losses: Sequence[Mapping[str, float]]) -> None:
        self._tell("losses", round=round_.number, steps=[int(row["step"]) for row in losses])

    def log_record(self, round_: TrackedRound, record: RoundRecord) -> None:
        self._tell("record", round=round_.number, metrics=record.metrics)

    def log_repairs(self, round_: TrackedRound, repairs: Sequence[Repair]) -> None:
        self._tell("repairs", round=round_.number, clauses=[f"{each.tile_id} {each.clause}" for each in repairs])

    def log_metrics(self, values: Mapping[str, float], step: int, round_: TrackedRound | None = None) -> None:
        self._tell("metrics", values=dict(values), step=step, round=round_ and round_.number)

    def log_corpus(self, round_: TrackedRound, table: Path, version: int, digest: str, role: CorpusRole) -> None:
        self._tell("corpus", round=round_.number, table=table.name, version=version, digest=digest, role=role)

    def log_checkpoint(self, round_: TrackedRound, weights_dir: Path, weights_sha256: str) -> None:
        self._tell("checkpoint", round=round_.number, weights=weights_dir.name, sha256=weights_sha256)

    def log_files(self, round_: TrackedRound | None, paths: Sequence[Path], folder: str) -> None:
        self._tell("files", round=round_ and round_.number, names=[path.name for path in paths])

    def log_tags(self, tags: Mapping[str, str]) -> None:
        self._tell("tags", tags=dict(tags))

    def log_prompts(self, texts: Mapping[str, str], sha256: str) -> None:
        self._tell("prompts", names=sorted(texts), sha256=sha256)

    def describe(self, text: str) -> None:
        self._tell("describe", text=text)

    def log_champion(self, number: int, held_out: float) -> None:
        self._tell("champion", round=number)

    def log_deletion(self, number: int) -> None:
        self._tell("deletion", round=number)

    def finish(self, status: RunStatus) -> None:
        self._tell("finish", status=status)

    def deliver(self) -> None:
        """Nothing waits."""


def told(run_dir: Path) -> list[dict[str, Any]]:
    """What was told of a run, in order."""
    return [json.loads(line) for line in (run_dir / FILE).read_text(encoding="utf-8").splitlines()]
