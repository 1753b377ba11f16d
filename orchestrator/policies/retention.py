"""Which files of old rounds are deleted. orchestrator/state/deletion.py carries the decision out.

A round leaves weights, the captioner's shards and the encoder's feedback. To go on, a run needs the weights that it
started from and the feedback of its last round. So a round's files are deleted once enough newer rounds are recorded,
except for the champion's. Annotations are never deleted: every version stays in the Delta table.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from pydantic import Field

from corpus.storage.models import StrictModel

KINDS = ("weights", "labels", "feedback")
CHAMPION_METRIC = "held_out_log_likelihood"


class RecordedRound(Protocol):
    """What the policy reads of a round's record."""

    @property
    def round(self) -> int:
        """Number of the round, counted from 1."""
        ...

    @property
    def metrics(self) -> Mapping[str, float | None]:
        """The round's numbers by name."""
        ...


class RetentionConfig(StrictModel):
    """What is kept of old rounds. Annotations, records and what MLflow holds always are."""

    delete: bool = Field(default=True, description="delete weights, shards and feedback of old rounds; false keeps all")
    keep_rounds: int = Field(default=2, ge=2, description="newest recorded rounds of which everything is kept")
    champion: Literal["held_out", "last"] = Field(
        default="held_out",
        description="the round that is kept as the best: the one with the highest held-out likelihood of the initial "
        "annotations (no truth is read), or the last one",
    )


@dataclass(frozen=True)
class Leftover:
    """What a round left on disk: kind (one of KINDS), round, path."""

    kind: str
    round: int
    path: Path


@dataclass(frozen=True)
class Plan:
    """What to delete, oldest round first, and the champion, None before the first record."""

    champion: int | None
    delete: tuple[Leftover, ...]


def champion(records: Sequence[RecordedRound], config: RetentionConfig) -> int | None:
    """Number of the best recorded round; None before the first record.

    Of rounds with equal metrics the newest one is the best. Where no round has the metric, it is the last one.
    """
    if not records:
        return None
    values = [(value, record.round) for record in records if (value := record.metrics.get(CHAMPION_METRIC)) is not None]
    return records[-1].round if config.champion == "last" or not values else max(values)[1]


def plan_retention(records: Sequence[RecordedRound], found: Iterable[Leftover], config: RetentionConfig) -> Plan:
    """Decide what to delete.

    Nothing goes of a round without a record, because that round is under way. Round 0 stays: trainers start from it.
    """
    best = champion(records, config)
    if not config.delete:
        return Plan(best, ())
    recorded = {record.round for record in records}
    kept = {*sorted(recorded)[-config.keep_rounds :], best}
    return Plan(
        best,
        tuple(
            sorted((each for each in found if each.round in recorded - kept), key=lambda each: (each.round, each.kind))
        ),
    )
