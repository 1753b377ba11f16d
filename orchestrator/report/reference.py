"""A run's annotations of real scenes against reference annotations.

Those of the project's samples were made by visual interpretation by a vision-language model. They serve evaluation
only: nothing is trained, tuned or chosen on them.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from rich.text import Text

from actors.scorer.stored_encoder import view_of
from benchmark.metrics.block_bootstrap import MeanScore, block_of, mean_score
from benchmark.reference import (
    FIELDS,
    FieldScore,
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
from orchestrator.report.tables import titled_table
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory

SECOND_READING = "second_reading.csv"
ANSWERS = ("initial", "final", "weights", "geography", "majority")
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


@dataclass(frozen=True)
class FieldReport:
    """Scores of one field over one set of windows.

    Attributes:
        clause: Name of the clause.
        scored: Whether the scores mean anything; else they are only shown.
        scores: Answer (initial, final, geography, majority) -> its score.
        second_reading: Score of the second reading against the first; None without one.
    """

    clause: str
    scored: bool
    scores: dict[str, FieldScore]
    second_reading: FieldScore | None


@dataclass(frozen=True)
class ReferenceReport:
    """A run against a reference.

    Attributes:
        by_group: Name of a set of windows -> its fields.
        mean: Name of a set of windows -> answer -> mean over its scored fields, with intervals over blocks of ground.
        windows: Number of windows of the reference that are tiles of the run.
        not_found: Number of windows that are not.
        rounds: Number of recorded rounds.
        initial_log_likelihood: Mean over clauses and tiles, of the initial annotations under weights; None for a run.
        foreign_share: Of all tiles, the share unlike those that the weights were trained on; None where these do not
            say.
    """

    by_group: dict[str, list[FieldReport]]
    mean: dict[str, dict[str, MeanScore]]
    windows: int
    not_found: int
    rounds: int
    initial_log_likelihood: float | None = None
    foreign_share: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)


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


def print_reference_report(report: ReferenceReport, console: Console) -> None:
    """Print the comparison as tables."""
    for name, fields in report.by_group.items():
        console.print(_table(name, fields))
        for answer, found in report.mean[name].items():
            console.print(
                f"{answer}: mean {100 * found.accuracy:.1f} % ({_interval(found.accuracy_interval, 100, 1)}), kappa "
                f"{found.kappa:.2f} ({_interval(found.kappa_interval, 1, 2)})",
                highlight=False,
            )
        console.print()
    if report.initial_log_likelihood is not None:
        console.print(
            f"Mean log-likelihood of the initial annotations under the weights: {report.initial_log_likelihood:.3f}.",
            highlight=False,
        )
    if report.foreign_share is not None:
        console.print(
            f"{report.foreign_share:.0%} of the tiles are unlike the weights' training tiles.", highlight=False
        )
    console.print(
        f"{report.windows} windows of the reference are tiles of this run, {report.not_found} are not; annotations "
        f"after {report.rounds} rounds. Each cell: accuracy in % (kappa: agreement beyond chance). 2nd reader: how far "
        "another reading by the same vision-language model agreed with the first: repeatability. Majority: the "
        "reference's own most frequent value everywhere. Building counts medium and dense as one. Fields in "
        "brackets are shown, not scored: readers disagree too much, or nearly all windows have the same value.",
        highlight=False,
    )


def _table(name: str, fields: list[FieldReport]) -> Table:
    count = fields[0].scores["initial"].windows
    table = titled_table(f"Against the reference: {name}, {count} windows")
    answers = [answer for answer in ANSWERS if answer in fields[0].scores]
    for heading in ("clause", *answers, "2nd reader"):
        table.add_column(heading, justify="left" if heading == "clause" else "right", no_wrap=True)
    for field in fields:
        clause = field.clause.replace("_", " ")
        table.add_row(
            Text(clause if field.scored else f"[{clause}]"),
            *(_cell(field.scores[answer]) for answer in answers[:-1]),
            f"{100 * field.scores['majority'].accuracy:.1f}",
            _cell(field.second_reading),
            style=None if field.scored else "dim",
        )
    scored = [field for field in fields if field.scored]
    means = [sum(field.scores[answer].accuracy for field in scored) / len(scored) for answer in answers]
    # Below the accuracies, not below their kappas.
    table.add_row(
        "mean of scored", *(f"{100 * mean:.1f}      " for mean in means[:-1]), f"{100 * means[-1]:.1f}", style="bold"
    )
    return table


def _interval(interval: tuple[float, float], scale: float, digits: int) -> str:
    """95 % of the draws of blocks of ground."""
    return f"{scale * interval[0]:.{digits}f} to {scale * interval[1]:.{digits}f}"


def _cell(found: FieldScore | None) -> str:
    return "" if found is None else f"{100 * found.accuracy:.1f} {_kappa(found.kappa)}"


def _kappa(value: float) -> str:
    """As statistics writes it, without the zero before the point: 80 columns hold five cells."""
    return f"({value:.2f})".replace("0.", ".", 1)
