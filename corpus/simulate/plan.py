"""The wish list of a scene: what to draw. What was drawn in the end is measured in `facts`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from corpus.simulate.config import SceneConfig
from corpus.simulate.sensor import SENSORS, Acquisition, draw_acquisition


@dataclass(frozen=True)
class Plan:
    acquisition: Acquisition
    function: str
    relief: str  # plain | hills | mountain
    water: str  # none | sea | lake | channel
    water_share: float
    pattern: str  # of the built-up area: none | uniform | central | peripheral | scattered | linear
    regular: bool
    density: str  # none | sparse | medium | dense
    road: str  # none | sparse | grid | highway
    gradual: bool
    rural: str  # natural | cropland | both
    targets: int
    wind_m_s: float


# Sampling weights. Columns of _FUNCTIONS: weight without targets, weight with targets.
_FUNCTIONS = {
    "residential": (0.17, 0.07), "commercial_core": (0.17, 0.06), "industrial": (0.18, 0.08),
    "port": (0.07, 0.22),
    "airport": (0.03, 0.20), "cropland": (0.15, 0.06), "natural": (0.11, 0.06), "mixed_urban": (0.19, 0.08),
    "open_water": (0.05, 0.24),
}
_RELIEF = {  # plain, hills, mountain
    "residential": (0.20, 0.40, 0.40), "commercial_core": (0.45, 0.55, 0.0), "industrial": (0.45, 0.55, 0.0),
    "port": (1, 0, 0), "airport": (1, 0, 0), "cropland": (0.30, 0.50, 0.20), "natural": (0.10, 0.25, 0.65),
    "mixed_urban": (0.35, 0.40, 0.25), "open_water": (1, 0, 0),
}
_WATER = {  # none, sea, lake, channel
    "residential": (0.60, 0.12, 0.12, 0.16), "commercial_core": (0.66, 0.09, 0.08, 0.17),
    "industrial": (0.65, 0.08, 0.09, 0.18), "port": (0, 0.66, 0.08, 0.26),
    "airport": (0.84, 0.10, 0.04, 0.02),
    "cropland": (0.58, 0.05, 0.17, 0.20), "natural": (0.40, 0.20, 0.22, 0.18),
    "mixed_urban": (0.55, 0.12, 0.13, 0.20),
    "open_water": (0, 0.95, 0.05, 0),
}
_PATTERN = {  # none, uniform, central, peripheral, scattered, linear
    "residential": (0, 0.26, 0.28, 0.10, 0.20, 0.16), "commercial_core": (0, 0.34, 0.38, 0.08, 0.08, 0.12),
    "industrial": (0, 0.26, 0.28, 0.10, 0.22, 0.14), "port": (0, 1, 0, 0, 0, 0),
    "airport": (0, 1, 0, 0, 0, 0),
    "cropland": (0.45, 0, 0.12, 0.06, 0.27, 0.10), "natural": (0.75, 0, 0.03, 0.07, 0.12, 0.03),
    "mixed_urban": (0, 0.42, 0.24, 0.08, 0.14, 0.12), "open_water": (1, 0, 0, 0, 0, 0),
}
_DENSITY = {  # sparse, medium, dense
    "residential": (0.20, 0.35, 0.45), "commercial_core": (0.0, 0.20, 0.80), "industrial": (0.15, 0.35, 0.50),
    "port": (0.1, 0.4, 0.5), "airport": (1, 0, 0), "cropland": (0.8, 0.2, 0), "natural": (0.9, 0.1, 0),
    "mixed_urban": (0.20, 0.35, 0.45), "open_water": (1, 0, 0),
}
_ROAD = {  # none, sparse, grid, highway
    "residential": (0.0, 0.30, 0.50, 0.20), "commercial_core": (0.0, 0.15, 0.65, 0.20),
    "industrial": (0.0, 0.35, 0.40, 0.25), "port": (0.65, 0, 0, 0.35), "airport": (0.75, 0, 0, 0.25),
    "cropland": (0.30, 0.50, 0, 0.20), "natural": (0.48, 0.30, 0, 0.22),
    "mixed_urban": (0.0, 0.25, 0.50, 0.25),
    "open_water": (1, 0, 0, 0),
}


def draw_plan(config: SceneConfig, rng: np.random.Generator, coastal: bool) -> Plan:
    """The wish list of one scene; cities away from the sea get no sea."""
    shares = config.sensors
    keys = ("sentinel1_iw", "gaofen3_fsii", "xband_spotlight")
    weights = np.array([getattr(shares, k) for k in keys])
    sensor = SENSORS[keys[rng.choice(3, p=weights / weights.sum())]]
    has_targets = bool(rng.random() < config.share_with_targets)
    names = tuple(_FUNCTIONS)
    weights = np.array([_FUNCTIONS[k][has_targets] for k in names])
    if not coastal:
        weights[names.index("open_water")] *= 0.08
        weights[names.index("port")] *= 0.6
    else:
        weights[names.index("open_water")] *= 1.9
        weights[names.index("port")] *= 1.4
    function = names[rng.choice(len(names), p=weights / weights.sum())]

    def pick(options: tuple[str, ...], weights) -> str:
        w = np.asarray(weights, float)
        return options[rng.choice(len(options), p=w / w.sum())]

    w = np.array(_WATER[function], float)
    w[1] *= 7.0 if coastal else 0.0
    if has_targets and function != "airport":
        w[0] = 0.0
        w[1:] += 1e-9
    water = pick(("none", "sea", "lake", "channel"), w)
    share = {"none": 0.0, "sea": rng.uniform(0.18, 0.6), "lake": rng.uniform(0.08, 0.35),
             "channel": rng.uniform(0.08, 0.24)}[water]
    if function == "open_water":
        water, share = ("sea" if coastal else "lake"), (1.0 if rng.random() < 0.6
                                                        else float(rng.uniform(0.84, 0.97)))
    if function == "port":
        share = {"sea": rng.uniform(0.35, 0.6), "lake": rng.uniform(0.3, 0.45),
                 "channel": rng.uniform(0.25, 0.4)}[water]
    relief = pick(("plain", "hills", "mountain"), _RELIEF[function])
    if relief == "mountain" and (water == "sea" or (has_targets and rng.random() < 0.7)):
        relief = "hills"  # ships among the bright slopes of a gorge could not be told from them
    count = 0
    if has_targets:
        most = 9 if sensor.gsd_m >= 5 else 4
        count = min(most, 1 + int(rng.geometric(0.30)) - 1 if rng.random() < 0.75
                    else int(rng.integers(1, 10)))
    return Plan(
        acquisition=draw_acquisition(sensor, rng), function=function, relief=relief, water=water,
        water_share=float(share), pattern=pick(("none", "uniform", "central", "peripheral", "scattered",
                                                "linear"),
                                               _PATTERN[function]),
        regular=bool(rng.random() < (0.75 if function in ("port", "airport", "industrial") else 0.36)),
        density=pick(("sparse", "medium", "dense"), _DENSITY[function]),
        road=pick(("none", "sparse", "grid", "highway"), _ROAD[function]),
        gradual=bool(rng.random() < config.share_gradual),
        rural={"cropland": "cropland", "natural": "natural"}.get(function, pick(
            ("natural", "cropland", "both"), (0.4, 0.4, 0.2))) if rng.random() < 0.8 else "both",
        targets=count, wind_m_s=float(rng.uniform(1.0, 3.0) if rng.random() < 0.5
                                      else rng.uniform(7.5, 11.0)),
    )
