"""What a round does with the rows of a corpus, without a cluster.

`python -m orchestrator.experiments.scale_path TILES` prints one JSON object of `PathReport`.

Annotations, images of 8 x 8 pixels and an encoder of one matrix are made up; everything between the encoder and the
next round's batches is the product's own code.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from actors.data.image_index import ImageIndex
from actors.data.round_rows import parts_of_round, rows_of_blocks
from actors.scorer.neighbours import nearest_tiles, pieces
from actors.trainer.config import TrainConfig
from actors.trainer.epoch_plan import EpochPlan
from corpus.annotations import AnnotationStore
from corpus.digest import annotation_digest
from corpus.storage.models import StrictModel
from corpus.storage.writer import UNGUARDED
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.feedback import Feedback, FlagConfig, flagged_clauses, hints_of_all
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table, one_hot_votes, split_by_clause
from hcot_llm.aggregation.relabel import Proposals, current_confidence, update_labels
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import default_schema
from orchestrator.data.annotation_rows import COLUMNS_BEFORE, COLUMNS_SEEN, annotation_rows
from orchestrator.data.training_targets import TrainingTargets, training_rows, training_view
from orchestrator.policies.schedule import Schedule, ScheduleConfig

PHASES = ("encode", "neighbours", "confidence", "weigh", "commit", "read", "targets", "order", "batches")
"""In the order of a round."""
ON_WORKERS = ("encode", "neighbours")
"""Phases that a run computes on its workers. All others are the driver's."""
ROWS_PER_BLOCK, HELD_OUT_SHARE, NEIGHBOURS, _WIDTH = 64, 0.1, 8, 64


class PhaseReport(StrictModel):
    """What one phase took."""

    wall_s: float = Field(description="seconds")
    cpu_s: float = Field(description="CPU seconds of the process")
    peak_mib: float = Field(description="largest memory of the process meanwhile, MiB")


class PathReport(StrictModel):
    """What the phases took for one number of tiles."""

    tiles: int = Field(description="tiles of the corpus")
    before_mib: float = Field(description="memory of the process before the first phase, its inputs included, MiB")
    phases: dict[str, PhaseReport] = Field(description="by name, see PHASES")
    raw_cpu_s: float = Field(description="plain pyarrow writes and reads the rows of the annotations, CPU seconds")


@dataclass
class _Meter:
    """Measures phases in this process."""

    found: dict[str, PhaseReport] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
        self.found[name] = PhaseReport(wall_s=wall_s, cpu_s=cpu_s, peak_mib=_memory_mib("VmHWM"))


@dataclass(frozen=True)
class _MadeUp:
    """A corpus: annotations with a fifth of errors, and an encoder's matrix that knows a part of the truth."""

    initial: AnnotationMatrix
    images: np.ndarray
    encoder: np.ndarray
    in_training: np.ndarray

    @staticmethod
    def of(schema: AnnotationSchema, tiles: int) -> "_MadeUp":
        generator = np.random.default_rng(0)
        sizes = np.asarray([len(words) for words in schema.vocabulary.values()])
        shape = (tiles, len(schema))
        truth = (generator.random(shape) * sizes).astype(np.int64)
        drawn = (generator.random(shape) * sizes).astype(np.int64)
        values = np.where(generator.random(shape) < 0.2, drawn, truth)
        shown = generator.normal(size=(tiles, 2 * 8 * 8)).astype(np.float32)
        shown[:, : len(schema)] += truth
        return _MadeUp(
            AnnotationMatrix(
                schema,
                tuple(f"tile-{number:08d}" for number in range(tiles)),
                values,
                np.full(shape, 0.8, np.float32),
                np.full(shape, "seed", object),
            ),
            shown,
            generator.normal(size=(shown.shape[1], _WIDTH + int(sizes.sum()))).astype(np.float32) / shown.shape[1],
            generator.random(tiles) >= HELD_OUT_SHARE,
        )


def measure_path(tiles: int, folder: Path) -> PathReport:
    """Take a made-up corpus through a round.

    Args:
        tiles: its size.
        folder: empty; annotations and targets are written there.
    """
    schema, meter = default_schema(), _Meter()
    made = _MadeUp.of(schema, tiles)
    initial, training, held_out = made.initial, made.in_training, ~made.in_training
    acceptance, tile_ids = AcceptanceConfig(), made.initial.tile_ids
    first = pa.table({**initial.keys, "value": initial.words, "text": initial.words})
    store, nobody = AnnotationStore(folder / "annotations"), [""] * tiles
    store.commit(annotation_rows(initial, first, 0, nobody, ""), run_id="scale", round_=0)
    weigh_once = AnnotationMatrix(schema, tile_ids[:64], *(each[:64] for each in _arrays(initial)))
    update_labels(_feedback(made, 64), weigh_once, weigh_once, _no_answers(schema, 64), held_out[:64], acceptance)
    nearest_tiles(np.eye(4, dtype=np.float32), 0, 4, 1)
    before_mib = _memory_mib("VmRSS")  # libraries are imported and rules are prepared by now

    with meter.phase("encode"):
        feedback, embeddings = _encoded(made)
    with meter.phase("neighbours"):
        nearest = np.concatenate([nearest_tiles(embeddings, *each, NEIGHBOURS) for each in pieces(tiles)])
    feedback = replace(feedback, neighbours=one_hot_votes(schema, initial.values, nearest))
    with meter.phase("confidence"):
        confidence = current_confidence(feedback, initial, initial, held_out, acceptance)
        flagged = flagged_clauses(feedback, confidence, FlagConfig())
    with meter.phase("weigh"):
        update = update_labels(feedback, initial, initial, _no_answers(schema, tiles), held_out, acceptance)
    with meter.phase("commit"):
        before, hashes = store.read(0, COLUMNS_BEFORE), ["a" * 64] * tiles
        version = store.commit(annotation_rows(update.matrix, before, 1, hashes, "b" * 64), run_id="scale", round_=1)
        del before
    with meter.phase("read"):
        table = store.read(version, COLUMNS_SEEN)
        annotation_digest(table)
        annotations = matrix_from_table(schema, table)
        del table
    with meter.phase("targets"):
        schedule = Schedule(ScheduleConfig(), TrainConfig(), acceptance)
        masks = schedule.masks(1, flagged[training], annotations.confidence[training])
        targets = TrainingTargets(*masks, hints_of_all(schema, feedback, np.flatnonzero(training)))
        targets.write(folder / "targets.parquet", UNGUARDED)
        plan, drawn = schedule.plan(2), {"run_seed": 0, "round_": 2}
        mine, old = _some(annotations, training), _some(initial, training)
        shown = training_rows(
            mine,
            training_view(mine, old, targets, plan, **drawn),
            targets,
            dict.fromkeys(tile_ids, "plain coast of a country"),
            plan,
            **drawn,
        )
    index = ImageIndex(
        [None] * -(-tiles // ROWS_PER_BLOCK), {each: divmod(row, ROWS_PER_BLOCK) for row, each in enumerate(tile_ids)}
    )
    with meter.phase("order"):
        parts = [rows_of_blocks(part.num_rows, ROWS_PER_BLOCK) for part in parts_of_round(index, shown, **drawn)]
    with meter.phase("batches"):
        blocks = tuple(rows for part in parts for rows in part)
        EpochPlan(0, 2, 0, blocks, 32, 2, part_blocks=tuple(map(len, parts))).micro_batches()
    rows = store.read(version)
    begun = time.process_time()
    pq.write_table(rows, folder / "raw.parquet")
    pq.read_table(folder / "raw.parquet")
    raw_cpu_s = time.process_time() - begun
    return PathReport(tiles=tiles, before_mib=before_mib, phases=meter.found, raw_cpu_s=raw_cpu_s)


def _encoded(made: _MadeUp) -> tuple[Feedback, np.ndarray]:
    """What the scoring actors and the driver make of the images: feedback without neighbours, and embeddings."""
    feedback = _feedback(made, len(made.initial))
    embeddings = made.images @ made.encoder[:, :_WIDTH]
    return feedback, embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def _feedback(made: _MadeUp, tiles: int) -> Feedback:
    schema = made.initial.schema
    logits = made.images[:tiles] @ made.encoder[:, _WIDTH:]
    zero_shot = {}
    for clause, each in split_by_clause(schema, logits).items():
        weights = np.exp(each - each.max(axis=1, keepdims=True)).astype(np.float64)
        zero_shot[clause] = weights / weights.sum(axis=1, keepdims=True)
    nothing = np.zeros((tiles, len(schema)))
    return Feedback(made.initial.tile_ids[:tiles], zero_shot, {}, nothing[:, 0], nothing[:, 0], nothing, nothing)


def _no_answers(schema: AnnotationSchema, tiles: int) -> Proposals:
    return Proposals.none_for(schema, tiles, 1)


def _arrays(matrix: AnnotationMatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return matrix.values, matrix.confidence, matrix.source


def _some(matrix: AnnotationMatrix, mask: np.ndarray) -> AnnotationMatrix:
    rows = np.flatnonzero(mask)
    tile_ids = tuple(matrix.tile_ids[row] for row in rows)
    return AnnotationMatrix(matrix.schema, tile_ids, *(each[rows] for each in _arrays(matrix)))


def _memory_mib(name: str) -> float:
    """VmRSS or VmHWM of this process, see proc(5)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_for_it:
        print(measure_path(int(sys.argv[1]), Path(made_for_it)).model_dump_json())
