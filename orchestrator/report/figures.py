"""The pictures of a run: which data goes into which plot, and where the files lie."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from corpus.geotiff.read import read_backscatter
from corpus.storage.arrow import compute as pc
from corpus.tiles import tile_path
from hcot_llm.schema.annotation_schema import AnnotationSchema
from orchestrator.data.corpus_state import CorpusState
from orchestrator.report import plots
from orchestrator.report.gallery import GalleryTile, gallery
from orchestrator.state.loss_history import read_losses
from orchestrator.state.records import RoundRecord, read_initial_summary, read_records
from orchestrator.state.run_directory import RunDirectory

GALLERY_TILES = 6


def draw_round(
    directory: RunDirectory,
    corpus: CorpusState,
    round_: int,
    accuracy_by_clause: Mapping[str, float | None],
    tile_ids: Sequence[str],
    truth: Mapping[str, Mapping[str, str]] | None,
) -> list[Path]:
    """Draw the pictures after a round: a gallery, the losses up to it, and the accuracy where there is truth.

    Args:
        directory: Directory of the run; has the records of earlier rounds, and the losses of this one too.
        corpus: The corpus as the round left it.
        round_: number of the round, counted from 1.
        accuracy_by_clause: Accuracy of the round's annotations; empty without truth.
        tile_ids: the tiles of the gallery.
        truth: true values of those tiles, by tile and clause; None without truth.

    Returns:
        The files that were drawn.
    """
    figures = directory.figures
    paths = [draw_gallery(corpus, tile_ids, truth, round_, figures / "gallery.png")]
    if losses := read_losses(directory, round_):
        paths.append(draw_losses(losses, figures / "losses.png"))
    initial = read_initial_summary(directory.path)
    if initial is not None and initial.accuracy_by_clause:
        found = [record.accuracy_by_clause or {} for record in read_records(directory.path)]
        rounds = [_known(each) for each in (*found, accuracy_by_clause)]
        paths.append(
            draw_accuracy(
                corpus.annotations.schema,
                _known(initial.accuracy_by_clause),
                rounds,
                figures / "accuracy_by_clause.png",
            )
        )
    return paths


def draw_run(directory: RunDirectory, records: Sequence[RoundRecord]) -> list[Path]:
    """Draw what can be drawn only when all rounds are over; returns all figures of the run."""
    draw_times([record.timings.model_dump() for record in records], directory.figures / "time_per_phase.png")
    return sorted(directory.figures.glob("*.png"))


def gallery_tile_ids(corpus: CorpusState) -> list[str]:
    """The training tiles whose annotation differs most from the initial one, of as many cities as there are."""
    training, initial = corpus.training, corpus.training_initial
    changed = (training.values != initial.values).sum(axis=1)
    tiles = corpus.prepared.tiles
    row_of = pc.index_in(pa.array(training.tile_ids), tiles["tile_id"])
    cities = tiles["city"].combine_chunks().dictionary_encode()
    city = cities.indices.take(row_of).to_numpy(zero_copy_only=False)
    return [training.tile_ids[row] for row in spread(changed, city, GALLERY_TILES)]


def spread(changed: np.ndarray, city: np.ndarray, count: int) -> np.ndarray:
    """Rows with the largest changes, int [count] at most: first one of each city, then the others.

    Args:
        changed: how much each of N rows changed, numbers [N].
        city: which city each lies in, [N].
        count: how many rows are wanted.
    """
    order = np.argsort(-changed, kind="stable")
    first = np.sort(np.unique(city[order], return_index=True)[1])
    others = np.setdiff1d(np.arange(len(order)), first)
    return order[np.concatenate([first, others])[:count]]


def draw_gallery(
    corpus: CorpusState, tile_ids: Sequence[str], truth: Mapping[str, Mapping[str, str]] | None, round_: int, path: Path
) -> Path:
    """Tiles with their initial and current annotation; changes are marked right or wrong where truth is given."""
    wanted = pa.array(tile_ids, pa.string())
    about_tiles = corpus.prepared.tiles.take(pc.index_in(wanted, corpus.prepared.tiles["tile_id"])).to_pylist()
    positions = pc.index_in(wanted, pa.array(corpus.annotations.tile_ids)).to_pylist()
    tiles = []
    for tile_id, about, position in zip(tile_ids, about_tiles, positions, strict=True):
        scene = read_backscatter(tile_path(corpus.prepared.corpus_dir, about["path"]))
        tiles.append(
            GalleryTile(
                image=10 ** (scene.array[0] / 20),
                platform=about["platform"],
                polarisation=scene.polarisations[0],
                city=about["city"],
                gsd_m=about["gsd_m"],
                before=corpus.initial.row_values(position),
                after=corpus.annotations.row_values(position),
                truth=None if truth is None else truth[tile_id],
                simulated=corpus.prepared.simulated,
            )
        )
    kind = "simulated tiles" if corpus.prepared.simulated else "tiles"
    return plots.save(gallery(tiles, title=f"Annotations of {kind}, initial and after round {round_}"), path)


def draw_accuracy(
    schema: AnnotationSchema, initial: Mapping[str, float], rounds: Sequence[Mapping[str, float]], path: Path
) -> Path:
    """Annotation accuracy by clause, initially and after each round."""
    return plots.save(plots.accuracy_by_clause(initial, rounds, schema.group), path)


def draw_losses(losses: Mapping[int, Sequence[Mapping[str, float]]], path: Path) -> Path:
    """Losses over the optimiser steps of the run."""
    return plots.save(plots.losses_by_step(losses), path)


def draw_times(timings: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Time per phase and round."""
    return plots.save(plots.time_per_phase(timings), path)


def _known(accuracy: Mapping[str, float | None]) -> dict[str, float]:
    return {clause: value for clause, value in accuracy.items() if value is not None}
