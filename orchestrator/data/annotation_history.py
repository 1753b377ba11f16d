"""The corpus between two rounds: current annotations, their version, and the shuffled rows of the next round."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import ray.data

from actors.data.image_index import ImageIndex
from actors.data.matching import contrast_factors
from actors.data.round_rows import RoundRows, shuffle_round
from actors.data.shuffler import read_images
from actors.statistics.source import StatisticsSource
from corpus.annotations import AnnotationError, AnnotationStore
from corpus.geotiff.sampling import image_gsd_m
from hcot_llm.aggregation.acceptance import AcceptanceConfig
from hcot_llm.aggregation.feedback import hints_of_all
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table, select
from hcot_llm.aggregation.people import PeoplesWord, with_decisions
from hcot_llm.aggregation.relabel import LabelUpdate, statistics_confidence
from hcot_llm.prompts.prompts import prompt_sha256
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaMismatch
from orchestrator.config.schema import RunConfig
from orchestrator.data.annotation_rows import annotation_rows, read_annotations, rows_of_round
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.data.statistics_source import open_statistics
from orchestrator.data.training_targets import TrainingTargets, label_accuracy, training_rows, training_view
from orchestrator.decisions.corpus import entered, read_word
from orchestrator.policies.folds import Findings, Fold, make_folds
from orchestrator.policies.schedule import Schedule
from orchestrator.state.records import RoundRecord
from orchestrator.state.run_directory import RunDirectory

if TYPE_CHECKING:
    from model.known_tiles import TrainedInput


@dataclass(frozen=True)
class CorpusState:
    """The corpus as a round finds it.

    Attributes:
        prepared: the tiles, and what goes with them.
        images: the tiles' images, a row a tile.
        image_index: Place of each tile's image in the object store.
        annotations: current annotations of all N tiles.
        initial: the annotations of all N tiles that the run started from.
        in_training: bool [N], False for tiles that are held out of training.
        version: Version of the annotations in the Delta table.
        digest: hash of the annotations' content.
        folds: the run's models.
        rows: the round's shuffled training rows, of each fold.
        loss_mask: bool [training tiles, clauses], the clauses that the captioner is trained to write in this round.
        label_accuracy: Per clause the expected share of right values among those that are training targets.
        people: What people have decided; None: nothing.
        image_gsd_m: Metres per pixel of each tile's images, of which a large tile's are other than its own.
        statistics: what shallow classifiers say of all N tiles; None where they are no label source.
    """

    prepared: PreparedCorpus
    images: ray.data.Dataset
    image_index: ImageIndex
    annotations: AnnotationMatrix
    initial: AnnotationMatrix
    in_training: np.ndarray
    version: int
    digest: str
    folds: tuple[Fold, ...]
    rows: tuple[RoundRows, ...]
    loss_mask: np.ndarray
    label_accuracy: tuple[float, ...] = ()
    people: PeoplesWord | None = None
    image_gsd_m: dict[str, float] = field(default_factory=dict)
    statistics: StatisticsSource | None = None

    def acceptance(self, config: AcceptanceConfig) -> AcceptanceConfig:
        """How sources are weighed: with statistics the accuracy of initial annotations is their confidence already."""
        return config if self.statistics is None else config.stated

    @property
    def training(self) -> AnnotationMatrix:
        """Current annotations of the training tiles."""
        return select(self.annotations, self.in_training)

    @property
    def training_initial(self) -> AnnotationMatrix:
        """Initial annotations of the training tiles."""
        return select(self.initial, self.in_training)


def open_corpus(
    config: RunConfig, directory: RunDirectory, prepared: PreparedCorpus, records: Sequence[RoundRecord]
) -> CorpusState:
    """The corpus as the last recorded round left it. Before round 1 the initial annotations are committed here.

    Args:
        config: Configuration of the run.
        directory: Directory of the run; holds the annotations and the training targets.
        prepared: the tiles, and the initial annotations.
        records: Records of all rounds so far.

    Raises:
        AnnotationError: the last round's annotations are missing, or others than it recorded.
        ConfigError: a fold has no training tile.
    """
    store, run_id = AnnotationStore(directory.annotations), directory.run_id
    last_round = records[-1].round if records else 0
    schema = config.annotation_schema
    initial = matrix_from_table(schema, prepared.initial)
    version = store.version_of(run_id, last_round)
    if version is None and last_round:
        raise AnnotationError(
            f"{store.path} has no annotations of round {last_round} of {run_id}, which is recorded. "
            "Restore the table from a copy, or start a new run."
        )
    people = read_word(directory.path, schema, initial.tile_ids)
    if version is None:
        rows = annotation_rows(with_decisions(initial, people), prepared.initial, 0, [""] * len(initial), "")
        version = store.commit(rows, run_id=run_id, round_=0, metadata=_metadata(schema))
    _check_schema(store, version, schema)
    stored, digest = read_annotations(store, version, schema, initial.tile_ids)
    if records and records[-1].corpus_digest != digest:
        raise AnnotationError(
            f"Version {version} of {store.path} is not what round {last_round} of {run_id} recorded "
            f"(digest {digest[:12]}... instead of {records[-1].corpus_digest[:12]}...). Restore the table from a "
            "copy, or start a new run."
        )
    size, trained = config.model.encoder.vision.image_size_px, _trained_input(config, directory)
    sampling, contrast = (None, None) if trained is None else (trained.sampling, trained.contrast)
    factors = contrast_factors(contrast, prepared.tiles.to_pylist(), prepared.corpus_dir, size, sampling)
    images = read_images(prepared.tiles, prepared.corpus_dir, config.corpus.rows_per_block, size, sampling, factors)
    split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
    annotations = entered(stored, people, initial, store, run_id)
    in_training = np.asarray([split[tile_id] == "train" for tile_id in annotations.tile_ids])
    targets = (
        TrainingTargets.read(directory.feedback(last_round))
        if last_round
        else TrainingTargets.first(int(in_training.sum()), len(schema))
    )
    folds = make_folds(annotations.tile_ids, in_training, config.schedule.folds, config.seed)
    image_index = ImageIndex.of(images)
    statistics = open_statistics(config, directory, prepared, image_index, initial, ~in_training)
    if statistics is not None:
        initial = statistics.believed(initial)
    corpus = CorpusState(
        prepared,
        images,
        image_index,
        annotations,
        initial,
        in_training,
        version,
        digest,
        folds,
        (),
        targets.loss_mask,
        people=people,
        image_gsd_m={
            tile["tile_id"]: image_gsd_m(tile["height"], tile["width"], tile["gsd_m"], size, sampling)
            for tile in prepared.tiles.select(["tile_id", "height", "width", "gsd_m"]).to_pylist()
        },
        statistics=statistics,
    )
    if statistics is None or last_round:
        return _shuffled(config, corpus, targets, last_round + 1)
    confidence = _doubts(config, corpus, statistics)
    trusted = confidence[in_training] >= config.acceptance.minimum_trust
    targets = TrainingTargets(targets.caption_mask & trusted, targets.loss_mask & trusted, targets.hints)
    return _shuffled(config, replace(corpus, loss_mask=targets.loss_mask), targets, 1, confidence)


def _doubts(config: RunConfig, corpus: CorpusState, statistics: StatisticsSource) -> np.ndarray:
    """Probability of every initial annotation before an encoder was trained, float32 [N, clauses].

    Round 1 is trained on annotations that are as probable as those of later rounds have to be.
    """
    return statistics_confidence(
        statistics.distributions,
        corpus.annotations,
        corpus.initial,
        ~corpus.in_training,
        corpus.acceptance(config.acceptance),
    ).astype(np.float32)


def next_corpus(
    config: RunConfig,
    directory: RunDirectory,
    corpus: CorpusState,
    update: LabelUpdate,
    findings: Findings,
    round_: int,
) -> CorpusState:
    """Commit a round's annotations once, whatever happens, and shuffle them for the round after it.

    Where an earlier attempt at this round has committed annotations, those count, and not what this one came to. What
    people have decided up to now is in the annotations.

    Args:
        config: Configuration of the run.
        directory: Directory of the run.
        corpus: The corpus as it was in this round.
        update: the round's label update.
        findings: Findings of all folds.
        round_: number of the round, counted from 1.

    Raises:
        LeaseLost: another driver has taken over.
    """
    directory.writer.check()
    store, training, schema = AnnotationStore(directory.annotations), corpus.in_training, config.annotation_schema
    people = read_word(directory.path, schema, update.matrix.tile_ids)
    matrix = entered(update.matrix, people, corpus.initial, store, directory.run_id)
    version = store.commit(
        rows_of_round(store, corpus.version, matrix, round_, findings.weights_sha256, prompt_sha256()),
        run_id=directory.run_id,
        round_=round_,
        metadata=_metadata(schema),
    )
    annotations, digest = read_annotations(store, version, schema, matrix.tile_ids)
    caption_mask, loss_mask = _schedule(config).masks(
        round_, findings.flagged[training], annotations.confidence[training]
    )
    hints = hints_of_all(schema, findings.feedback, np.flatnonzero(training))
    targets = TrainingTargets(caption_mask, loss_mask, hints)
    targets.write(directory.feedback(round_), directory.writer)
    corpus = replace(
        corpus,
        annotations=annotations,
        version=version,
        digest=digest,
        loss_mask=loss_mask,
        people=people,
    )
    return _shuffled(config, corpus, targets, round_ + 1)


def _trained_input(config: RunConfig, directory: RunDirectory) -> "TrainedInput | None":
    """What the run's start weights were trained at; None where they are untrained, or do not say."""
    from model.known_tiles import KnownTiles

    own = directory.weights(0)  # made after the corpus was opened for the first time
    start = own if own.exists() else config.start_weights
    known = None if start is None else KnownTiles.load(start)
    return None if known is None else known.input


def _metadata(schema: AnnotationSchema) -> dict[str, str]:
    return {"schema": schema.name, "schema_sha256": schema.digest}


def _check_schema(store: AnnotationStore, version: int, schema: AnnotationSchema) -> None:
    """Check that a version was committed with this run's schema.

    Raises:
        SchemaMismatch: It was committed with another one.
    """
    commit = next(commit for commit in store.history() if commit.version == version)
    if commit.metadata.get("schema_sha256") != schema.digest:
        name, digest = commit.metadata.get("schema", "none"), commit.metadata.get("schema_sha256", "")
        raise SchemaMismatch(
            f"Version {version} of {store.path} is of the annotation schema '{name}' ({digest[:12]}), this run is of "
            f"{schema.label}. A run keeps its schema: start a new run for another one."
        )


def _shuffled(
    config: RunConfig,
    corpus: CorpusState,
    targets: TrainingTargets,
    round_: int,
    confidence: np.ndarray | None = None,
) -> CorpusState:
    """The corpus with the rows of a round, shuffled for every fold; confidence: in place of the annotations' own."""
    plan, drawn = _schedule(config).plan(round_), {"run_seed": config.seed, "round_": round_}
    if corpus.people is not None:
        targets = targets.with_decided(corpus.people.decided[corpus.in_training])
        corpus = replace(corpus, loss_mask=targets.loss_mask)
    training = corpus.training
    if confidence is not None:
        training = replace(training, confidence=confidence[corpus.in_training])
    view = training_view(training, corpus.training_initial, targets, plan, **drawn)
    rows = training_rows(training, view, targets, corpus.prepared.knowledge, plan, **drawn)
    mine = [rows.filter(pa.array(fold.trains[corpus.in_training])) for fold in corpus.folds]
    return replace(
        corpus,
        label_accuracy=label_accuracy(view),
        rows=tuple(
            shuffle_round(corpus.image_index, table, rows_per_block=config.corpus.rows_per_block, **drawn)
            for table in mine
        ),
    )


def _schedule(config: RunConfig) -> Schedule:
    return Schedule(config.schedule, config.train, config.acceptance)
