"""The nearest tiles of a whole corpus, shared out among workers: all pairs are compared, or cells are searched."""

import logging

import numpy as np

from actors.scorer.config import ScoreConfig
from actors.scorer.neighbours import (
    Cells,
    cell_of,
    fit_centres,
    make_cells,
    nearest_in_cells,
    nearest_of,
    nearest_tiles,
    pieces,
    recall,
)
from corpus.storage.rng import derive_seed
from hcot_llm.aggregation.workers import Workers

SAMPLE = 512
"""Tiles whose neighbours are also found exactly, to say how many the cells miss."""
_log = logging.getLogger(__name__)


def find_nearest(
    embeddings: np.ndarray, config: ScoreConfig, seed: int, workers: Workers
) -> tuple[np.ndarray, float | None]:
    """Rows of the nearest other tiles of each tile.

    Args:
        embeddings: float32 [N, E] of all tiles, unit vectors.
        config: how many neighbours, and from which size on they are searched in cells.
        seed: of the cells, and of the sample on which the recall is measured.
        workers: who compares.

    Returns:
        int64 [N, K], and the share of the true neighbours among them, of a sample; None where all pairs were compared.
    """
    everything, count, gpus = workers.hold(embeddings), config.neighbours, config.gpus_per_worker
    if len(embeddings) <= config.exact_neighbours:
        calls = [(everything, *piece, count, gpus) for piece in pieces(len(embeddings))]
        return np.concatenate(workers.map(nearest_tiles, calls)), None
    [centres] = workers.map(fit_centres, [(everything, derive_seed(seed, "cells"))])
    held = workers.hold(centres)
    cell = np.concatenate(workers.map(cell_of, [(everything, held, *piece) for piece in pieces(len(embeddings))]))
    cells = make_cells(cell, centres, config.neighbour_cells)
    nearest = _in_cells(cells, count, workers, everything, gpus)
    draw = np.random.default_rng(derive_seed(seed, "recall"))
    sample = np.sort(draw.choice(len(embeddings), min(SAMPLE, len(embeddings)), replace=False))
    [exact] = workers.map(nearest_of, [(everything, sample, count, gpus)])
    found = recall(nearest[sample], exact)
    _log.info("neighbours were searched in %d cells: %.3f of the nearest are found", len(centres), found)
    return nearest, found


def _in_cells(cells: Cells, count: int, workers: Workers, everything: object, gpus: float) -> np.ndarray:
    held = workers.hold(cells)
    calls = [(everything, held, *piece, count, gpus) for piece in cells.pieces()]
    nearest = np.empty((len(cells.rows), count), np.int64)
    nearest[cells.rows] = np.concatenate(workers.map(nearest_in_cells, calls))
    return nearest
