"""Training and held-out tiles apart in space: what is near, or the same place again, is on the same side."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

OVERLAP_SHARE = 0.05
"""Scenes that share more than this of the smaller one are one place; neighbours that only touch are two."""
GRID_CELLS = 4


def split_by_place(
    boxes: np.ndarray, scene_of: Sequence[int], centres: np.ndarray, held_out_share: float, seed: int
) -> list[str]:
    """'train' or 'held_out' for each tile, deterministic, by whole places.

    boxes: float64 [scenes, 4], (west, south, east, north) in degrees. scene_of: the scene of each tile.
    centres: float64 [tiles, 2], (lon, lat). A place is a set of scenes that overlap (the same site at several
    dates, two polarisations of a patch). One place alone is cut into a grid of 4 x 4 cells by tile centre.
    Places are taken in the order of a seeded hash of where they are, until `held_out_share` of the tiles are held
    out; training keeps at least one place.
    """
    place = _overlapping(boxes)[np.asarray(scene_of, np.int64)]
    if len(np.unique(place)) == 1:
        low, span = centres.min(axis=0), np.maximum(np.ptp(centres, axis=0), 1e-12)
        cell = np.minimum(((centres - low) / span * GRID_CELLS).astype(np.int64), GRID_CELLS - 1)
        place = cell[:, 0] * GRID_CELLS + cell[:, 1]
    names = {}
    for number in np.unique(place):
        lon, lat = centres[place == number].mean(axis=0)
        names[int(number)] = hashlib.sha256(f"{seed} {lon:.4f} {lat:.4f}".encode()).digest()
    wanted, held, chosen = held_out_share * len(place), 0, set()
    for number in sorted(names, key=names.__getitem__)[:-1]:
        size = int((place == number).sum())
        # A place that overshoots by more than it closes the gap is passed over, unless nothing is held out yet.
        if held >= wanted or (chosen and held + size - wanted > wanted - held):
            continue
        chosen.add(number)
        held += size
    return ["held_out" if int(number) in chosen else "train" for number in place]


def _overlapping(boxes: np.ndarray) -> np.ndarray:
    """Number of the connected component of each box, joined where they overlap."""
    parent = np.arange(len(boxes))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    for i in range(len(boxes)):
        shared = np.minimum(boxes[i, 2:], boxes[i + 1 :, 2:]) - np.maximum(boxes[i, :2], boxes[i + 1 :, :2])
        common = np.prod(np.clip(shared, 0, None), axis=1)
        for j in np.flatnonzero(common > OVERLAP_SHARE * np.minimum(area[i], area[i + 1 :])):
            parent[root(i + 1 + int(j))] = root(i)
    return np.array([root(i) for i in range(len(boxes))])
