"""Training and held-out tiles apart in space: no held-out tile shares ground with a training tile."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from corpus.ingest.ground import earth_centred, near_pairs

GRID_CELLS = 4
Side = Literal["train", "held_out", "left_out"]


def split_by_place(
    grounds: np.ndarray,
    scene_of: Sequence[int],
    centres: np.ndarray,
    held_out_share: float,
    seed: int,
    distance_m: float = 0.0,
) -> list[Side]:
    """'train', 'held_out' or, where it is too near to a held-out tile to train on, 'left_out', for each tile.

    A place is a set of scenes of which tiles share ground, or are nearer than the distance: the same site at several
    dates, frames along a track. Places are taken whole, in the order of a seeded hash of where they are, until
    `held_out_share` of the tiles are held out; training keeps at least one place. Where that does not come near to the
    share, because one place has most of the tiles, this place is cut: into a grid of 4 x 4 cells by tile centre if no
    tile then shares ground with another cell's, else along one line, and training tiles at the line are left out.
    Tiles that all show the same ground cannot be cut, and are all of training.

    Args:
        grounds: float64 [tiles, corners, 2], longitude and latitude of each tile's corners in degrees.
        scene_of: the scene of each tile.
        centres: float64 [tiles, 2], longitude and latitude.
        held_out_share: of the tiles.
        seed: of the order of places.
        distance_m: between any held-out and any training tile, metres. 0: they share no ground.
    """
    total = len(centres)
    if held_out_share == 0 or total < 2:
        return ["train"] * total
    pairs = near_pairs(grounds, distance_m)
    place = _places(np.asarray(scene_of, np.int64), pairs)
    wanted = held_out_share * total
    held = np.zeros(total, bool)
    numbers, sizes = np.unique(place, return_counts=True)
    if len(numbers) > 1:
        held = np.isin(place, _choose(place, centres, wanted, seed))
    largest = place == numbers[np.argmax(sizes)]
    if len(numbers) == 1 or (largest.mean() > 0.5 and not wanted / 2 <= held.sum() <= max(2 * wanted, total / 2)):
        cut = _cut(largest, grounds, centres, pairs, wanted, seed)
        if cut is not None:
            held = cut
    left_out = _beside(held, pairs)
    return ["held_out" if held[i] else "left_out" if left_out[i] else "train" for i in range(total)]


def _places(scene_of: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Number of the place of each tile: scenes are connected where tiles of them are a pair."""
    scenes = int(scene_of.max()) + 1
    links = scene_of[pairs]
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), shape=(scenes, scenes))
    return connected_components(graph, directed=False)[1][scene_of]


def _choose(place: np.ndarray, centres: np.ndarray, wanted: float, seed: int) -> list[int]:
    """Numbers of the places that are held out: in the order of a seeded hash, all but the last at most."""
    numbers, sizes = np.unique(place, return_counts=True)
    by_place = np.split(centres[np.argsort(place, kind="stable")], np.cumsum(sizes)[:-1])
    names, size_of = {}, dict(zip(numbers.tolist(), sizes.tolist(), strict=True))
    for number, members in zip(size_of, by_place, strict=True):
        lon, lat = members.mean(axis=0)
        names[number] = hashlib.sha256(f"{seed} {lon:.4f} {lat:.4f}".encode()).digest()
    held, chosen = 0, []
    for number in sorted(names, key=names.__getitem__)[:-1]:
        size = size_of[number]
        # A place that overshoots by more than it closes the gap is passed over, unless nothing is held out yet.
        if held >= wanted or (chosen and held + size - wanted > wanted - held):
            continue
        chosen.append(number)
        held += size
    return chosen


def _cut(
    inside: np.ndarray, grounds: np.ndarray, centres: np.ndarray, pairs: np.ndarray, wanted: float, seed: int
) -> np.ndarray | None:
    """Which tiles of one place (bool [tiles]) are held out; None where that leaves too few to train on."""
    members = np.flatnonzero(inside)
    cell = _cells(centres[members])
    if len(np.unique(cell)) > 1:
        held = np.zeros(len(centres), bool)
        held[members] = np.isin(cell, _choose(cell, centres[members], wanted, seed))
        if not _beside(held, pairs).any():
            return held
    best: tuple[float, bytes] | None = None
    found = None
    for name, along in _directions(grounds[members]).items():
        order = np.sort(along)
        limit = order[min(round(wanted), len(order)) - 1] if round(wanted) else order[0]
        tolerance = 1e-3 * max(float(np.ptp(along)), 1.0)
        held = np.zeros(len(centres), bool)
        held[members] = along <= limit + tolerance
        left_out = _beside(held, pairs)
        train = inside.sum() - (held & inside).sum() - (left_out & inside).sum()
        if train < held.sum():
            continue
        drawn = hashlib.sha256(f"{seed} {name}".encode()).digest()
        rank = (float(left_out.sum() + abs(held.sum() - wanted)), drawn)
        if best is None or rank < best:
            best, found = rank, held
    return found


def _cells(centres: np.ndarray) -> np.ndarray:
    """Cell of a 4 x 4 grid over the tiles' centres, longitude and latitude, also across 180 degrees."""
    if np.ptp(centres[:, 0]) > 180:
        centres = np.stack([centres[:, 0] % 360, centres[:, 1]], axis=1)
    low, span = centres.min(axis=0), np.maximum(np.ptp(centres, axis=0), 1e-12)
    cell = np.minimum(((centres - low) / span * GRID_CELLS).astype(np.int64), GRID_CELLS - 1)
    return cell[:, 0] * GRID_CELLS + cell[:, 1]


def _directions(grounds: np.ndarray) -> dict[str, np.ndarray]:
    """How far each tile's centre lies along four directions in metres: those of the sides of the first tile."""
    points = earth_centred(grounds)
    centres = points.mean(axis=1) - points.mean(axis=(0, 1))
    sides = {"across": points[0, 1] - points[0, 0], "down": points[0, -1] - points[0, 0]}
    return {
        f"{name} {sign:+d}": sign * centres @ (side / np.linalg.norm(side))
        for name, side in sides.items()
        for sign in (1, -1)
    }


def _beside(held: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Which tiles that are not held out are a pair with one that is."""
    beside = np.zeros(len(held), bool)
    for one, other in ((0, 1), (1, 0)):
        beside[pairs[held[pairs[:, one]], other]] = True
    return beside & ~held
