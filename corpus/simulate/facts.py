"""Measures the facts of a scene on what was drawn inside the tile: masks, heights, roads, objects."""

from __future__ import annotations

from typing import cast

import numpy as np
from scipy import ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.landscape import mean_slope_deg
from corpus.simulate.truth import SceneObject

COAST_SHARE, OPEN_WATER_SHARE, WATER_SHARE = 0.10, 0.80, 0.015
HILLS_DEG, MOUNTAIN_DEG = 3.0, 15.0
BUILDING_SHARE = (("none", 0.004), ("sparse", 0.04), ("medium", 0.13), ("dense", np.inf))
SIZE_LIMITS_M = {"ship": (80.0, 200.0), "aircraft": (30.0, 50.0)}
GRADUAL_ROUGHNESS = 1.6
POINT_PIXELS = 12.0
SIDELOBE_DB = 6.0


def measure(
    *,
    cover: np.ndarray,
    zone: np.ndarray,
    rural: np.ndarray,
    footprint: np.ndarray,
    ground_m: np.ndarray,
    gsd_m: float,
    roads: list[dict],
    objects: list[SceneObject],
) -> dict[str, str]:
    """All facts, name -> value. Arrays [H, W] of the tile, heights in m, positions in pixels."""
    buildings = [o for o in objects if o.category == "building"]
    targets = [o for o in objects if o.category != "building"]
    facts = {
        "terrain": terrain(cover, ground_m, gsd_m),
        "functionality": functionality(cover, zone, footprint),
        "boundary": boundary(zone, rural),
        "building": building(footprint),
        "road": road(roads, cover, gsd_m),
        "water": water(cover),
    }
    none = facts["building"] == "none"
    facts["distribution"] = "none" if none else distribution(footprint)
    facts["layout"] = "none" if none else layout(buildings)
    return facts | target_facts(targets, cover.shape[0], gsd_m)


def terrain(cover: np.ndarray, ground_m: np.ndarray, gsd_m: float) -> str:
    """The landform: open water and coast by the share of water, else by the mean slope."""
    sea = float((cover == cv.SEA).mean())
    if max(sea, float((cover <= cv.RIVER).mean())) > OPEN_WATER_SHARE:
        return "open_water"
    if sea >= COAST_SHARE:
        return "coast"
    slope = mean_slope_deg(ground_m, gsd_m)
    return "plain" if slope < HILLS_DEG else "hills" if slope < MOUNTAIN_DEG else "mountain"


def functionality(cover: np.ndarray, zone: np.ndarray, footprint: np.ndarray) -> str:
    """What most of the land serves; a port or an airport decides from 8% of the tile on."""
    if float((cover <= cv.RIVER).mean()) > OPEN_WATER_SHARE:
        return "open_water"
    share = np.bincount(zone.ravel(), minlength=len(cv.ZONES)) / zone.size
    for special in (cv.Z_PORT, cv.Z_AIRPORT):
        if share[special] >= 0.08:
            return cv.ZONES[special]
    urban = share[[cv.Z_RESIDENTIAL, cv.Z_COMMERCIAL, cv.Z_INDUSTRIAL]]
    land = 1.0 - share[cv.Z_WATER]
    if urban.sum() >= 0.12 * land and building(footprint) != "none":
        if urban.max() < 0.72 * urban.sum():
            return "mixed_urban"
        return ("residential", "commercial_core", "industrial")[int(urban.argmax())]
    return "cropland" if share[cv.Z_CROPLAND] > share[cv.Z_NATURAL] else "natural"


def boundary(zone: np.ndarray, rural: np.ndarray) -> str:
    """none: one land cover rules; sharp: smooth borders; gradual: areas dissolve into one another."""
    roughness = border_roughness(zone, rural)
    return "none" if roughness == 0 else "gradual" if roughness > GRADUAL_ROUGHNESS else "sharp"


def border_roughness(zone: np.ndarray, rural: np.ndarray) -> float:
    """Length of the borders between land-cover areas over their length after smoothing; 0 for a single area.

    Areas that dissolve into patches have borders several times as long as their smoothed selves. Areas are
    water, woods, open country, cropland, and each kind of built-up zone; a tile of nothing but fields counts
    as 1, for its parcels border sharply on one another.
    """
    wild = np.full(len(cv.LAND_COVER), 2)  # 2: open country
    wild[[cv.FOREST, cv.CROPLAND]] = 1, 3
    group = np.where(zone == cv.Z_WATER, 0, np.where(zone >= cv.Z_RESIDENTIAL, 1 + zone.astype(int), wild[rural]))
    present = [k for k in range(1 + len(cv.ZONES)) if (group == k).mean() >= 0.05]
    if len(present) < 2:
        return 1.0 if present == [3] else 0.0
    rough = smooth = 0
    for k in present:
        mask = group == k
        soft = ndimage.gaussian_filter(mask.astype(np.float32), zone.shape[0] / 32) > 0.5
        rough, smooth = rough + _edges(mask), smooth + _edges(soft)
    return rough / max(smooth, 1)


def _edges(mask: np.ndarray) -> int:
    return int((mask[1:] != mask[:-1]).sum() + (mask[:, 1:] != mask[:, :-1]).sum())


def building(footprint: np.ndarray) -> str:
    """Density of buildings by the roofed share of the tile."""
    share = float(footprint.mean())
    return next(name for name, limit in BUILDING_SHARE if share < limit)


def road(roads: list[dict], cover: np.ndarray, gsd_m: float) -> str:
    """The kind of road that rules the tile, by the area of road that lies in it."""
    kinds = {r["kind"] for r in roads}
    drawn = float((cover == cv.ROAD).mean()) * cover.size * gsd_m**2  # m2 that are really in the tile
    extent = cover.shape[0] * gsd_m
    if "highway" in kinds and drawn > 0.4 * extent * 20:
        return "highway"
    if drawn < 0.25 * extent * 8:
        return "none"
    directions = {r["direction"] for r in roads if r["kind"] == "street"}
    return "grid" if len(directions) == 2 and drawn > 1.8 * extent * max(9.0, gsd_m) else "sparse"


def water(cover: np.ndarray) -> str:
    """The water that covers most of the tile."""
    share = [float((cover == k).mean()) for k in (cv.SEA, cv.LAKE, cv.RIVER)]
    return "none" if sum(share) < WATER_SHARE else ("sea", "lake", "channel")[int(np.argmax(share))]


def built_cells(footprint: np.ndarray, cells: int = 8) -> np.ndarray:
    """Mask bool [cells, cells]: parts of the tile of which a noticeable share is roofed."""
    h, w = (s // cells * cells for s in footprint.shape)
    share = footprint[:h, :w].reshape(cells, h // cells, cells, w // cells).mean((1, 3))
    return share > max(0.02, 0.35 * share.max() if share.max() < 0.1 else 0.02)


def distribution(footprint: np.ndarray) -> str:
    """Where the built-up cells lie: everywhere, in the middle, at the rim, in a strip, in several places."""
    cells = built_cells(footprint)
    n = cells.shape[0]
    if cells.mean() >= 0.6:
        return "uniform"
    at = np.argwhere(cells)
    if len(at) < 2:
        return "scattered"
    labels, count = cast(tuple[np.ndarray, int], ndimage.label(cells, np.ones((3, 3))))
    largest = np.bincount(labels.ravel())[1:].max() / len(at)
    spread = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(at.T)), 1e-6)) if len(at) > 2 else np.array([1.0, 1.0])
    middle = float((np.abs(at - (n - 1) / 2).max(1) < n / 4 + 0.5).mean())
    if count >= 3 and largest < 0.6:
        return "scattered"
    if largest > 0.7 and len(at) >= 5 and spread[0] < 0.4 * spread[1] and spread[1] > 0.2 * n:
        return "linear"
    if middle > 0.55:
        return "central"
    return "peripheral" if middle < 0.35 or largest > 0.6 else "scattered"


def layout(buildings: list[SceneObject]) -> str:
    """Regular when the walls share one orientation (modulo 90 degrees), irregular otherwise."""
    if not buildings:
        return "irregular"
    a = np.deg2rad([4.0 * o.heading_deg for o in buildings])
    return "regular" if np.hypot(np.cos(a).mean(), np.sin(a).mean()) > 0.75 and len(buildings) > 1 else "irregular"


def target_facts(targets: list[SceneObject], size: int, gsd_m: float) -> dict[str, str]:
    """The facts about ships or aircraft in a tile of `size` pixels; a tile has targets of one category."""
    if not targets:
        names = ("location", "feature", "size", "category", "distribution", "region", "environment")
        return {"target_count": "0"} | {f"target_{name}": "none" for name in names}
    category = targets[0].category
    at = np.array([(o.row, o.col) for o in targets])
    length = np.array([o.length_m for o in targets])
    small, large = SIZE_LIMITS_M[category]
    median = float(np.median(length))
    if max(o.sidelobe_visibility_db for o in targets) > SIDELOBE_DB:
        feature = "sidelobes"
    else:
        feature = "point" if length.max() / gsd_m < POINT_PIXELS else "extended"
    return {
        "target_count": str(min(len(targets), 9)),
        "target_location": location(at.mean(0), size),
        "target_feature": feature,
        "target_size": "small" if median < small else "medium" if median <= large else "large",
        "target_category": category,
        "target_distribution": arrangement(at, size),
        "target_region": _most([o.region for o in targets]),
        "target_environment": _most([o.environment for o in targets]),
    }


def location(at: np.ndarray, size: int) -> str:
    """Cell of the 3x3 grid that a mean position (row, col) falls in."""
    row, col = (int(np.clip((x + 0.5) * 3 // size, 0, 2)) for x in at)
    return (("northwest", "north", "northeast"), ("west", "center", "east"), ("southwest", "south", "southeast"))[row][
        col
    ]


def arrangement(at: np.ndarray, size: int) -> str:
    """single; line (three or more along one axis); cluster (close together); scattered."""
    if len(at) == 1:
        return "single"
    if len(at) >= 3:
        minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(at.T)), 0))
        if minor < 0.18 * major:
            return "line"
    spread = np.hypot(*(at - at.mean(0)).T).mean()
    return "cluster" if spread < 0.16 * size else "scattered"


def _most(values: list[str]) -> str:
    return max(sorted(set(values)), key=values.count)
