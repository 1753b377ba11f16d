"""A run's annotations of real scenes against reference annotations.

Those of the project's samples were made by visual interpretation by a vision-language model. They serve evaluation
only: nothing is trained, tuned or chosen on them.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

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
from hcot_llm.initial.annotations import geography_values
from orchestrator.config.schema import RunConfig
from orchestrator.data.inputs import read_inputs
from orchestrator.state.records import read_records
from orchestrator.state.run_directory import RunDirectory

SECOND_READING = "second_reading.csv"
ANSWERS = ("initial", "final", "geography", "majority")


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
        windows: Number of windows of the reference that are tiles of the run.
        not_found: Number of windows that are not.
        rounds: Number of recorded rounds.
    """

    by_group: dict[str, list[FieldReport]]
    windows: int
    not_found: int
    rounds: int

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

    def group(belongs: Callable[[ReferenceWindow, str], bool]) -> list[FieldReport]:
        chosen = {window: tile_id for window, tile_id in found.items() if belongs(window, tiles[tile_id]["split"])}
        return [_field_report(field, chosen, answers, second) for field in FIELDS] if chosen else []

    groups = {
        "training tiles": group(lambda window, split: split == "train" and window.confidence != "low"),
        "training tiles, reference of low confidence": group(
            lambda window, split: split == "train" and window.confidence == "low"
        ),
        "held-out tiles, which keep their initial annotation": group(
            lambda window, split: split != "train" and window.confidence != "low"
        ),
        "held-out tiles, reference of low confidence": group(
            lambda window, split: split != "train" and window.confidence == "low"
        ),
    }
    return ReferenceReport(
        {name: fields for name, fields in groups.items() if fields}, len(found), len(windows) - len(found), rounds
    )


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
        console.print()
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
    table = Table(
        title=f"Against the reference: {name}, {count} windows",
        title_justify="left",
        title_style="bold",
        box=None,
        pad_edge=False,
        header_style="dim",
    )
    for heading in ("clause", "initial", "final", "geography", "majority", "2nd reader"):
        table.add_column(heading, justify="left" if heading == "clause" else "right", no_wrap=True)
    for field in fields:
        clause = field.clause.replace("_", " ")
        table.add_row(
            Text(clause if field.scored else f"[{clause}]"),
            *(_cell(field.scores[answer]) for answer in ANSWERS[:-1]),
            f"{100 * field.scores['majority'].accuracy:.1f}",
            _cell(field.second_reading),
            style=None if field.scored else "dim",
        )
    scored = [field for field in fields if field.scored]
    means = [sum(field.scores[answer].accuracy for field in scored) / len(scored) for answer in ANSWERS]
    # Below the accuracies, not below their kappas.
    table.add_row(
        "mean of scored", *(f"{100 * mean:.1f}      " for mean in means[:-1]), f"{100 * means[-1]:.1f}", style="bold"
    )
    return table


def _cell(found: FieldScore | None) -> str:
    return "" if found is None else f"{100 * found.accuracy:.1f} {_kappa(found.kappa)}"


def _kappa(value: float) -> str:
    """As statistics writes it, without the zero before the point: 80 columns hold five cells."""
    return f"({value:.2f})".replace("0.", ".", 1)
