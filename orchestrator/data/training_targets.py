"""The training targets that a round leaves for the next one, and the training rows made of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from actors.data.round_rows import RoundRows
from corpus.storage.arrow import array_of, lists
from corpus.storage.errors import ConfigError
from corpus.storage.parquet import read_parquet
from corpus.storage.writer import Writer
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.people import PERSON
from hcot_llm.aggregation.wholly_wrong import ACCURACY
from orchestrator.policies.schedule import RoundPlan
from orchestrator.policies.selection import copies, rare_landforms, shows_initial


@dataclass(frozen=True)
class TrainingTargets:
    """What the next round is trained towards, of the n training tiles in their order.

    Attributes:
        caption_mask: bool [n, clauses], the clauses that captions show and the clause losses have as targets.
        loss_mask: bool [n, clauses], the clauses that the captioner is trained to write.
        hints: n lists with a text for each clause, the encoder's feedback for the captioner's prompt.
    """

    caption_mask: np.ndarray
    loss_mask: np.ndarray
    hints: Sequence[Sequence[str]] | pa.Array

    @staticmethod
    def first(tiles: int, clauses: int) -> "TrainingTargets":
        """The targets of round 1: all clauses, without hints."""
        everything = np.ones((tiles, clauses), dtype=bool)
        return TrainingTargets(everything, everything, [[""] * clauses for _ in range(tiles)])

    def with_decided(self, decided: np.ndarray) -> "TrainingTargets":
        """The same, with the clauses that people decided, bool [n, clauses], among the targets."""
        return replace(self, caption_mask=self.caption_mask | decided, loss_mask=self.loss_mask | decided)

    @staticmethod
    def read(path: Path) -> "TrainingTargets":
        """Read what `write` wrote."""
        table = read_parquet(path)
        return TrainingTargets(
            array_of(table["caption_mask"]),
            array_of(table["loss_mask"]),
            table["hints"].combine_chunks(),
        )

    def write(self, path: Path, writer: Writer) -> None:
        """Write what `read` reads, in one step; errors as of `Writer.place`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        writer.remove_unfinished(path.parent)
        columns = {
            "caption_mask": lists(self.caption_mask),
            "loss_mask": lists(self.loss_mask),
            "hints": self.hints,
        }
        with writer.place(path, "the encoder's feedback") as partial:
            pq.write_table(pa.table(columns), partial)


@dataclass(frozen=True)
class TrainingSet:
    """What one round is trained on.

    Attributes:
        round: Number of the round.
        version: Version of the annotations in the Delta table.
        digest: Hash of the annotations' content.
        rows: Shuffled training rows, of each fold.
        label_accuracy: Per clause the expected share of right values among those that are training targets.
    """

    round: int
    version: int
    digest: str
    rows: tuple[RoundRows, ...]
    label_accuracy: tuple[float, ...]


@dataclass(frozen=True)
class TrainingView:
    """The annotations as one round's training sees them, of the n training tiles in their order.

    Attributes:
        values: int [n, clauses].
        confidence: float [n, clauses], of those values.
        caption_mask: bool [n, clauses], as in TrainingTargets.
        loss_mask: bool [n, clauses], as in TrainingTargets.
    """

    values: np.ndarray
    confidence: np.ndarray
    caption_mask: np.ndarray
    loss_mask: np.ndarray


def training_view(
    training: AnnotationMatrix,
    initial: AnnotationMatrix,
    targets: TrainingTargets,
    plan: RoundPlan,
    *,
    run_seed: int,
    round_: int,
) -> TrainingView:
    """Choose what a round's training sees: the newest annotations, but the initial ones of the planned share of tiles.

    Args:
        training: current annotations of the n training tiles.
        initial: their initial annotations.
        targets: Training targets that the round before left.
        plan: Plan of the round.
        run_seed: Seed of the run.
        round_: number of the round, counted from 1.
    """
    # What a person decided is shown as it was decided.
    old = shows_initial(training.tile_ids, plan.initial_caption_share, run_seed, round_)[:, None]
    old = old & (training.source != PERSON)
    # An old caption is seen whole: a value that was replaced since then is a target as it was.
    restored = old & (training.values != initial.values)
    return TrainingView(
        np.where(old, initial.values, training.values),
        np.where(old, initial.confidence, training.confidence),
        targets.caption_mask | restored,
        targets.loss_mask | restored,
    )


def label_accuracy(view: TrainingView) -> tuple[float, ...]:
    """Expected share of right labels of each clause among those that are training targets, by their confidence.

    The share is rounded to thousandths. A captioner that was killed and queried again may differ in the last digits of
    a probability, and the training that follows has to be the same, bit for bit.
    """
    targeted = np.where(view.caption_mask, view.confidence, np.nan)
    return tuple(
        round(float(np.clip(np.nanmean(column), *ACCURACY)), 3) if not np.isnan(column).all() else ACCURACY[1]
        for column in targeted.T
    )


def training_rows(
    training: AnnotationMatrix,
    view: TrainingView,
    targets: TrainingTargets,
    knowledge: Mapping[str, str],
    plan: RoundPlan,
    *,
    run_seed: int,
    round_: int,
) -> pa.Table:
    """Make one row for each training tile, as the shuffler takes it. A tile without any target gets no copy.

    Args:
        training: current annotations of the n training tiles.
        view: Their annotations as the round's training sees them.
        targets: Training targets that the round before left.
        knowledge: one line of geographic knowledge by tile.
        plan: Plan of the round.
        run_seed: Seed of the run.
        round_: number of the round, counted from 1.

    Raises:
        ConfigError: No tile has a target.
    """
    has_target = view.loss_mask.any(axis=1)
    if not has_target.any():
        raise ConfigError(
            f"Round {round_} has nothing to train on: no clause of any tile is as probable as "
            "acceptance.minimum_trust. Lower that key."
        )
    rare = rare_landforms(training, targets.loss_mask)
    return pa.table(
        {
            "tile_id": list(training.tile_ids),
            "values": lists(view.values),
            "caption_mask": lists(view.caption_mask),
            "loss_mask": lists(view.loss_mask),
            "copies": copies(training.tile_ids, rare, plan.rare_landform_factor, run_seed, round_) * has_target,
            "knowledge": [knowledge[tile_id] for tile_id in training.tile_ids],
            "hints": targets.hints,
        }
    )
