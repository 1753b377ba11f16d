"""The nearest tiles by image embedding: all pairs are compared, a piece at a time, where the scoring actors compute."""

from typing import Any

import numpy as np

MOST_AT_ONCE = 1024
"""Tiles that are compared with all others at once: 64,000 others take 256 MiB."""


def pieces(tiles: int) -> list[tuple[int, int]]:
    """First and last row, exclusive, of the pieces in which tiles are compared."""
    return [(start, min(start + MOST_AT_ONCE, tiles)) for start in range(0, tiles, MOST_AT_ONCE)]


def nearest_tiles(embeddings: np.ndarray, start: int, stop: int, count: int, device: str = "cpu") -> np.ndarray:
    """Rows of the nearest other tiles of some tiles by cosine, nearest first; ties by row number.

    Args:
        embeddings: float32 [N, E] of all tiles, unit vectors.
        start: first of the rows whose neighbours are wanted.
        stop: last of them, exclusive.
        count: K, neighbours of a tile.
        device: where to compute.

    Returns:
        int64 [stop - start, min(K, N - 1)].
    """
    import torch  # the driver knows no torch

    count = min(count, len(embeddings) - 1)
    everything = torch.from_numpy(np.require(embeddings, requirements="W")).to(device)
    similarity = everything[start:stop] @ everything.T
    own = torch.arange(stop - start, device=device)
    similarity[own, start + own] = -torch.inf
    # One more than wanted: where it is as near as the last one, which of them are taken is not torch's to choose.
    values, rows = (each.cpu().numpy() for each in torch.topk(similarity, count + 1, dim=1))
    order = np.lexsort((rows[:, :count], -values[:, :count]), axis=1)
    nearest = np.take_along_axis(rows[:, :count], order, axis=1)
    for tied in np.flatnonzero(values[:, count - 1] == values[:, count]) if count else ():
        nearest[tied] = _all_in_order(similarity[tied])[:count]
    return nearest


def _all_in_order(similarity: Any) -> np.ndarray:
    return np.argsort(-similarity.cpu().numpy(), kind="stable")
