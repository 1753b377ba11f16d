"""Whether a scene is a clear case of every class that it was meant to show, at a distance from the limits.

A scene that is not is drawn again: the simulator's scenes are prototypes, so that what is to be learnt from
them is there to be seen.
"""

from __future__ import annotations

import numpy as np

from corpus.simulate.plan import Plan

# Clear roofed shares of the tile; the limits of the classes (0.004, 0.04, 0.13) lie in the gaps.
ROOFED = {"none": (0.0, 0.001), "sparse": (0.008, 0.032), "medium": (0.06, 0.115), "dense": (0.18, 1.0)}
# Clear roughness of borders; the limit is 1.6.
ROUGHNESS = {"none": (0.0, 0.0), "sharp": (0.3, 1.3), "gradual": (2.0, 99.0)}
_CELL_MARGIN = 0.2  # of a cell of the 3x3 grid, on its inner sides


def clear_location(at: np.ndarray, size: int) -> bool:
    """Whether a mean position (row, col) is away from the borders between cells of the 3x3 grid."""
    cell = (np.asarray(at) + 0.5) * 3 / size
    return bool((np.abs(cell - 1.0) > _CELL_MARGIN).all() and (np.abs(cell - 2.0) > _CELL_MARGIN).all())


def clear_arrangement(at: np.ndarray, size: int) -> str:
    """single, line, cluster or scattered where positions [k, 2] are a clear case of it, else ''."""
    if len(at) == 1:
        return "single"
    centred = at - at.mean(0)
    spread = float(np.hypot(*centred.T).mean()) / size
    if len(at) >= 3:
        minor, major = np.sqrt(np.maximum(np.linalg.eigvalsh(np.cov(at.T)), 0))
        if minor < 0.10 * major:
            return "line"
        if minor < 0.42 * major:
            return ""
    if spread < 0.135:
        return "cluster"
    apart = min(np.hypot(*(at[:k] - at[k]).T).min() for k in range(1, len(at))) / size
    return "scattered" if spread > 0.2 and apart > 0.2 else ""


def unclear(plan: Plan, facts: dict[str, str], roofed: float, roughness: float) -> str:
    """The first fact that differs from the wish or lies near its limit, '' for a clear scene."""
    wishes = {
        "functionality": plan.function,
        "water": plan.water,
        "building": plan.density,
        "road": plan.road,
        "boundary": plan.boundary,
        "target_count": str(min(plan.targets, 9)),
        "distribution": plan.pattern,
        "terrain": ("open_water" if plan.function == "open_water" else "coast" if plan.water == "sea" else plan.relief),
        "layout": "none" if plan.density == "none" else "regular" if plan.regular else "irregular",
        "target_distribution": plan.arrangement,
        "target_size": plan.size,
    }
    for name, wish in wishes.items():
        if facts[name] != wish:
            return f"{name} {facts[name]} for {wish}"
    for name, value, (low, high) in (
        ("roofed", roofed, ROOFED[plan.density]),
        ("roughness", roughness, ROUGHNESS[plan.boundary]),
    ):
        if not low <= value <= high:
            return f"{name} {value:.3f}"
    return ""
