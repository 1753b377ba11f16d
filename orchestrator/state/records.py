"""Round records: one JSON file a round, written last and in one step. A round without a record did not happen."""

import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from corpus.storage.models import StateModel
from corpus.storage.state_files import RecordError, StateFolder, read_json
from hcot_llm.schema.errors import SchemaMismatch

if TYPE_CHECKING:
    from hcot_llm.schema.annotation_schema import AnnotationSchema

PHASES = ("train", "publish", "score", "label", "refresh", "evaluate")
ACCURACY = "annotation_accuracy"
"""Name of the metric that a run is about."""
_SHA256 = r"^[0-9a-f]{64}$"
_FILE_NAME = re.compile(r"\d{4,}\.json")


class Counts(StateModel):
    """Clauses of one round.

    All but the last are of training tiles. regenerated counts the clauses that the captioner answered; accepted and
    rejected divide the weighed proposals; invalid counts answers that could not be used, also on held-out tiles.
    """

    scored: int = Field(ge=0)
    flagged: int = Field(ge=0)
    regenerated: int = Field(ge=0)
    accepted: int = Field(ge=0)
    rejected: int = Field(ge=0)
    invalid: int = Field(ge=0)


class Timings(StateModel):
    """Elapsed wall-clock time of the loop in seconds. total_s includes startup_s, zero after a run's first round.

    Of training that goes on while labels are written (schedule.staleness), train_s has what the loop waits for.
    """

    startup_s: float = Field(ge=0)
    train_s: float = Field(ge=0)
    publish_s: float = Field(ge=0)
    score_s: float = Field(ge=0)
    label_s: float = Field(ge=0)
    refresh_s: float = Field(ge=0)
    evaluate_s: float = Field(ge=0)
    total_s: float = Field(ge=0)
    unaccounted_s: float = Field(description="total_s minus all the others")

    @model_validator(mode="after")
    def _adds_up(self) -> "Timings":
        rest = self.total_s - self.startup_s - sum(getattr(self, f"{phase}_s") for phase in PHASES)
        if abs(rest - self.unaccounted_s) > 0.01:
            raise ValueError(f"unaccounted_s is {self.unaccounted_s}, but total_s minus the phases is {rest:.3f}")
        return self


class RoundRecord(StateModel):
    """What one round came to, and what it takes to read its corpus, weights and MLflow run again."""

    round: int = Field(ge=1)
    run_id: str = Field(min_length=1)
    corpus_version: int = Field(ge=0, description="version of the Delta table after this round")
    corpus_digest: str = Field(min_length=8, description="hash of the annotations' content, whatever the file layout")
    weights_sha256: str = Field(pattern=_SHA256, description="of the published model, the first fold's")
    fold_weights_sha256: tuple[str, ...] = Field(default=(), description="of the other folds' models, in their order")
    captioner: str = Field(
        default="native",
        description="what labelled: native (these weights, proven by the probe), or the "
        "name and place of a model that is not trained here, of whose weights nothing is known",
    )
    schema_sha256: str = Field(pattern=_SHA256, description="of the annotation schema")
    seed: int
    tracking_id: str | None = Field(
        description="the tracker's id of the round; null if it has none, or its server was away then: mlflow_runs.json "
        "has the id once the round is delivered"
    )
    world_size: int = Field(ge=1, description="trainer workers at the end of the round")
    trained_on_version: int | None = Field(
        default=None, ge=0, description="version of the Delta table that the weights were trained on; null: not known"
    )
    trained_ahead_s: float = Field(
        default=0,
        ge=0,
        description="seconds of the training that went by while other labels were written; train_s has the rest",
    )
    trained_tiles: int | None = Field(
        default=None, ge=0, description="tiles that were shown in training, each pass and fold counted; null: not known"
    )
    generated_tokens: int | None = Field(
        default=None, ge=0, description="tokens of the captioner's answers, 0 where it does not say; null: not known"
    )
    counts: Counts
    metrics: dict[str, float | None] = Field(description="by name; annotation_accuracy is null without truth")
    accuracy_by_clause: dict[str, float | None] | None = Field(
        default=None, description="annotation accuracy; null without truth"
    )
    timings: Timings
    cpu_s: dict[str, float] | None = Field(
        default=None,
        description="CPU time in seconds that the run's processes on the driver's node used, by phase; startup and "
        "unaccounted are phases here; null where it was not measured",
    )
    end: str | None = Field(
        default=None, description="why the run ends after this round although it has more; else null"
    )


def is_over(records: Sequence[RoundRecord], rounds: int) -> bool:
    """Return whether a run of `rounds` rounds has no further one to do."""
    return len(records) >= rounds or (len(records) > 0 and records[-1].end is not None)


class InitialSummary(StateModel):
    """What a run started from, written once before its first round."""

    annotation_accuracy: float | None = Field(description="of the initial annotations; null without truth")
    accuracy_by_clause: dict[str, float | None] | None = None
    metrics: dict[str, float | None] = Field(
        default_factory=dict, description="what the rounds' records have too, of the initial annotations"
    )
    tiles: int = Field(ge=0)
    quarantined: int = Field(ge=0)
    simulated: bool
    pretrained: dict[str, str] = Field(
        default_factory=dict,
        description="towers that started from weights of timm or Hugging Face: section of the model -> file's SHA-256",
    )


class PhaseClock:
    """Measures the phases of one round. Phases follow each other; the times of a phase that is entered twice add up.

    Args:
        startup_s: Seconds spent on start-up before this clock was made. A run's first round has them.
        startup_cpu_s: CPU time of the run's processes during the start-up, in seconds.
        cpu_s: Returns the CPU time that the run's processes have used until now, in seconds; None: not measured.
    """

    def __init__(
        self, startup_s: float = 0.0, startup_cpu_s: float = 0.0, cpu_s: Callable[[], float] | None = None
    ) -> None:
        self._startup_s, self._startup_cpu_s, self._cpu_s = startup_s, startup_cpu_s, cpu_s
        self._begun = time.monotonic()
        self._cpu_begun = cpu_s() if cpu_s else 0.0
        self._spent = dict.fromkeys(PHASES, 0.0)
        self._cpu_spent = dict.fromkeys(PHASES, 0.0)
        self._current: str | None = None

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Measure the body as phase `name`, also when it raises.

        Raises:
            ValueError: There is no such phase, or another one is still open.
        """
        if name not in self._spent:
            raise ValueError(f"unknown phase {name!r}; phases are {', '.join(PHASES)}")
        if self._current is not None:
            raise ValueError(f"phase {name!r} begins inside phase {self._current!r}; phases do not overlap")
        self._current, begun = name, time.monotonic()
        cpu_begun = self._cpu_s() if self._cpu_s else 0.0
        try:
            yield
        finally:
            if self._cpu_s:
                self._cpu_spent[name] += self._cpu_s() - cpu_begun
            self._spent[name] += time.monotonic() - begun
            self._current = None

    def timings(self) -> Timings:
        """Return the times up to now, rounded to milliseconds."""
        phases = {f"{name}_s": round(spent, 3) for name, spent in self._spent.items()}
        startup = round(self._startup_s, 3)
        total = round(self._startup_s + time.monotonic() - self._begun, 3)
        return Timings(
            startup_s=startup, **phases, total_s=total, unaccounted_s=round(total - startup - sum(phases.values()), 3)
        )

    def cpu_times(self) -> dict[str, float] | None:
        """Return the CPU time up to now in seconds, by phase, rounded to milliseconds; None where it is not measured.

        `startup` and `unaccounted` are phases here.
        """
        if self._cpu_s is None:
            return None
        rest = self._cpu_s() - self._cpu_begun - sum(self._cpu_spent.values())
        spent = {"startup": self._startup_cpu_s, **self._cpu_spent, "unaccounted": max(rest, 0.0)}
        return {phase: round(seconds, 3) for phase, seconds in spent.items()}


def record_path(run_dir: Path, round_: int) -> Path:
    """Return where a round's record lies: rounds/0001.json for round 1."""
    return Path(run_dir) / "rounds" / f"{round_:04d}.json"


def write_record(directory: StateFolder, record: RoundRecord) -> Path:
    """Write a round's record in one step and return its path. It is still there after a power cut.

    Raises:
        LeaseLost: Another driver has taken over; nothing was written.
        DiskFull: The record does not fit on the disk; nothing was written.
        RecordError: The round has a record already, or rounds/ leads out of the run directory.
    """
    path = record_path(directory.path, record.round)
    if path.exists():
        raise RecordError(
            f"{path} exists already; a recorded round is not written again. Resume the run after its "
            "last round, or use another run directory."
        )
    return directory.write_json(path, record)


def read_records(run_dir: Path) -> list[RoundRecord]:
    """Return all records of a run, by round; none when no round has finished.

    Raises:
        RecordError: A file is damaged, has another round's record, is missing in between, or leads out of the run
            directory.
    """
    folder = Path(run_dir) / "rounds"
    if not folder.is_dir():
        return []
    found = (path for path in folder.iterdir() if _FILE_NAME.fullmatch(path.name))
    paths = sorted(found, key=lambda path: int(path.stem))
    records = [read_json(run_dir, path, RoundRecord) for path in paths]
    for number, (path, record) in enumerate(zip(paths, records, strict=True), start=1):
        if record.round != int(path.stem):
            raise RecordError(
                f"{path} holds the record of round {record.round}. It was renamed or copied; move it back."
            )
        if record.round != number:
            raise RecordError(
                f"{folder} has no record of round {number} but one of round {record.round}. Restore "
                f"{number:04d}.json, or remove the records after the gap and resume."
            )
    return records


def check_recorded_schema(run_dir: Path, records: Sequence[RoundRecord], schema: "AnnotationSchema") -> None:
    """See that a run's records are of the schema that its configuration has now.

    Args:
        run_dir: Directory of the run.
        records: Records of the run.
        schema: Schema that its configuration has now.

    Raises:
        SchemaMismatch: A round was recorded with another schema; both are named.
    """
    for record in records:
        if record.schema_sha256 != schema.digest:
            raise SchemaMismatch(
                f"Round {record.round} of {run_dir} was recorded with the annotation schema "
                f"{record.schema_sha256[:12]}, but the run's config.yaml now has the schema {schema.label}. A run "
                "keeps its schema: restore `schema` in config.yaml from a copy, or start a new run with the other one."
            )


def write_initial_summary(directory: StateFolder, summary: InitialSummary) -> None:
    """Write initial.json; again on a resume, with the same content."""
    directory.write_json("initial.json", summary)


def read_initial_summary(run_dir: Path) -> InitialSummary | None:
    """Return what the run started from, None before the first round."""
    path = Path(run_dir) / "initial.json"
    return read_json(run_dir, path, InitialSummary) if path.exists() else None
