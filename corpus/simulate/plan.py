"""The wish list of a scene: what to draw. What was drawn in the end is measured in `facts`.

Only combinations that can be read off an image are wished for (no hills below a dense town, no ships on a marshy
shore). Unless ambiguous scenes stay in, every quantity lies well inside its class (`ranges`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.simulate.config import SceneConfig
from corpus.simulate.ranges import CLEAR, WIDE, Ranges
from corpus.simulate.recipe import PROTOTYPES, Recipe
from corpus.simulate.sensor import SENSORS, Acquisition, draw_acquisition


@dataclass(frozen=True)
class Plan:
    """What one scene is to show, in the words of the annotation schema, and the pass that shows it."""

    acquisition: Acquisition
    function: str
    relief: str  # plain | hills | mountain
    water: str  # none | sea | lake | channel
    water_share: float
    pattern: str  # of the built-up area: none | uniform | central | peripheral | scattered | linear
    regular: bool
    density: str  # none | sparse | medium | dense
    roofed_share: float  # of the tile
    road: str  # none | sparse | grid | highway
    boundary: str  # none | sharp | gradual
    targets: int
    arrangement: str  # none | single | line | cluster | scattered
    size: str  # none | small | medium | large
    sidelobes: bool
    on_runway: bool
    wind_m_s: float
    recipe: Recipe = PROTOTYPES
    ambiguous: bool = False  # whether quantities may lie near the limits of their classes

    @property
    def ranges(self) -> Ranges:
        """What quantities are drawn from."""
        return WIDE if self.ambiguous else CLEAR

    @property
    def in_metres(self) -> bool:
        """Whether towns, roads and fields are drawn in metres; a sensor that shows single houses has its own scale."""
        return self.recipe.real_scale and not self.acquisition.sensor.is_fine

    @property
    def urban(self) -> bool:
        """Whether the tile is mostly town."""
        return self.function in ("residential", "commercial_core", "industrial", "mixed_urban")

    @property
    def rough(self) -> bool:
        """Whether wind roughens the water."""
        return self.wind_m_s > 5.0


Weights = dict[str, float]
# Functions by sensor (a fine one shows too little ground for landforms) and by whether there are targets.
_EMPTY: Weights = {
    "residential": 0.20,
    "commercial_core": 0.15,
    "industrial": 0.15,
    "port": 0.03,
    "airport": 0.03,
    "cropland": 0.15,
    "natural": 0.26,
    "mixed_urban": 0.13,
    "open_water": 0.12,
}
_SHIPS_AT_SEA: Weights = {"port": 0.26, "natural": 0.14, "cropland": 0.10, "open_water": 0.50}
_SHIPS_INLAND: Weights = {"port": 0.34, "natural": 0.33, "cropland": 0.33}
_FINE_EMPTY: Weights = {"residential": 0.4, "commercial_core": 0.3, "industrial": 0.3}
_SHARE_AIRCRAFT = 0.52  # of the tiles with targets, where a sensor shows both aircraft and ships

_RELIEF: dict[str, Weights] = {
    "natural": {"plain": 0.10, "hills": 0.32, "mountain": 0.58},
    "cropland": {"plain": 0.6, "hills": 0.4},
    "residential": {"plain": 0.4, "hills": 0.6},
}
_WATER: dict[str, Weights] = {  # a coastal city has the sea too
    "residential": {"none": 0.68, "channel": 0.14, "lake": 0.04, "sea": 0.35},
    "commercial_core": {"none": 0.70, "channel": 0.15, "sea": 0.4},
    "industrial": {"none": 0.70, "channel": 0.15, "sea": 0.4},
    "mixed_urban": {"none": 0.75, "channel": 0.25},
    "cropland": {"none": 0.55, "channel": 0.22, "lake": 0.23, "sea": 0.4},
    "natural": {"none": 0.52, "channel": 0.16, "lake": 0.20, "sea": 0.45},
    "port": {"channel": 0.25, "sea": 0.75},
    "airport": {"none": 1.0},
    "open_water": {"sea": 1.0},
}
_PATTERN: dict[str, Weights] = {
    "residential": {"uniform": 0.28, "central": 0.18, "peripheral": 0.08, "scattered": 0.26, "linear": 0.20},
    "commercial_core": {"uniform": 0.45, "central": 0.40, "peripheral": 0.15},
    "industrial": {"uniform": 0.35, "central": 0.25, "peripheral": 0.15, "linear": 0.25},
    "mixed_urban": {"uniform": 1.0},
    "airport": {"linear": 1.0},
    "port": {"peripheral": 1.0},
    "cropland": {"none": 0.58, "scattered": 0.42},
    "natural": {"none": 0.75, "scattered": 0.25},
    "open_water": {"none": 1.0},
}
_COUNT = {1: 0.32, 2: 0.24, 3: 0.22, 4: 0.14, 5: 0.05, 6: 0.03}


def draw_plan(config: SceneConfig, rng: np.random.Generator, coastal: bool) -> Plan:
    """The wish list of one scene; cities away from the sea get no sea."""
    pick, ranges = _Picker(rng), WIDE if config.keeps_ambiguous else CLEAR
    sensor = SENSORS[pick(config.sensors)]
    fine = sensor.is_fine
    has_targets = pick.chance(config.share_with_targets)
    if not has_targets:
        function = pick(_FINE_EMPTY if fine else _without(_EMPTY, () if coastal else ("open_water",)))
    elif fine or (sensor.shows_aircraft and pick.chance(_SHARE_AIRCRAFT)):
        function = "airport"
    else:
        function = pick(_SHIPS_AT_SEA if coastal else _SHIPS_INLAND)
    ships = has_targets and function != "airport"
    water = (
        "none"
        if fine
        else pick(_without(_WATER[function], (() if coastal else ("sea",)) + (("none",) if ships else ())))
    )
    if ships and coastal and function in ("natural", "cropland"):
        water = "sea"
    low, high = (ranges.water_share_with_ships if ships else ranges.water_share)[water]
    if function == "port" and water == "sea":
        low, high = ranges.port_sea_share
    share = 1.0 if function == "open_water" else pick.between(low, high)
    relief = pick(_RELIEF.get(function, {"plain": 1.0}))
    if ships and relief == "mountain":
        relief = "hills"
    if fine or water == "sea" or (relief == "mountain" and water == "channel"):
        relief = "plain"
    pattern = pick(_PATTERN[function])
    if (ships and function != "port") or relief == "mountain":
        pattern = "none"
    if fine and function != "airport":
        pattern = "uniform"
    elif water == "sea" and function in ("residential", "commercial_core", "industrial"):
        pattern = "peripheral"  # the whole land is built up
    elif water in ("lake", "channel") and pattern in ("central", "linear"):
        pattern = "uniform"
    if relief == "hills" and pattern in ("uniform", "peripheral"):
        pattern = "scattered" if pick.chance(0.5) else "linear"
    if water != "none" and pattern == "scattered" and function != "residential":
        pattern = "none"
    density = _density(pick, function, pattern, fine)
    regular = function in ("port", "airport") or (density != "sparse" and pick.chance(0.6))
    boundary = _boundary(pick, config, function, relief, water, pattern, ships)
    count = int(pick({str(k): v for k, v in _COUNT.items()})) if has_targets else 0
    wishes = _target_wishes(pick, function, water, fine, count)
    return Plan(
        acquisition=draw_acquisition(sensor, rng, wishes["sidelobes"]),
        function=function,
        relief=relief,
        water=water,
        water_share=share,
        pattern=pattern,
        regular=regular,
        density=density,
        roofed_share=pick.between(*ranges.roofed_share[density]),
        road=_road(pick, function, relief, water, pattern, density, regular),
        boundary=boundary,
        wind_m_s=pick.between(*(ranges.calm_m_s if pick.chance(0.5 if has_targets else 0.7) else ranges.rough_m_s)),
        recipe=config.world,
        ambiguous=config.keeps_ambiguous,
        **wishes,
    )


def _density(pick: _Picker, function: str, pattern: str, fine: bool) -> str:
    if function in ("port", "airport", "mixed_urban") or pattern == "none":
        return {"port": "medium", "airport": "sparse", "mixed_urban": "dense"}.get(function, "none")
    if function in ("cropland", "natural"):
        return "sparse"
    if pattern == "uniform":
        return "medium" if function == "residential" and not fine and pick.chance(0.4) else "dense"
    return "sparse" if function == "residential" and pick.chance(0.5) else "medium"


def _road(pick: _Picker, function: str, relief: str, water: str, pattern: str, density: str, regular: bool) -> str:
    if function in ("open_water", "airport", "port") or relief == "mountain":
        return "none"
    options = {"none": 0.30, "sparse": 0.37, "highway": 0.33}
    if function in ("cropland", "natural"):
        options = {"none": 0.40, "sparse": 0.36, "highway": 0.24}
    if regular and density in ("medium", "dense") and pattern in ("uniform", "central", "peripheral"):
        options = {"highway": 0.2, "grid": 0.8}  # rows of houses without streets would look like a grid
    return pick(_without(options, ("highway",) if water in ("sea", "lake") else ()))


def _boundary(
    pick: _Picker, config: SceneConfig, function: str, relief: str, water: str, pattern: str, ships: bool
) -> str:
    either = "gradual" if pick.chance(config.share_gradual) and not ships else "sharp"
    if function == "open_water":
        return "none"
    if function in ("port", "airport", "mixed_urban"):
        return "sharp"
    if relief == "mountain" or pattern == "uniform":
        return "none" if water == "none" else "sharp"
    if function == "natural" and water == "none" and pattern == "none" and pick.chance(0.3):
        return "none"
    return either


def _target_wishes(pick: _Picker, function: str, water: str, fine: bool, count: int) -> dict:
    nothing = {"targets": 0, "arrangement": "none", "size": "none", "sidelobes": False, "on_runway": False}
    if count == 0:
        return nothing
    airport = function == "airport"
    on_runway = airport and not fine and pick.chance(0.35)
    sidelobes = pick.chance(0.36)
    size = pick({"small": 0.45, "medium": 0.33, "large": 0.22})
    if sidelobes:  # a short target would drown in its own cross
        size, count = pick({"medium": 0.3 if airport else 0.5, "large": 0.5}), min(count, 3)
    if fine and count > 1:
        size, count = pick({"small": 0.7, "medium": 0.3}), min(count, 3)
    if water in ("lake", "channel") and size == "large":
        size = "medium"
    if not fine and size == "large":
        count = min(count, 3 if airport else 4)
    if on_runway or (water in ("lake", "channel") and size == "medium"):
        count = min(count, 3)
    if water == "lake":
        count = min(count, 4)
    options = {1: ("single",), 2: ("cluster", "scattered")}.get(count, ("line", "cluster", "scattered"))
    if on_runway or water == "channel":  # there is no room but along it
        options = {1: ("single",), 2: ("cluster", "scattered")}.get(count, ("line",))
    if fine and count == 2:
        options = ("scattered",)
    return {
        "targets": count,
        "arrangement": options[int(pick.rng.integers(len(options)))],
        "size": size,
        "sidelobes": sidelobes,
        "on_runway": on_runway,
    }


class _Picker:
    """Weighted draws."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng

    def __call__(self, weights: Weights) -> str:
        w = np.array(list(weights.values()), float)
        return list(weights)[self.rng.choice(len(w), p=w / w.sum())]

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))


def _without(weights: Weights, names: tuple[str, ...]) -> Weights:
    return {k: v for k, v in weights.items() if k not in names}
