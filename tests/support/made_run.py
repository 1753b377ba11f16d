"""A run directory as a run leaves it, made without a cluster: what the models say is made up from the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from corpus.annotations import AnnotationStore
from corpus.digest import annotation_digest
from corpus.simulate.config import SceneConfig
from corpus.storage.parquet import read_parquet
from hcot_llm.aggregation.acceptance import NOT_PROPOSED
from hcot_llm.aggregation.feedback import Feedback, flagged_clauses
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.aggregation.relabel import Proposals, current_confidence, update_labels
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.config.schema import CorpusConfig, RunConfig
from orchestrator.data.annotation_rows import annotation_rows
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.data.prepare import PreparedCorpus, prepare_corpus
from orchestrator.data.round_evidence import evidence_of
from orchestrator.policies.folds import Findings, FoldFindings, join_findings, make_folds
from orchestrator.state.evidence import write_evidence
from orchestrator.state.records import write_record
from orchestrator.state.run_directory import RunDirectory
from support.hcot import HCOT
from support.records import record
from support.unguarded import unguarded


@dataclass(frozen=True)
class MadeRun:
    """path: the run directory. prepared: its corpus. truth: int [tiles, clauses], in the order of tile ids."""

    path: Path
    config: RunConfig
    prepared: PreparedCorpus
    truth: np.ndarray


def make_run(
    folder: Path, schema: AnnotationSchema = HCOT, tiles: int = 32, rounds: int = 2, right: float = 0.8
) -> MadeRun:
    """A run of `rounds` recorded rounds on simulated tiles in `folder`; right: share of an encoder's right answers."""
    config = RunConfig(
        name="made",
        rounds=rounds,
        schema=schema,
        corpus=CorpusConfig(data_dir=folder / "data", name="made", simulated=SceneConfig(tiles=tiles, cities=6)),
        tracking={"kind": "none"},
    )
    prepared = prepare_corpus(config.corpus, schema, run_seed=0)
    directory = unguarded(RunDirectory.create(config, folder / "run", folder / "runs").path)
    keep_or_check_inputs(directory.path, prepared)
    initial = matrix_from_table(schema, prepared.initial)
    truth = _truth(schema, prepared, initial.tile_ids)
    store, metadata = AnnotationStore(directory.annotations), {"schema": schema.name, "schema_sha256": schema.digest}
    rows = annotation_rows(initial, prepared.initial, 0, [""] * len(initial), "")
    store.commit(rows, run_id=directory.run_id, round_=0, metadata=metadata)
    current = initial
    for round_ in range(1, rounds + 1):
        current = _round(config, directory, prepared, initial, current, truth, round_, store, metadata, right)
    return MadeRun(directory.path, config, prepared, truth)


def made_findings(run: RunConfig, initial, current, truth, training, round_: int, right: float = 0.8) -> Findings:
    """What encoder and captioner say in a round, made up from the truth; no clause but the flagged ones is asked."""
    draw = np.random.default_rng(round_)
    feedback = _feedback(initial, truth, right + 0.05 * round_, draw)
    confidence = current_confidence(feedback, current, initial, ~training, run.acceptance)
    flagged = flagged_clauses(feedback, confidence, run.flag)
    proposals = _proposals(initial.schema, truth, flagged, draw)
    [fold] = make_folds(initial.tile_ids, training, 1, 0)
    embeddings = np.zeros((len(initial), 4), np.float32)
    part = FoldFindings(fold, "a" * 64, feedback, embeddings, flagged, flagged, proposals)
    return join_findings(initial, [part])


def in_training(prepared: PreparedCorpus, tile_ids: tuple[str, ...]) -> np.ndarray:
    """bool [tiles], those that are not held out."""
    split = dict(zip(prepared.tiles["tile_id"].to_pylist(), prepared.tiles["split"].to_pylist(), strict=True))
    return np.asarray([split[tile] == "train" for tile in tile_ids])


def _round(
    config: RunConfig,
    directory: RunDirectory,
    prepared: PreparedCorpus,
    initial: AnnotationMatrix,
    current: AnnotationMatrix,
    truth: np.ndarray,
    round_: int,
    store: AnnotationStore,
    metadata: dict[str, str],
    right: float,
) -> AnnotationMatrix:
    training = in_training(prepared, initial.tile_ids)
    findings = made_findings(config, initial, current, truth, training, round_, right)
    feedback, proposals = findings.feedback, findings.proposals
    update = update_labels(
        feedback,
        current,
        initial,
        proposals,
        ~training,
        config.acceptance,
        remember=lambda rows: evidence_of(findings, rows),
    )
    write_evidence(directory.evidence(round_), update.remembered, directory.writer)
    table = annotation_rows(update.matrix, store.read(), round_, findings.weights_sha256, "b" * 64)
    version = store.commit(table, run_id=directory.run_id, round_=round_, metadata=metadata)
    digest = annotation_digest(store.read(version))
    run_id, sha256 = directory.run_id, initial.schema.digest
    write_record(
        directory, record(round_, run_id=run_id, corpus_version=version, corpus_digest=digest, schema_sha256=sha256)
    )
    return matrix_from_table(initial.schema, store.read(version))


def _truth(schema: AnnotationSchema, prepared: PreparedCorpus, tile_ids: tuple[str, ...]) -> np.ndarray:
    rows = {row["tile_id"]: row for row in read_parquet(prepared.truth_dir / "truth.parquet").to_pylist()}
    return np.asarray(
        [[schema.value_index[clause][rows[tile][clause]] for clause in schema.names] for tile in tile_ids]
    )


def _feedback(initial: AnnotationMatrix, truth: np.ndarray, right: float, draw: np.random.Generator) -> Feedback:
    """An encoder that is right in this share of the clauses, and mostly knows where it is not."""
    schema, tiles = initial.schema, len(initial)
    zero_shot = {}
    for column, (clause, words) in enumerate(schema.vocabulary.items()):
        sure = draw.random(tiles) < right
        believed = np.where(sure, truth[:, column], draw.integers(len(words), size=tiles))
        scores = draw.normal(0, 0.7, (tiles, len(words)))
        scores[np.arange(tiles), believed] += np.where(sure, draw.normal(4, 1, tiles), draw.normal(1, 0.7, tiles))
        weights = np.exp(scores)
        zero_shot[clause] = weights / weights.sum(axis=1, keepdims=True)
    scores = draw.normal(0, 0.1, (tiles, len(schema)))
    return Feedback(initial.tile_ids, zero_shot, zero_shot, scores[:, 0], scores[:, 0], scores, -scores)


def _proposals(schema: AnnotationSchema, truth: np.ndarray, asked: np.ndarray, draw: np.random.Generator) -> Proposals:
    made = Proposals.none_for(schema, len(truth), 2)
    for row, column in np.argwhere(asked):
        clause = schema.names[column]
        words = schema.vocabulary[clause]
        value = truth[row, column] if draw.random() < 0.8 else int(draw.integers(len(words)))
        distribution = np.full(len(words), 0.2 / (len(words) - 1))
        distribution[value] = 0.8
        made.put(schema, row, clause, 0, words[value], distribution)
    assert NOT_PROPOSED in made.proposed
    return made
