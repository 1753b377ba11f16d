"""A run's annotations of real scenes against reference annotations.

Those of the project's samples were made by visual interpretation by a vision-language model. They serve evaluation
only: nothing is trained, tuned or chosen on them.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from actors.scorer.stored_encoder import view_of
from benchmark.metrics.block_bootstrap import MeanScore, block_of, mean_score
from benchmark.reference import (
    FIELDS,
    ReferenceField,
    ReferenceFileError,
    ReferenceWindow,
    agreement,
    most_frequent,
    read_reference,
    score,
)
from corpus.annotations import AnnotationStore
from corpus.ingest.cutting import tile_id_of
from corpus.ingest.ingest import scene_sha256
from corpus.tiles import read_tiles
from hcot_llm.aggregation.matrix import AnnotationMatrix, matrix_from_table
from hcot_llm.initial.annotations import geography_values
from hcot_llm.schema.files import check_same, read_schema
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import read_inputs
from orchestrator.data.prepare import PreparedCorpus
from orchestrator.report.reference_table import FieldReport, ReferenceReport
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory

SECOND_READING = "second_reading.csv"
# Name, splits of the tiles, whether the reference is of low confidence.
GROUPS = (
    ("training tiles", ("train",), False),
    ("training tiles, reference of low confidence", ("train",), True),
    ("held-out tiles, which keep their initial annotation", ("held_out",), False),
    ("held-out tiles, reference of low confidence", ("held_out",), True),
)
ALL_TILES = (
    ("all tiles", ("train", "held_out"), False),
    ("all tiles, reference of low confidence", ("train", "held_out"), True),
)
LEAST_PROBABILITY = 1e-4
"""Of an annotation, for its log-likelihood: one that the weights exclude counts as this."""


def compare_with_reference(run_dir: Path, reference: Path) -> ReferenceReport:
    """Score the initial and the last annotations of a run, and two baselines, on the windows of a reference.

    The scenes are found beside the reference and recognised by their content, so the run may have used copies of them.
    The tiles are those that the run began with, also where the folder that they were cut from has changed since.

    Args:
        run_dir: Directory of the run.
        reference: CSV file of the reference.

    Raises:
        ReferenceFileError: The reference cannot be read, its scenes are missing, or none of its windows is a tile.
        RunDirectoryError: There is no run.
        CorpusError: The run has no corpus, or its corpus is no longer there.
    """
    directory, config = RunDirectory.open(Path(run_dir))
    schema = config.annotation_schema
    windows = read_reference(reference, schema.vocabulary)
    second_path = reference.parent / SECOND_READING
    second = read_reference(second_path, schema.vocabulary) if second_path.is_file() else []
    inputs = read_inputs(directory.path)
    columns = read_tiles(inputs.corpus_dir).select(["tile_id", "lon", "lat", "split"])
    tiles = {tile["tile_id"]: tile for tile in columns.to_pylist() if tile["tile_id"] in inputs.tiles}
    found = _tiles_of(windows, reference.parent, config, set(tiles))
    rounds = len(read_records(directory.path))
    store = AnnotationStore(directory.annotations)
    answers = {
        "initial": _stored(store, directory.run_id, 0),
        "final": _stored(store, directory.run_id, rounds),
        "geography": {
            tile_id: geography_values(schema, tiles[tile_id]["lon"], tiles[tile_id]["lat"])
            for tile_id in found.values()
        },
    }

    return _compare(found, tiles, answers, second, len(windows), rounds)


def score_weights(config: RunConfig, corpus: PreparedCorpus, weights_dir: Path, reference: Path) -> ReferenceReport:
    """Score what weights say of tiles on which nothing was trained, beside geography, on the windows of a reference.

    Args:
        config: says how the scenes were cut, and from how many views the encoder looks.
        corpus: the tiles.
        weights_dir: of the weights.
        reference: the CSV file, with its scenes beside it.

    Raises:
        ReferenceFileError: as `compare_with_reference`.
        hcot_llm.schema.errors.SchemaMismatch: the weights are of another annotation schema.
    """
    schema = config.annotation_schema
    check_same(f"The weights {weights_dir}", read_schema(weights_dir), schema, "Name weights of this schema.")
    windows = read_reference(reference, schema.vocabulary)
    second_path = reference.parent / SECOND_READING
    second = read_reference(second_path, schema.vocabulary) if second_path.is_file() else []
    tiles = {tile["tile_id"]: tile for tile in corpus.tiles.to_pylist()}
    found = _tiles_of(windows, reference.parent, config, set(tiles))
    seen = view_of(weights_dir, corpus.corpus_dir, list(tiles.values()), views=config.score.views)
    zero_shot = seen.zero_shot
    said = {
        tile_id: {clause: schema.vocabulary[clause][int(of[row].argmax())] for clause, of in zero_shot.items()}
        for row, tile_id in enumerate(tiles)
    }
    initial = matrix_from_table(schema, corpus.initial)
    answers = {
        "initial": {tile_id: initial.row_values(row) for row, tile_id in enumerate(initial.tile_ids)},
        "weights": said,
        "geography": {
            tile_id: geography_values(schema, tiles[tile_id]["lon"], tiles[tile_id]["lat"])
            for tile_id in found.values()
        },
    }
    return replace(
        _compare(found, tiles, answers, second, len(windows), 0, by_split=False),
        initial_log_likelihood=_log_likelihood(zero_shot, initial, list(tiles)),
        foreign_share=None if seen.distance is None else float((seen.distance > 1).mean()),
    )


def _log_likelihood(zero_shot: Mapping[str, np.ndarray], initial: AnnotationMatrix, tile_ids: list[str]) -> float:
    """Mean log-likelihood of the initial annotations of all tiles: it needs no reference, and compares inputs."""
    row_of = {tile_id: row for row, tile_id in enumerate(initial.tile_ids)}
    rows = [row_of[tile_id] for tile_id in tile_ids]
    per_clause = [
        np.log(np.maximum(of[np.arange(len(rows)), initial.values[rows, column]], LEAST_PROBABILITY)).mean()
        for column, of in enumerate(zero_shot.values())
    ]
    return float(np.mean(per_clause))


def _compare(
    found: Mapping[ReferenceWindow, str],
    tiles: Mapping[str, Mapping[str, Any]],
    answers: Mapping[str, Mapping[str, Mapping[str, str]]],
    second: list[ReferenceWindow],
    listed: int,
    rounds: int,
    *,
    by_split: bool = True,
) -> ReferenceReport:
    """Score answers on the windows that were found, in groups of confidence and, `by_split`, of the tiles' split."""
    by_group, mean = {}, {}
    for name, splits, low in GROUPS if by_split else ALL_TILES:
        chosen = {
            window: tile_id
            for window, tile_id in found.items()
            if tiles[tile_id]["split"] in splits and (window.confidence == "low") == low
        }
        if chosen:
            by_group[name] = [_field_report(field, chosen, answers, second) for field in FIELDS]
            blocks = [block_of(tiles[tile_id]["lon"], tiles[tile_id]["lat"]) for tile_id in chosen.values()]
            mean[name] = _means(chosen, answers, blocks)
    return ReferenceReport(by_group, mean, len(found), listed - len(found), rounds)


def _means(
    chosen: Mapping[ReferenceWindow, str],
    answers: Mapping[str, Mapping[str, Mapping[str, str]]],
    blocks: list[tuple[int, int]],
) -> dict[str, MeanScore]:
    """Mean over the scored fields of each answer."""
    scored = [field for field in FIELDS if field.scored]
    true = [[window.value(field) for window in chosen] for field in scored]
    of = {
        name: [[field.read(values[tile_id][field.clause]) for tile_id in chosen.values()] for field in scored]
        for name, values in answers.items()
    }
    of["majority"] = [[most_frequent(field, list(chosen))] * len(chosen) for field in scored]
    return {name: mean_score(predicted, true, blocks) for name, predicted in of.items()}


def _tiles_of(
    windows: list[ReferenceWindow], scenes: Path, config: RunConfig, tile_ids: set[str]
) -> dict[ReferenceWindow, str]:
    """The tile of every window that the run's corpus has."""
    ingest = config.corpus.ingest
    size = ingest.window_px or ingest.tile_px
    if other := sorted({window.size for window in windows} - {size}):
        raise ReferenceFileError(
            f"The reference reads windows of {other[0]} px; the run cut windows of {size} px. "
            f"Run with --set corpus.ingest.window_px={other[0]}."
        )
    digests = {}
    for name in sorted({window.file for window in windows}):
        if not (scenes / name).is_file():
            raise ReferenceFileError(
                f"The scene {name} of the reference does not lie beside it, in {scenes}. It is "
                "needed to recognise the run's tiles; put it there."
            )
        digests[name] = scene_sha256(scenes / name, ingest)
    ids = {
        window: tile_id_of(digests[window.file], window.row_off, window.col_off, size, ingest.tile_px)
        for window in windows
    }
    found = {window: tile_id for window, tile_id in ids.items() if tile_id in tile_ids}
    if not found:
        raise ReferenceFileError(
            f"None of the {len(windows)} windows of the reference is a tile of the run: it ran on "
            "other scenes, or cut them at other places. Compare it with a reference of its own."
        )
    return found


def _stored(store: AnnotationStore, run_id: str, round_: int) -> dict[str, dict[str, str]]:
    """Tile -> clause -> value after a round; round 0 has the initial annotations."""
    table = store.read(store.version_of(run_id, round_))
    values: dict[str, dict[str, str]] = {}
    for tile_id, clause, value in zip(
        *(table[name].to_pylist() for name in ("tile_id", "clause", "value")), strict=True
    ):
        values.setdefault(tile_id, {})[clause] = value
    return values


def _field_report(
    field: ReferenceField,
    chosen: Mapping[ReferenceWindow, str],
    answers: Mapping[str, Mapping[str, Mapping[str, str]]],
    second: list[ReferenceWindow],
) -> FieldReport:
    windows, clause = list(chosen), field.clause
    scores = {
        name: score(field, [values[tile_id][clause] for tile_id in chosen.values()], windows)
        for name, values in answers.items()
    }
    scores["majority"] = score(field, [most_frequent(field, windows)] * len(windows), windows)
    return FieldReport(field.clause, field.scored, scores, agreement(field, windows, second))
