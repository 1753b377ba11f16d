"""The initial annotations of a corpus: from a file, and where that says nothing from facts or geography.

Simulated scenes have facts, their truth, which is made as wrong as people are; of real tiles maps are asked.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.ingest.quarantine import Quarantine
from corpus.simulate.truth import FACT_VALUES
from corpus.storage.errors import ConfigError
from corpus.storage.parquet import read_parquet
from corpus.storage.rng import derive_seed
from corpus.storage.writer import UNGUARDED
from corpus.tiles import read_tiles
from hcot_llm.aggregation.consistent_states import check_cost
from hcot_llm.initial.annotations import (
    check_corruption,
    check_geography,
    check_maps,
    geography_annotations,
    truth_values,
)
from hcot_llm.initial.corruption import corrupt
from hcot_llm.initial.statements import InitialFile, read_statements
from hcot_llm.initial.table import file_annotations
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.errors import SchemaError
from orchestrator.config.schema import CorpusConfig
from orchestrator.data.weak_annotator import taken_for, weak_statistics

_SUMMARY = "initial.txt"


def check_annotations(config: CorpusConfig, schema: AnnotationSchema) -> InitialFile | None:
    """See, before work starts, that tiles of this corpus can be annotated at first with this schema.

    Returns:
        What the file of initial annotations states; None where none is configured.

    Raises:
        SchemaError: names the clauses that cannot be annotated.
        ConfigError: a labelled set is given a file of initial annotations.
        hcot_llm.initial.rows.InitialFileError: names the bad rows of the file.
    """
    check_cost(schema)
    if config.kind == "labelled":
        if config.initial is not None:
            raise ConfigError(
                "corpus.initial is for kinds simulated and geotiff: a labelled set has its labels in its own table. "
                "Leave one of the two out."
            )
        return None
    if config.initial is not None:
        if config.kind == "geotiff":
            check_maps(schema)
        return read_statements(schema, config.initial, config.initial_confidence)
    if config.kind == "simulated":
        check_corruption(schema, FACT_VALUES)
    else:
        check_geography(schema)
    return None


def annotate_simulated(
    config: CorpusConfig, schema: AnnotationSchema, root: Path, run_seed: int, initial: InitialFile | None
) -> pa.Table:
    """Return the initial annotations of the simulated corpus in `root`, INITIAL_SCHEMA.

    Raises:
        SchemaError: a tile lacks a clause, or rows of the file do not fit the tiles.
    """
    if initial is None:
        return _from_facts(config, schema, root, run_seed)
    otherwise = _from_facts(config, schema, root, run_seed) if _has_facts(schema) else None
    return _from_file(initial, schema, root / "corpus", {}, otherwise, "the facts of the simulated scenes")


def annotate_real(
    schema: AnnotationSchema, corpus_dir: Path, scene_of: Mapping[str, str], initial: InitialFile | None
) -> pa.Table:
    """Return the initial annotations of tiles that were cut from scenes, INITIAL_SCHEMA.

    Args:
        schema: of the annotations.
        corpus_dir: of the tiles.
        scene_of: tile_id -> name of the scene that it was cut from.
        initial: what the file of initial annotations states, if there is one.

    Raises:
        SchemaError: a tile lacks a clause, or rows of the file do not fit the tiles.
    """
    by_geography = geography_annotations(schema, read_tiles(corpus_dir))
    if initial is None:
        return by_geography
    return _from_file(initial, schema, corpus_dir, scene_of, by_geography, "geography")


def summary_in(corpus_dir: Path) -> str:
    """How many of a corpus's initial annotations come from a file, in words; '' where none do."""
    path = corpus_dir / _SUMMARY
    return path.read_text(encoding="utf-8").strip() if path.exists() else ""


def _has_facts(schema: AnnotationSchema) -> bool:
    """Whether simulated scenes know something of every clause."""
    try:
        check_corruption(schema, FACT_VALUES)
    except SchemaError:
        return False
    return True


def _from_facts(config: CorpusConfig, schema: AnnotationSchema, root: Path, run_seed: int) -> pa.Table:
    rows = read_parquet(root / "truth" / "truth.parquet").to_pylist()
    truth = {row["tile_id"]: truth_values(schema, row) for row in rows}
    seed = derive_seed(run_seed, "corruption")
    if config.corruption.kind == "confusable":
        return corrupt(schema, truth, config.corruption, seed)
    tiles = read_tiles(root / "corpus")
    place_of = dict(zip(tiles["tile_id"].to_pylist(), tiles["city"].to_pylist(), strict=True))
    if config.corruption.kind == "place_dependent":
        return corrupt(schema, truth, config.corruption, seed, place_of=place_of)
    tile_ids, features = sorted(truth), weak_statistics(root / "corpus")
    mistakes = {
        clause: taken_for(
            features,
            np.asarray([schema.value_index[clause][truth[tile_id][clause]] for tile_id in tile_ids]),
            len(words),
            [place_of[tile_id] for tile_id in tile_ids],
        )
        for clause, words in schema.vocabulary.items()
    }
    return corrupt(schema, truth, config.corruption, seed, taken_for=mistakes)


def _from_file(
    initial: InitialFile,
    schema: AnnotationSchema,
    corpus_dir: Path,
    scene_of: Mapping[str, str],
    otherwise: pa.Table | None,
    source: str,
) -> pa.Table:
    """Initial annotations from a file; what it does not say comes from `otherwise`, which a summary calls `source`."""
    left_out = Quarantine(corpus_dir).refused()
    found = file_annotations(
        schema, read_tiles(corpus_dir), initial, scene_of=scene_of, left_out=left_out, otherwise=otherwise
    )
    UNGUARDED.write_text(corpus_dir / _SUMMARY, found.summary(initial.path.name, source) + "\n")
    return found.table
