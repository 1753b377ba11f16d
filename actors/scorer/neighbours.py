"""The nearest tiles by image embedding, found where the scoring actors compute.

Up to a size all pairs are compared, a piece at a time. A larger corpus is cut into cells of a few hundred tiles by
k-means, and a tile is compared with those of its own cell and of the cells nearest to it: an inverted file, as FAISS
calls it. That takes as long for each tile as a corpus of some thousand tiles does, and misses some of the nearest.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from actors.data.devices import device_of

MOST_AT_ONCE = 1024
"""Tiles that are compared with all others at once: 64,000 others take 256 MiB."""
TILES_OF_CELL: Final = 256
_TAUGHT: Final = 32  # tiles for each cell that k-means learns from


def pieces(tiles: int) -> list[tuple[int, int]]:
    """First and last row, exclusive, of the pieces in which tiles are compared."""
    return [(start, min(start + MOST_AT_ONCE, tiles)) for start in range(0, tiles, MOST_AT_ONCE)]


def nearest_tiles(embeddings: np.ndarray, start: int, stop: int, count: int, gpus: float = 0) -> np.ndarray:
    """Rows of the nearest other tiles of some tiles by cosine, nearest first; ties by row number.

    Args:
        embeddings: float32 [N, E] of all tiles, unit vectors.
        start: first of the rows whose neighbours are wanted.
        stop: last of them, exclusive.
        count: K, neighbours of a tile.
        gpus: that the process reserves; without any it computes on the CPU.

    Returns:
        int64 [stop - start, min(K, N - 1)].
    """
    return _nearest(embeddings[start:stop], np.arange(start, stop), embeddings, count, gpus)


def nearest_of(embeddings: np.ndarray, rows: np.ndarray, count: int, gpus: float = 0) -> np.ndarray:
    """The same of any rows, int [n]."""
    return _nearest(embeddings[rows], rows, embeddings, count, gpus)


def _nearest(asked: np.ndarray, own: np.ndarray, everything: np.ndarray, count: int, gpus: float) -> np.ndarray:
    """Rows of `everything` that are nearest to each of `asked` but its own row, see `nearest_tiles`."""
    import torch  # the driver knows no torch

    count, device = min(count, len(everything) - 1), device_of(gpus)
    others = torch.from_numpy(np.require(everything, requirements="W")).to(device)
    similarity = torch.from_numpy(np.require(asked, requirements="W")).to(device) @ others.T
    similarity[torch.arange(len(asked), device=device), torch.from_numpy(own).to(device)] = -torch.inf
    # One more than wanted: where it is as near as the last one, which of them are taken is not torch's to choose.
    values, rows = (each.cpu().numpy() for each in torch.topk(similarity, count + 1, dim=1))
    order = np.lexsort((rows[:, :count], -values[:, :count]), axis=1)
    nearest = np.take_along_axis(rows[:, :count], order, axis=1)
    for tied in np.flatnonzero(values[:, count - 1] == values[:, count]) if count else ():
        nearest[tied] = _all_in_order(similarity[tied])[:count]
    return nearest


def _all_in_order(similarity: Any) -> np.ndarray:
    return np.argsort(-similarity.cpu().numpy(), kind="stable")


@dataclass(frozen=True)
class Cells:
    """Tiles in cells of tiles that look alike.

    Attributes:
        rows: int64 [N], all rows, those of the first cell, then of the next; ascending within a cell.
        starts: int64 [cells + 1], where each cell begins in `rows`.
        near: int64 [cells, P], of each cell the cells that are looked at, itself among them.
    """

    rows: np.ndarray
    starts: np.ndarray
    near: np.ndarray

    def of(self, cell: int) -> np.ndarray:
        """Rows of a cell's tiles."""
        return self.rows[self.starts[cell] : self.starts[cell + 1]]

    def pieces(self) -> list[tuple[int, int]]:
        """First and last cell, exclusive, of pieces of some thousand tiles."""
        wanted = range(0, len(self.rows), 4 * MOST_AT_ONCE)
        firsts = np.unique(np.searchsorted(self.starts[:-1], list(wanted)))
        edges = [*firsts[firsts < len(self.near)].tolist(), len(self.near)]
        return [(start, stop) for start, stop in itertools.pairwise(edges) if stop > start]


def fit_centres(embeddings: np.ndarray, seed: int) -> np.ndarray:
    """Centres of the cells, float32 [cells, E], unit vectors: k-means of a sample of the tiles.

    Args:
        embeddings: float32 [N, E] of all tiles, unit vectors.
        seed: of the sample and of k-means.
    """
    from sklearn.cluster import MiniBatchKMeans

    cells = max(len(embeddings) // TILES_OF_CELL, 1)
    draw = np.random.default_rng(seed)
    sample = embeddings[np.sort(draw.choice(len(embeddings), min(_TAUGHT * cells, len(embeddings)), replace=False))]
    means = MiniBatchKMeans(cells, random_state=seed % 2**32, n_init="auto", batch_size=4096, max_iter=20).fit(sample)
    centres = np.asarray(means.cluster_centers_, np.float32)
    return centres / np.maximum(np.linalg.norm(centres, axis=1, keepdims=True), 1e-12)


def cell_of(embeddings: np.ndarray, centres: np.ndarray, start: int, stop: int) -> np.ndarray:
    """The nearest centre of the tiles in rows `start` to `stop`, int64 [stop - start]."""
    return (embeddings[start:stop] @ centres.T).argmax(axis=1)


def make_cells(cell: np.ndarray, centres: np.ndarray, looked_at: int) -> Cells:
    """Put tiles into cells.

    Args:
        cell: int [N], the cell of each tile.
        centres: float32 [cells, E], see `fit_centres`.
        looked_at: P, cells that are looked at for the neighbours of a tile.
    """
    rows = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[rows], np.arange(len(centres) + 1))
    near = np.concatenate(
        [
            np.argsort(-(centres[start : start + MOST_AT_ONCE] @ centres.T), axis=1, kind="stable")[:, :looked_at]
            for start in range(0, len(centres), MOST_AT_ONCE)
        ]
    )
    return Cells(rows, starts, near)


def nearest_in_cells(
    embeddings: np.ndarray, cells: Cells, first: int, last: int, count: int, gpus: float = 0
) -> np.ndarray:
    """Neighbours of the tiles of some cells, nearest first, among the tiles of the cells near to theirs.

    Args:
        embeddings: float32 [N, E] of all tiles, unit vectors.
        cells: the tiles in cells.
        first: first of the cells.
        last: last of them, exclusive.
        count: K, neighbours of a tile.
        gpus: that the process reserves; without any it computes on the CPU.

    Returns:
        int64 [tiles of these cells, K], in the order of `cells.rows`. Where fewer tiles than K lie near, all are
        looked at.
    """
    found = [np.empty((0, count), np.int64)]
    for cell in range(first, last):
        own = cells.of(cell)
        if not len(own):
            continue
        among = np.sort(np.concatenate([cells.of(near) for near in cells.near[cell]]))
        if len(among) <= count:
            among = np.arange(len(embeddings))
        # A cell of many tiles that look alike is compared a piece at a time.
        for start, stop in pieces(len(own)):
            asked = own[start:stop]
            at = np.searchsorted(among, asked) if _holds(among, asked) else None
            if at is None:
                found.append(nearest_of(embeddings, asked, count, gpus))
            else:
                found.append(among[_nearest(embeddings[asked], at, embeddings[among], count, gpus)])
    return np.concatenate(found)


def _holds(among: np.ndarray, asked: np.ndarray) -> bool:
    """Whether all of `asked` are in `among`. Of many equal centres, a cell's own may not be among the nearest."""
    return bool(np.isin(asked, among, assume_unique=True).all())


def recall(found: np.ndarray, exact: Sequence[np.ndarray] | np.ndarray) -> float:
    """Share of the exact neighbours, int [n, K], that were found, int [n, K]."""
    return float(np.mean([np.isin(one, other).mean() for one, other in zip(exact, found, strict=True)]))
