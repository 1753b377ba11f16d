"""The corpus between two rounds: current annotations, their version, and the shuffled blocks of the next round."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import ray.data

from actors.fence import Fence, NoFence, put_in_place
from actors.labeller import ImageIndex
from actors.scorer import Scores
from actors.shuffler import Blocks, read_images, shuffle_round
from corpus.annotations import ANNOTATION_SCHEMA, AnnotationStore
from corpus.digest import annotation_digest
from corpus.disk import writing
from corpus.parquet import read_parquet
from corpus.seeds import derive_seed
from hcot_llm.feedback import Feedback, feedback_hints
from hcot_llm.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.prompts import prompt_sha256
from hcot_llm.relabel import Settlement
from hcot_llm.render import render_clause
from hcot_llm.schema import CLAUSES, LEVEL, VOCABULARY
from orchestrator.config import RunConfig
from orchestrator.corpus_setup import PreparedCorpus
from orchestrator.run_directory import RunDirectory


@dataclass(frozen=True)
class CorpusState:
    """annotations, seed: matrices of all tiles. in_training: bool [N]. blocks: next round's training rows."""

    prepared: PreparedCorpus
    images: ray.data.Dataset
    image_index: ImageIndex
    annotations: AnnotationMatrix
    seed: AnnotationMatrix
    in_training: np.ndarray
    version: int
    digest: str
    blocks: Blocks

    @property
    def training(self) -> AnnotationMatrix:
        return select(self.annotations, self.in_training)

    @property
    def training_seed(self) -> AnnotationMatrix:
        return select(self.seed, self.in_training)


def select(matrix: AnnotationMatrix, mask: np.ndarray) -> AnnotationMatrix:
    """The rows of a matrix where mask is true."""
    rows = np.flatnonzero(mask)
    return AnnotationMatrix(tuple(matrix.tile_ids[row] for row in rows), matrix.values[rows],
                            matrix.confidence[rows], matrix.source[rows])


class CorpusKeeper:
    """Commits annotation versions of one run and makes the state of the next round from them."""

    def __init__(self, config: RunConfig, run_id: str, annotations_dir: Path) -> None:
        self._config = config
        self._run_id = run_id
        self._store = AnnotationStore(annotations_dir)

    def open(self, prepared: PreparedCorpus, last_round: int) -> CorpusState:
        """The state after `last_round` (0: the seed annotations, committed here on the first call)."""
        seed = matrix_from_table(prepared.seed)
        version = self._store.version_of(self._run_id, last_round)
        if version is None:
            version = self._store.commit(annotation_rows(seed, prepared.seed, 0, "", ""), run_id=self._run_id,
                                         round_=0)
        table = self._store.read(version)
        images = read_images(prepared.tiles, prepared.corpus_dir, self._config.corpus.rows_per_block)
        split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
        annotations = matrix_from_table(table)
        in_training = np.asarray([split[tile_id] == "train" for tile_id in annotations.tile_ids])
        trusted = np.ones((int(in_training.sum()), len(CLAUSES)), dtype=bool)
        if last_round:
            trusted = select(annotations, in_training).confidence >= self._config.acceptance.minimum_trust
        hints = self._stored_hints(last_round, int(in_training.sum()))
        blocks = self._shuffle(prepared, images, select(annotations, in_training), trusted, hints, last_round + 1)
        return CorpusState(prepared, images, ImageIndex.of(images), annotations, seed, in_training, version,
                           annotation_digest(table), blocks)

    def refresh(self, corpus: CorpusState, settlement: Settlement, scores: Scores, round_: int,
                weights_sha256: str, fence: Fence | NoFence = NoFence()) -> CorpusState:
        """Commit the settled annotations once, whatever happens, and shuffle them for the next round."""
        annotations = settlement.matrix
        table = annotation_rows(annotations, self._store.read(corpus.version), round_, weights_sha256,
                                prompt_sha256())
        version = self._store.commit(table, run_id=self._run_id, round_=round_)
        table = self._store.read(version)
        training = select(annotations, corpus.in_training)
        trusted = training.confidence >= self._config.acceptance.minimum_trust
        feedback = select_feedback(scores, corpus.in_training)
        hints = [list(feedback_hints(feedback, row, CLAUSES).values()) for row in range(len(training))]
        self._store_hints(round_, hints, fence)
        blocks = self._shuffle(corpus.prepared, corpus.images, training, trusted, hints, round_ + 1)
        return CorpusState(corpus.prepared, corpus.images, corpus.image_index, annotations, corpus.seed,
                           corpus.in_training, version, annotation_digest(table), blocks)

    def table(self, version: int | None = None) -> pa.Table:
        """The annotations of any version."""
        return self._store.read(version)

    def _shuffle(self, prepared: PreparedCorpus, images, training: AnnotationMatrix, trusted: np.ndarray,
                 hints: list[list[str]], round_: int) -> Blocks:
        rows = pa.table({
            "tile_id": list(training.tile_ids), "values": training.values.tolist(), "trusted": trusted.tolist(),
            "knowledge": [prepared.knowledge[tile_id] for tile_id in training.tile_ids], "hints": hints})
        return shuffle_round(images, rows, run_seed=self._config.seed, round_=round_,
                             rows_per_block=self._config.corpus.rows_per_block)

    def _hints_path(self, round_: int) -> Path:
        return RunDirectory(self._store.path.parent).feedback(round_)

    def _store_hints(self, round_: int, hints: list[list[str]], fence: Fence | NoFence) -> None:
        path = self._hints_path(round_)
        partial = path.with_suffix(".partial")
        with writing("the encoder's feedback", path):
            path.parent.mkdir(parents=True, exist_ok=True)
            pq.write_table(pa.table({"hints": hints}), partial)
            put_in_place(partial, path, fence)

    def _stored_hints(self, round_: int, tiles: int) -> list[list[str]]:
        if round_ == 0:
            return [[""] * len(CLAUSES) for _ in range(tiles)]
        return read_parquet(self._hints_path(round_))["hints"].to_pylist()


def select_feedback(scores: Scores, mask: np.ndarray) -> Feedback:
    """Feedback on the tiles where mask is true."""
    whole = scores.feedback
    rows = np.flatnonzero(mask)
    return Feedback([whole.tile_ids[row] for row in rows],
                    {clause: array[rows] for clause, array in whole.zero_shot.items()},
                    {clause: array[rows] for clause, array in whole.neighbours.items()},
                    whole.itc[rows], whole.itm[rows], whole.itc_gain[rows], whole.itm_gain[rows])


def annotation_rows(matrix: AnnotationMatrix, previous: pa.Table, round_: int, weights_sha256: str,
                    prompt_hash: str) -> pa.Table:
    """Rows of the annotation table. A clause keeps its text as long as it keeps its value.

    Args:
        previous: rows with tile_id, clause, value and text: the version before, or the seed.
    """
    texts = {(tile_id, clause): (value, text) for tile_id, clause, value, text in zip(
        *(previous[name].to_pylist() for name in ("tile_id", "clause", "value", "text")), strict=True)}
    columns: dict[str, list] = {name: [] for name in ("tile_id", "clause", "value", "text", "level", "source")}
    for row, tile_id in enumerate(matrix.tile_ids):
        for column, clause in enumerate(CLAUSES):
            value = VOCABULARY[clause][matrix.values[row, column]]
            old_value, text = texts[tile_id, str(clause)]
            if old_value != value:
                text = render_clause(clause, value, variant=derive_seed(tile_id, str(clause), "wording") % 1000)
            for name, entry in zip(columns, (tile_id, str(clause), value, text, LEVEL[clause],
                                             matrix.source[row, column]), strict=True):
                columns[name].append(entry)
    count = len(columns["tile_id"])
    arrays = {name: pa.array(entries, ANNOTATION_SCHEMA.field(name).type) for name, entries in columns.items()}
    return pa.table({
        **arrays, "confidence": pa.array(matrix.confidence.reshape(-1), pa.float32()),
        "round": pa.array([round_] * count, pa.int32()), "weights_sha256": pa.array([weights_sha256] * count),
        "prompt_sha256": pa.array([prompt_hash] * count)}, schema=ANNOTATION_SCHEMA)
