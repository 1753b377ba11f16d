"""The corpus between two rounds: current annotations, their version, and the shuffled blocks of the next round."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import ray.data

from actors.captioner.labelling import ImageIndex
from actors.data.shuffler import Blocks, read_images, shuffle_round
from corpus.annotations import ANNOTATION_SCHEMA, AnnotationError, AnnotationStore
from corpus.digest import annotation_digest
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.feedback import feedback_hints
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.aggregation.relabel import Settlement
from hcot_llm.prompts.prompts import prompt_sha256
from hcot_llm.schema.clauses import CLAUSES, LEVEL, VOCABULARY
from hcot_llm.text.render import render_clause
from orchestrator.config.schema import RunConfig
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.data.training_targets import Lesson, label_accuracy, shown, training_rows
from orchestrator.policies.folds import Findings, Fold, make_folds
from orchestrator.policies.schedule import Schedule
from orchestrator.state.run_directory import RunDirectory


@dataclass(frozen=True)
class CorpusState:
    """annotations, seed: matrices of all tiles. in_training: bool [N].

    folds: the run's models. blocks: next round's training rows, of each fold. taught: bool [training tiles, 16], the
    clauses that the captioner is taught to write in it. label_accuracy: expected share of right ones among the taught
    values, by clause.
    """

    prepared: PreparedCorpus
    images: ray.data.Dataset
    image_index: ImageIndex
    annotations: AnnotationMatrix
    seed: AnnotationMatrix
    in_training: np.ndarray
    version: int
    digest: str
    folds: tuple[Fold, ...]
    blocks: tuple[Blocks, ...]
    taught: np.ndarray
    label_accuracy: tuple[float, ...] = ()

    @property
    def training(self) -> AnnotationMatrix:
        return select(self.annotations, self.in_training)

    @property
    def training_seed(self) -> AnnotationMatrix:
        return select(self.seed, self.in_training)


def select(matrix: AnnotationMatrix, mask: np.ndarray) -> AnnotationMatrix:
    """The rows of a matrix where mask is true."""
    rows = np.flatnonzero(mask)
    return AnnotationMatrix(
        tuple(matrix.tile_ids[row] for row in rows), matrix.values[rows], matrix.confidence[rows], matrix.source[rows]
    )


class CorpusKeeper:
    """Commits annotation versions of one run and makes the state of the next round from them."""

    def __init__(self, config: RunConfig, directory: RunDirectory) -> None:
        self._config = config
        self._schedule = Schedule(config.schedule, config.train, config.acceptance)
        self._directory, self._run_id = directory, directory.run_id
        self._store = AnnotationStore(directory.annotations)

    def open(self, prepared: PreparedCorpus, last_round: int, digest: str | None = None) -> CorpusState:
        """The state after `last_round` (0: the seed annotations, committed here on the first call).

        Args:
            digest: the annotations' as that round recorded it; None: not known.

        Raises:
            AnnotationError: the round's annotations are missing, or others than were recorded.
        """
        seed = matrix_from_table(prepared.seed)
        version = self._store.version_of(self._run_id, last_round)
        if version is None and last_round:
            raise AnnotationError(
                f"{self._store.path} has no annotations of round {last_round} of {self._run_id}, which is recorded. "
                "Restore the table from a copy, or start a new run."
            )
        if version is None:
            version = self._store.commit(
                annotation_rows(seed, prepared.seed, 0, [""] * len(seed), ""), run_id=self._run_id, round_=0
            )
        table = self._store.read(version)
        found = annotation_digest(table)
        if digest not in (None, found):
            raise AnnotationError(
                f"Version {version} of {self._store.path} is not what round {last_round} of {self._run_id} recorded "
                f"(digest {found[:12]}... instead of {digest[:12]}...). Restore the table from a "
                "copy, or start a new run."
            )
        images = read_images(prepared.tiles, prepared.corpus_dir, self._config.corpus.rows_per_block)
        split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
        annotations = matrix_from_table(table)
        in_training = np.asarray([split[tile_id] == "train" for tile_id in annotations.tile_ids])
        lesson = (
            Lesson.read(self._directory.feedback(last_round)) if last_round else Lesson.first(int(in_training.sum()))
        )
        folds = make_folds(annotations.tile_ids, in_training, self._schedule.folds, self._config.seed)
        return self._state(
            CorpusState(
                prepared,
                images,
                ImageIndex.of(images),
                annotations,
                seed,
                in_training,
                version,
                found,
                folds,
                (),
                lesson.reconstructed,
            ),
            lesson,
            last_round + 1,
        )

    def refresh(
        self,
        corpus: CorpusState,
        settlement: Settlement,
        findings: Findings,
        round_: int,
    ) -> CorpusState:
        """Commit the settled annotations once, whatever happens, and shuffle them for the next round.

        What an earlier attempt at this round has committed counts, not what this one settled.
        """
        training = corpus.in_training
        table = annotation_rows(
            settlement.matrix, self._store.read(corpus.version), round_, findings.weights_sha256, prompt_sha256()
        )
        version = self._store.commit(table, run_id=self._run_id, round_=round_)
        table = self._store.read(version)
        annotations = matrix_from_table(table)
        trusted, reconstructed = self._schedule.taught(
            round_, findings.doubtful[training], annotations.confidence[training]
        )
        hints = [list(feedback_hints(findings.feedback, row, CLAUSES).values()) for row in np.flatnonzero(training)]
        lesson = Lesson(trusted, reconstructed, hints)
        lesson.write(self._directory.feedback(round_), self._directory.writer)
        return self._state(
            replace(
                corpus, annotations=annotations, version=version, digest=annotation_digest(table), taught=reconstructed
            ),
            lesson,
            round_ + 1,
        )

    def table(self, version: int | None = None) -> pa.Table:
        """The annotations of any version."""
        return self._store.read(version)

    def _state(self, corpus: CorpusState, lesson: Lesson, round_: int) -> CorpusState:
        """The corpus with the rows of round `round_`, shuffled for every fold."""
        plan, drawn = self._schedule.plan(round_), {"run_seed": self._config.seed, "round_": round_}
        taught = shown(corpus.training, corpus.training_seed, lesson, plan, **drawn)
        rows = training_rows(corpus.training, taught, lesson, corpus.prepared.knowledge, plan, **drawn)
        mine = [rows.filter(pa.array(fold.trains[corpus.in_training])) for fold in corpus.folds]
        return replace(
            corpus,
            label_accuracy=label_accuracy(taught),
            blocks=tuple(
                shuffle_round(corpus.images, table, rows_per_block=self._config.corpus.rows_per_block, **drawn)
                for table in mine
            ),
        )


def annotation_rows(
    matrix: AnnotationMatrix, previous: pa.Table, round_: int, weights_sha256: Sequence[str], prompt_hash: str
) -> pa.Table:
    """Rows of the annotation table. A clause keeps its text as long as it keeps its value.

    Args:
        previous: rows with tile_id, clause, value and text: the version before, or the seed.
        weights_sha256: of the model that had its say on each tile, N hashes.
    """
    texts = {
        (tile_id, clause): (value, text)
        for tile_id, clause, value, text in zip(
            *(previous[name].to_pylist() for name in ("tile_id", "clause", "value", "text")), strict=True
        )
    }
    columns: dict[str, list] = {name: [] for name in ("tile_id", "clause", "value", "text", "level", "source")}
    for row, tile_id in enumerate(matrix.tile_ids):
        for column, clause in enumerate(CLAUSES):
            value = VOCABULARY[clause][matrix.values[row, column]]
            old_value, text = texts[tile_id, str(clause)]
            if old_value != value:
                text = render_clause(clause, value, variant=derive_seed(tile_id, str(clause), "wording") % 1000)
            for name, entry in zip(
                columns, (tile_id, str(clause), value, text, LEVEL[clause], matrix.source[row, column]), strict=True
            ):
                columns[name].append(entry)
    count = len(columns["tile_id"])
    arrays = {name: pa.array(entries, ANNOTATION_SCHEMA.field(name).type) for name, entries in columns.items()}
    return pa.table(
        {
            **arrays,
            "confidence": pa.array(matrix.confidence.reshape(-1), pa.float32()),
            "round": pa.array([round_] * count, pa.int32()),
            "weights_sha256": pa.array(np.repeat(np.asarray(weights_sha256, object), len(CLAUSES)), pa.string()),
            "prompt_sha256": pa.array([prompt_hash] * count),
        },
        schema=ANNOTATION_SCHEMA,
    )
