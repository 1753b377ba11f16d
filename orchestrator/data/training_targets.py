"""What a round leaves for the next one's training: targets, hints, and the rows made of them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from corpus.storage.errors import ConfigError
from corpus.storage.parquet import read_parquet
from corpus.storage.writer import Writer
from hcot_llm.aggregation.matrix import AnnotationMatrix
from hcot_llm.aggregation.posterior import ACCURACY
from orchestrator.policies.schedule import RoundPlan
from orchestrator.policies.selection import copies, rare_landforms, shows_seed


@dataclass(frozen=True)
class Lesson:
    """What a round says of the n training tiles, in their order.

    trusted, reconstructed: bool [n, C], see TrainingRow. hints: n times C texts.
    """

    trusted: np.ndarray
    reconstructed: np.ndarray
    hints: list[list[str]]

    @staticmethod
    def first(tiles: int, clauses: int) -> "Lesson":
        """Before round 1 all is taught and nobody has said anything."""
        everything = np.ones((tiles, clauses), dtype=bool)
        return Lesson(everything, everything, [[""] * clauses for _ in range(tiles)])

    @staticmethod
    def read(path: Path) -> "Lesson":
        table = read_parquet(path)
        return Lesson(
            np.asarray(table["trusted"].to_pylist()),
            np.asarray(table["reconstructed"].to_pylist()),
            table["hints"].to_pylist(),
        )

    def write(self, path: Path, writer: Writer) -> None:
        """Write what `read` reads, in one step; errors as of `Writer.place`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        writer.remove_unfinished(path.parent)
        columns = {
            "trusted": self.trusted.tolist(),
            "reconstructed": self.reconstructed.tolist(),
            "hints": self.hints,
        }
        with writer.place(path, "the encoder's feedback") as partial:
            pq.write_table(pa.table(columns), partial)


@dataclass(frozen=True)
class Shown:
    """What a round shows of the n training tiles: values int [n, C], their confidence float [n, C], and which of them
    are trusted and reconstructed, bool [n, C], see TrainingRow.
    """

    values: np.ndarray
    confidence: np.ndarray
    trusted: np.ndarray
    reconstructed: np.ndarray


def shown(
    training: AnnotationMatrix, seed: AnnotationMatrix, lesson: Lesson, plan: RoundPlan, *, run_seed: int, round_: int
) -> Shown:
    """The newest annotations, but the seed's for the share of tiles that the plan wants.

    Args:
        training, seed: current and first annotations of the n training tiles.
    """
    old = shows_seed(training.tile_ids, plan.seed_caption_share, run_seed, round_)[:, None]
    # An old caption is shown whole: what was replaced since then is taught as it was.
    restored = old & (training.values != seed.values)
    return Shown(
        np.where(old, seed.values, training.values),
        np.where(old, seed.confidence, training.confidence),
        lesson.trusted | restored,
        lesson.reconstructed | restored,
    )


def label_accuracy(shown: Shown) -> tuple[float, ...]:
    """Expected share of right labels of each clause among those that are taught, by their confidence.

    Rounded to thousandths: a captioner that was killed and asked again may differ in the last digits of a probability,
    and the training that follows has to be the same, bit for bit.
    """
    taught = np.where(shown.trusted, shown.confidence, np.nan)
    return tuple(
        round(float(np.clip(np.nanmean(column), *ACCURACY)), 3) if not np.isnan(column).all() else ACCURACY[1]
        for column in taught.T
    )


def training_rows(
    training: AnnotationMatrix,
    shown: Shown,
    lesson: Lesson,
    knowledge: Mapping[str, str],
    plan: RoundPlan,
    *,
    run_seed: int,
    round_: int,
) -> pa.Table:
    """One row for each training tile, as the shuffler takes it; without a copy where all clauses are too doubtful.

    Args:
        training: current annotations of the n training tiles. knowledge: one line per tile.

    Raises:
        ConfigError: all clauses of all tiles are.
    """
    teaches = shown.reconstructed.any(axis=1)
    if not teaches.any():
        raise ConfigError(
            f"Round {round_} has nothing to train on: no clause of any tile is as probable as "
            "acceptance.minimum_trust. Lower that key."
        )
    rare = rare_landforms(training, lesson.reconstructed)
    return pa.table(
        {
            "tile_id": list(training.tile_ids),
            "values": shown.values.tolist(),
            "trusted": shown.trusted.tolist(),
            "reconstructed": shown.reconstructed.tolist(),
            "copies": copies(training.tile_ids, rare, plan.rare_landform_factor, run_seed, round_) * teaches,
            "knowledge": [knowledge[tile_id] for tile_id in training.tile_ids],
            "hints": lesson.hints,
        }
    )
