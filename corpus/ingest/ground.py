"""Which tiles share ground, or lie nearer to one another than a distance: compared as polygons, in metres."""

from __future__ import annotations

import numpy as np
import shapely
from scipy.spatial import KDTree

SHARED_SHARE = 0.001
"""Of the smaller polygon: less is the rounding of coordinates, an eighth of a pixel along one side of a tile."""
_EQUATOR_M, _ECCENTRICITY2 = 6378137.0, 6.69437999014e-3  # WGS 84
_CHUNK = 100_000


def near_pairs(grounds: np.ndarray, distance_m: float = 0.0) -> np.ndarray:
    """Pairs of polygons that share ground or, with a distance, are nearer than that; int64 [pairs, 2], first < second.

    Args:
        grounds: float64 [polygons, corners, 2], longitude and latitude in degrees, corners in order. They may lie
            across 180 degrees or at a pole; each is taken as flat, so up to some hundred kilometres wide.
        distance_m: metres on the ground. 0: polygons that merely touch are no pair.
    """
    different, which = np.unique(np.round(grounds, 9), axis=0, return_inverse=True)
    which = which.reshape(-1)
    pairs = _pairs_of_different(different, distance_m)
    if len(different) == len(grounds):
        order = np.empty(len(different), np.int64)
        order[which] = np.arange(len(grounds))
        found = order[pairs]
    else:
        members = np.split(np.argsort(which, kind="stable"), np.cumsum(np.bincount(which))[:-1])
        lists = [_product(members[i], members[j]) for i, j in pairs]
        lists += [_within(each) for each in members if len(each) > 1]
        found = np.concatenate(lists) if lists else np.empty((0, 2), np.int64)
    return np.sort(found, axis=1)


def _product(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(first, second, indexing="ij"), -1).reshape(-1, 2)


def _within(members: np.ndarray) -> np.ndarray:
    """A chain through polygons that are all the same: enough for what is connected, and to see that one is near."""
    return np.stack([members[:-1], members[1:]], axis=1)


def _pairs_of_different(grounds: np.ndarray, distance_m: float) -> np.ndarray:
    points = earth_centred(grounds)
    centres = points.mean(axis=1)
    reach = np.linalg.norm(points - centres[:, None], axis=2).max(axis=1)
    tree = KDTree(centres)
    near = tree.query_ball_point(centres, reach + reach.max() + distance_m)
    first = np.repeat(np.arange(len(grounds)), [len(each) for each in near])
    second = np.concatenate([np.asarray(each, np.int64) for each in near]) if len(grounds) else np.empty(0, np.int64)
    keep = first < second
    first, second = first[keep], second[keep]
    found = [
        _near(points[first[at : at + _CHUNK]], points[second[at : at + _CHUNK]], distance_m)
        for at in range(0, len(first), _CHUNK)
    ]
    hits = np.concatenate(found) if found else np.empty(0, bool)
    return np.stack([first[hits], second[hits]], axis=1)


def _near(first: np.ndarray, second: np.ndarray, distance_m: float) -> np.ndarray:
    """Whether two are near, bool [pairs]: points [pairs, corners, 3] laid flat on a plane that touches the Earth."""
    middle = (first.mean(axis=1) + second.mean(axis=1)) / 2
    up = middle / np.linalg.norm(middle, axis=1, keepdims=True)
    helper = np.where(np.abs(up[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    east = np.cross(helper, up)
    east /= np.linalg.norm(east, axis=1, keepdims=True)
    north = np.cross(up, east)
    flat = [
        shapely.polygons(
            np.stack(
                [np.einsum("pcx,px->pc", points - middle[:, None], axis) for axis in (east, north)],
                axis=-1,
            )
        )
        for points in (first, second)
    ]
    if distance_m > 0:
        return np.asarray(shapely.dwithin(flat[0], flat[1], distance_m))
    shared = shapely.area(shapely.intersection(flat[0], flat[1]))
    return np.asarray(shared > SHARED_SHARE * np.minimum(shapely.area(flat[0]), shapely.area(flat[1])))


def earth_centred(lonlat: np.ndarray) -> np.ndarray:
    """Longitudes and latitudes in degrees, float64 [..., 2], as points on WGS 84 in metres, [..., 3]."""
    lon, lat = np.radians(lonlat[..., 0]), np.radians(lonlat[..., 1])
    normal = _EQUATOR_M / np.sqrt(1 - _ECCENTRICITY2 * np.sin(lat) ** 2)
    return np.stack(
        [
            normal * np.cos(lat) * np.cos(lon),
            normal * np.cos(lat) * np.sin(lon),
            normal * (1 - _ECCENTRICITY2) * np.sin(lat),
        ],
        axis=-1,
    )
