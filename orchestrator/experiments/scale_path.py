"""What a round does with the rows of a corpus, without a cluster.

`python -m orchestrator.experiments.scale_path TILES` prints one JSON object of `PathReport`.

Annotations, images of 8 x 8 pixels and an encoder of one matrix are made up; everything between the encoder and the
next round's batches is the product's own code. Processes of this machine stand for the scoring actors that weigh.
"""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from actors.data.image_index import ImageIndex
from actors.data.round_rows import parts_of_round, rows_of_blocks
from actors.scorer.config import ScoreConfig
from actors.scorer.nearest import find_nearest
from actors.scorer.neighbours import nearest_tiles
from actors.trainer.config import TrainConfig
from actors.trainer.epoch_plan import EpochPlan
from corpus.annotation_blocks import AnnotationBlocks
from corpus.annotations import AnnotationStore
from corpus.storage.models import StrictModel
from corpus.storage.writer import UNGUARDED
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.feedback import Feedback, FlagConfig, flagged_clauses, hints_of_all
from hcot_llm.aggregation.matrix import AnnotationMatrix, one_hot_votes, part_of, select, split_by_clause
from hcot_llm.aggregation.relabel import Proposals, current_confidence, update_labels
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.files import default_schema
from orchestrator.data.annotation_rows import TILES_AT_ONCE, annotation_rows, read_annotations, rows_of_round
from orchestrator.data.round_evidence import evidence_of
from orchestrator.data.training_targets import TrainingTargets, training_rows, training_view
from orchestrator.experiments.scale_workers import ProcessWorkers
from orchestrator.policies.folds import Findings, FoldFindings, join_findings, make_folds
from orchestrator.policies.schedule import Schedule, ScheduleConfig
from orchestrator.state.evidence import write_evidence

PHASES = ("encode", "neighbours", "confidence", "weigh", "evidence", "commit", "read", "targets", "order", "batches")
"""In the order of a round."""
ON_WORKERS = ("encode", "neighbours", "confidence", "weigh")
"""Phases that a run computes on its workers, but for what it hands out and sums up. All others are the driver's."""
AS_WORKER = "encode"
"""The phase of ON_WORKERS that is measured in this process."""
ROWS_PER_BLOCK, HELD_OUT_SHARE, _WIDTH = 64, 0.1, 64


class PhaseReport(StrictModel):
    """What one phase took."""

    wall_s: float = Field(description="seconds")
    cpu_s: float = Field(description="CPU seconds of the driver")
    workers_cpu_s: float = Field(default=0.0, description="CPU seconds of the workers")
    peak_mib: float = Field(description="largest memory of the process meanwhile, MiB")

    @property
    def all_cpu_s(self) -> float:
        """CPU seconds of driver and workers."""
        return self.cpu_s + self.workers_cpu_s


class PathReport(StrictModel):
    """What the phases took for one number of tiles."""

    tiles: int = Field(description="tiles of the corpus")
    before_mib: float = Field(description="memory of the process before the first phase, its inputs included, MiB")
    phases: dict[str, PhaseReport] = Field(description="by name, see PHASES")
    raw_cpu_s: float = Field(description="plain pyarrow writes and reads the rows of the annotations, CPU seconds")
    neighbour_recall: float | None = Field(
        default=None, description="share of the nearest tiles that were found; none where all pairs were compared"
    )


@dataclass
class _Meter:
    """Measures phases in this process and its workers."""

    workers: ProcessWorkers
    found: dict[str, PhaseReport] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        wall, cpu, theirs = time.perf_counter(), time.process_time(), self.workers.cpu_s
        yield
        cpu_s, wall_s = time.process_time() - cpu, time.perf_counter() - wall
        theirs = self.workers.cpu_s - theirs
        if name == AS_WORKER:
            cpu_s, theirs = 0.0, cpu_s
        self.found[name] = PhaseReport(wall_s=wall_s, cpu_s=cpu_s, workers_cpu_s=theirs, peak_mib=_memory_mib("VmHWM"))


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
        folder: empty; annotations and targets are written there, and what workers hold.
    """
    (folder / "held").mkdir()
    with ProcessWorkers(folder / "held") as workers:
        return _measured(tiles, folder, workers)


def _measured(tiles: int, folder: Path, workers: ProcessWorkers) -> PathReport:
    schema, meter = default_schema(), _Meter(workers)
    made = _MadeUp.of(schema, tiles)
    initial, training, held_out = made.initial, made.in_training, ~made.in_training
    acceptance, tile_ids = AcceptanceConfig(), made.initial.tile_ids
    store = AnnotationStore(folder / "annotations")
    store.commit(AnnotationBlocks(_first_rows(initial), initial.values.size), run_id="scale", round_=0)
    weigh_once = part_of(initial, slice(64))
    first = _feedback(made, 64), weigh_once, weigh_once, _no_answers(schema, 64), held_out[:64], acceptance
    update_labels(*first)
    workers.map(update_labels, [first] * 4)  # they have started
    workers.map(nearest_tiles, [(np.eye(4, dtype=np.float32), 0, 4, 1)] * 4)
    before_mib = _memory_mib("VmRSS")  # libraries are imported and rules are prepared by now

    with meter.phase("encode"):
        feedback, embeddings = _encoded(made)
        del made
    with meter.phase("neighbours"):
        nearest, recall = find_nearest(embeddings, ScoreConfig(), 0, workers)
        feedback = replace(feedback, neighbours=one_hot_votes(schema, initial.values, nearest))
        del embeddings, nearest
    with meter.phase("confidence"):
        confidence = current_confidence(feedback, initial, initial, held_out, acceptance, workers=workers)
        flagged = flagged_clauses(feedback, confidence, FlagConfig())
        del confidence
    proposals = _no_answers(schema, tiles)
    findings = _findings(initial, feedback, flagged, proposals)
    with meter.phase("weigh"):
        update = update_labels(
            feedback,
            initial,
            initial,
            proposals,
            held_out,
            acceptance,
            workers=workers,
            remember=partial(evidence_of, findings),
        )
    with meter.phase("evidence"):
        write_evidence(folder / "evidence" / "1.parquet", map(workers.get, update.remembered), UNGUARDED)
        del findings, proposals
    with meter.phase("commit"):
        version = store.commit(
            rows_of_round(store, 0, update.matrix, 1, ["a" * 64] * tiles, "b" * 64), run_id="scale", round_=1
        )
    with meter.phase("read"):
        annotations, _ = read_annotations(store, version, schema, tile_ids)
        del update
    with meter.phase("targets"):
        schedule = Schedule(ScheduleConfig(), TrainConfig(), acceptance)
        masks = schedule.masks(1, flagged[training], annotations.confidence[training])
        targets = TrainingTargets(*masks, hints_of_all(schema, feedback, np.flatnonzero(training)))
        targets.write(folder / "targets.parquet", UNGUARDED)
        plan, drawn = schedule.plan(2), {"run_seed": 0, "round_": 2}
        mine, old = select(annotations, training), select(initial, training)
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
    return PathReport(
        tiles=tiles, before_mib=before_mib, phases=meter.found, raw_cpu_s=raw_cpu_s, neighbour_recall=recall
    )


def _first_rows(initial: AnnotationMatrix) -> Iterator[pa.Table]:
    for start in range(0, len(initial), TILES_AT_ONCE):
        part = part_of(initial, slice(start, start + TILES_AT_ONCE))
        texts = pa.table({**part.keys, "value": part.words, "text": part.words})
        yield annotation_rows(part, texts, 0, [""] * len(part), "")


def _findings(initial: AnnotationMatrix, feedback: Feedback, flagged: np.ndarray, proposals: Proposals) -> Findings:
    """What one model found that speaks of all tiles."""
    [fold] = make_folds(initial.tile_ids, np.ones(len(initial), bool), 1, 0)
    nothing = np.zeros((0, _WIDTH), np.float32)
    part = FoldFindings(fold, "a" * 64, feedback, nothing, flagged, flagged, proposals)
    return join_findings(initial, [part])


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
        weights = np.exp(each - each.max(axis=1, keepdims=True))
        zero_shot[clause] = weights / weights.sum(axis=1, keepdims=True)
    nothing = np.broadcast_to(np.float32(0), (tiles, len(schema)))
    return Feedback(made.initial.tile_ids[:tiles], zero_shot, {}, nothing[:, 0], nothing[:, 0], nothing, nothing)


def _no_answers(schema: AnnotationSchema, tiles: int) -> Proposals:
    return Proposals.none_for(schema, tiles, 1)


def _memory_mib(name: str) -> float:
    """VmRSS or VmHWM of this process, see proc(5)."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made_for_it:
        print(measure_path(int(sys.argv[1]), Path(made_for_it)).model_dump_json())
