"""The pictures of a run: which data goes into which plot, and where the files lie."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from corpus.geotiff.read import read_backscatter
from corpus.tiles import tile_path
from hcot_llm.schema.clauses import CLAUSES, GROUP
from orchestrator.data.annotation_history import CorpusState
from orchestrator.report.gallery import GalleryTile, gallery
from orchestrator.report.plots import accuracy_by_clause, losses_by_step, save, time_per_phase

GALLERY_TILES = 6


def gallery_tile_ids(corpus: CorpusState) -> list[str]:
    """The training tiles whose annotation changed most since the seed, of as many cities as there are."""
    training, seed = corpus.training, corpus.training_seed
    changed = (training.values != seed.values).sum(axis=1)
    city = dict(
        zip(corpus.prepared.tiles["tile_id"].to_pylist(), corpus.prepared.tiles["city"].to_pylist(), strict=True)
    )
    chosen: list[str] = []
    again: list[str] = []
    for row in np.argsort(-changed, kind="stable"):
        tile_id = training.tile_ids[row]
        (again if city[tile_id] in {city[other] for other in chosen} else chosen).append(tile_id)
        if len(chosen) == GALLERY_TILES:
            break
    return (chosen + again)[:GALLERY_TILES]


def draw_gallery(
    corpus: CorpusState, tile_ids: Sequence[str], truth: Mapping[str, Mapping[str, str]] | None, round_: int, path: Path
) -> Path:
    """Tiles with their seed and current annotation; changes are marked right or wrong where truth is given."""
    rows = {row["tile_id"]: row for row in corpus.prepared.tiles.to_pylist()}
    position = {tile_id: row for row, tile_id in enumerate(corpus.annotations.tile_ids)}
    tiles = []
    for tile_id in tile_ids:
        about = rows[tile_id]
        scene = read_backscatter(tile_path(corpus.prepared.corpus_dir, about["path"]))
        tiles.append(
            GalleryTile(
                image=10 ** (scene.array[0] / 20),
                platform=about["platform"],
                polarisation=scene.polarisations[0],
                city=about["city"],
                gsd_m=about["gsd_m"],
                before={str(c): v for c, v in corpus.seed.row_values(position[tile_id]).items()},
                after={str(c): v for c, v in corpus.annotations.row_values(position[tile_id]).items()},
                truth=None if truth is None else truth[tile_id],
                simulated=corpus.prepared.simulated,
            )
        )
    kind = "simulated tiles" if corpus.prepared.simulated else "tiles"
    return save(gallery(tiles, title=f"Annotations of {kind}, seed and after round {round_}"), path)


def draw_accuracy(seed: Mapping[str, float], rounds: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Annotation accuracy by clause, seed and rounds."""
    return save(accuracy_by_clause(seed, rounds, {str(clause): GROUP[clause] for clause in CLAUSES}), path)


def draw_losses(losses: Mapping[int, Sequence[Mapping[str, float]]], path: Path) -> Path:
    """Losses over the optimiser steps of the run."""
    return save(losses_by_step(losses), path)


def draw_times(timings: Sequence[Mapping[str, float]], path: Path) -> Path:
    """Time per phase and round."""
    return save(time_per_phase(timings), path)
