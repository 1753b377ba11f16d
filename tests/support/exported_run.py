"""Run directories of finished runs, written by the run's own code; their rounds changed annotations untrained."""

from pathlib import Path

import pyarrow as pa

from corpus.annotation_rows import ANNOTATION_SCHEMA
from corpus.annotations import AnnotationStore
from corpus.digest import annotation_digest
from corpus.storage.rng import derive_seed
from corpus.storage.writer import UNGUARDED
from hcot_llm.aggregation.matrix import matrix_from_table
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.text.render import render_clause
from orchestrator.config.load import load_config
from orchestrator.config.schema import RunConfig
from orchestrator.data.annotation_rows import annotation_rows
from orchestrator.data.inputs import keep_or_check_inputs
from orchestrator.data.prepare import prepare_corpus
from orchestrator.policies.retention import CHAMPION_METRIC
from orchestrator.state.records import Counts, write_record
from orchestrator.state.run_directory import RunDirectory
from support.paths import ROOT
from support.records import record

MEASURES = (0.5, 0.9, 0.7)
"""By which the champion is chosen, round by round: round 2."""


def finished_run(folder: Path, *settings: str, rounds: int = 3) -> Path:
    """A run directory of configs/smoke.yaml with settings; its corpus is simulated, or cut from GeoTIFFs."""
    options = [f"corpus.data_dir={folder / 'data'}", f"rounds={rounds}", "corpus.simulated.tiles=12", *settings]
    config = load_config(ROOT / "configs" / "smoke.yaml", options)
    directory = RunDirectory.create(config, folder / "run", folder)
    directory.writer = UNGUARDED
    schema = config.annotation_schema
    prepared = prepare_corpus(config.corpus, schema, run_seed=config.seed)
    keep_or_check_inputs(directory.path, prepared)
    store, initial = AnnotationStore(directory.annotations), matrix_from_table(schema, prepared.initial)
    table = annotation_rows(initial, prepared.initial, 0, [""] * len(initial), "")
    commit(config, store, table, 0)
    for number in range(1, rounds + 1):
        table, changed = _changed(schema, table, number)
        version = commit(config, store, table, number)
        counts = Counts(
            scored=table.num_rows, flagged=changed, regenerated=changed, accepted=changed, rejected=0, invalid=0
        )
        metrics = {"annotation_accuracy": 0.8 + 0.02 * number, CHAMPION_METRIC: MEASURES[number - 1]}
        made = record(
            number,
            run_id="run",
            corpus_version=version,
            corpus_digest=annotation_digest(table),
            schema_sha256=schema.digest,
            counts=counts,
            metrics=metrics,
        )
        write_record(directory, made)
    return directory.path


def commit(config: RunConfig, store: AnnotationStore, table: pa.Table, round_: int) -> int:
    """Commit a round's annotations as the loop does."""
    schema = config.annotation_schema
    metadata = {"schema": schema.name, "schema_sha256": schema.digest}
    return store.commit(table, run_id="run", round_=round_, metadata=metadata)


def _changed(schema: AnnotationSchema, table: pa.Table, round_: int) -> tuple[pa.Table, int]:
    """One clause in eight gets the next value of its vocabulary; (table, number of changed clauses)."""
    rows, changed = table.to_pylist(), 0
    for row in rows:
        row["round"] = round_
        if derive_seed(row["tile_id"], row["clause"], round_) % 8:
            continue
        words = schema.vocabulary[row["clause"]]
        row["value"] = words[(words.index(row["value"]) + 1) % len(words)]
        row["text"] = render_clause(schema, row["clause"], row["value"], variant=round_)
        row["source"], row["confidence"] = "captioner", 0.9
        changed += 1
    return pa.Table.from_pylist(rows, ANNOTATION_SCHEMA), changed
