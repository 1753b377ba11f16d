"""The corpus between two rounds: current annotations, their version, and what the next rounds are trained on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from actors.data.image_index import ImageIndex
from actors.data.matching import contrast_factors
from actors.data.shuffler import read_images
from corpus.annotation_rows import AnnotationError
from corpus.annotations import AnnotationStore
from corpus.geotiff.sampling import image_gsd_m
from hcot_llm.aggregation.feedback import hints_of_all
from hcot_llm.aggregation.matrix import matrix_from_table
from hcot_llm.aggregation.people import with_decisions
from hcot_llm.aggregation.relabel import LabelUpdate
from hcot_llm.prompts.prompts import prompt_sha256
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaMismatch
from orchestrator.config.schema import RunConfig
from orchestrator.data.annotation_rows import annotation_rows, read_annotations, rows_of_round
from orchestrator.data.corpus_state import CorpusState
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.data.statistics_source import open_statistics
from orchestrator.data.training_sets import schedule_of, targets_of, training_set, with_decided
from orchestrator.data.training_targets import TrainingTargets
from orchestrator.decisions.corpus import entered, read_word
from orchestrator.policies.folds import Findings, make_folds
from orchestrator.state.records import RoundRecord
from orchestrator.state.run_directory import RunDirectory

if TYPE_CHECKING:
    from model.known_tiles import TrainedInput


def open_corpus(
    config: RunConfig, directory: RunDirectory, prepared: PreparedCorpus, records: Sequence[RoundRecord]
) -> CorpusState:
    """The corpus as the last recorded round left it. Before round 1 the initial annotations are committed here.

    Where rounds are trained while the round before is labelled, the next round is trained on an earlier version.

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
    version = _version(store, run_id, last_round) if last_round else store.version_of(run_id, 0)
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
    unchanged = initial
    in_training = np.asarray([split[tile_id] == "train" for tile_id in annotations.tile_ids])
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
        np.ones((int(in_training.sum()), len(schema)), dtype=bool),
        people=people,
        image_gsd_m={
            tile["tile_id"]: image_gsd_m(tile["height"], tile["width"], tile["gsd_m"], size, sampling)
            for tile in prepared.tiles.select(["tile_id", "height", "width", "gsd_m"]).to_pylist()
        },
        statistics=statistics,
    )
    targets, confidence = targets_of(config, directory, corpus, last_round)
    sets = []
    for round_ in schedule_of(config).rounds_trained_on(last_round):
        if (committed := schedule_of(config).trained_on(round_)) == last_round:
            sets.append(training_set(config, corpus, targets, round_, confidence))
            continue
        version = _version(store, run_id, committed)
        then, digest = read_annotations(store, version, schema, unchanged.tile_ids)
        then = entered(then, people, unchanged, store, run_id)
        earlier = replace(corpus, annotations=then, version=version, digest=digest)
        earlier_targets, earlier_confidence = targets_of(config, directory, earlier, committed)
        sets.append(training_set(config, earlier, earlier_targets, round_, earlier_confidence))
    return replace(corpus, training_sets=tuple(sets), loss_mask=targets.loss_mask)


def next_corpus(
    config: RunConfig,
    directory: RunDirectory,
    corpus: CorpusState,
    update: LabelUpdate,
    findings: Findings,
    round_: int,
) -> CorpusState:
    """Commit a round's annotations once, whatever happens, and shuffle them for the round that is trained on them.

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
    caption_mask, loss_mask = schedule_of(config).masks(
        round_, findings.flagged[training], annotations.confidence[training]
    )
    hints = hints_of_all(schema, findings.feedback, np.flatnonzero(training))
    targets = TrainingTargets(caption_mask, loss_mask, hints)
    targets.write(directory.feedback(round_), directory.writer)
    corpus = replace(corpus, annotations=annotations, version=version, digest=digest, people=people)
    targets = with_decided(corpus, targets)
    ahead = training_set(config, corpus, targets, schedule_of(config).rounds_trained_on(round_)[-1])
    return replace(corpus, training_sets=(*corpus.training_sets[1:], ahead), loss_mask=targets.loss_mask)


def _version(store: AnnotationStore, run_id: str, round_: int) -> int:
    """The version that a recorded round committed.

    Raises:
        AnnotationError: There is none.
    """
    version = store.version_of(run_id, round_)
    if version is None:
        raise AnnotationError(
            f"{store.path} has no annotations of round {round_} of {run_id}, which is recorded. "
            "Restore the table from a copy, or start a new run."
        )
    return version


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
