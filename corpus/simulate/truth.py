"""What is really in a simulated scene."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Final

import numpy as np

from corpus.simulate.canvas import LAND_COVER

FACT_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "terrain": ("plain", "hills", "mountain", "coast", "open_water"),
    "functionality": (
        "residential",
        "commercial_core",
        "industrial",
        "port",
        "airport",
        "cropland",
        "natural",
        "mixed_urban",
        "open_water",
    ),
    "distribution": ("none", "uniform", "central", "peripheral", "scattered", "linear"),
    "layout": ("none", "regular", "irregular"),
    "boundary": ("none", "sharp", "gradual"),
    "building": ("none", "sparse", "medium", "dense"),
    "road": ("none", "sparse", "grid", "highway"),
    "water": ("none", "channel", "lake", "sea"),
    "target_count": tuple("0123456789"),
    "target_location": (
        "none",
        "center",
        "north",
        "northeast",
        "east",
        "southeast",
        "south",
        "southwest",
        "west",
        "northwest",
    ),
    "target_feature": ("none", "point", "extended", "sidelobes"),
    "target_size": ("none", "small", "medium", "large"),
    "target_category": ("none", "ship", "aircraft"),
    "target_distribution": ("none", "single", "line", "cluster", "scattered"),
    "target_region": ("none", "sea", "harbour", "channel", "lake", "apron", "runway"),
    "target_environment": ("none", "calm_water", "rough_water", "pavement"),
}
"""Fact of a scene -> the values that it can take. A clause of an annotation schema takes the fact of its name."""
FACTS = tuple(FACT_VALUES)


@dataclass
class SceneObject:
    """One thing in a scene. Positions in pixels of the tile (0, 0 is the centre of the upper left pixel)."""

    category: str  # 'ship' | 'aircraft' | 'building'
    row: float
    col: float
    length_m: float
    width_m: float
    heading_deg: float  # of the long side, clockwise from the top of the image
    height_m: float = 0.0
    region: str = "none"  # sea | harbour | channel | lake | apron | runway, for targets
    environment: str = "none"  # calm_water | rough_water | pavement, for targets
    sidelobe_visibility_db: float = -99.0  # cross of sidelobes at 4 resolution cells over the clutter around


@dataclass
class SceneTruth:
    """Masks [H, W], objects and measured facts of one scene; `facts()` has all FACTS."""

    land_cover: np.ndarray  # uint8, index into `land_cover_names`
    footprint: np.ndarray  # float32, share of each pixel under roofs (0..1)
    ground_m: np.ndarray  # float32, terrain height in m
    heights_m: np.ndarray  # float32, surface height in m: terrain and what stands on it
    objects: list[SceneObject]
    measured: dict[str, str]
    roads: list[dict[str, Any]] = field(default_factory=list)
    wind_m_s: float = 0.0
    unclear: tuple[str, ...] | None = None  # facts near the limit of their class; None where clear scenes were sought
    land_cover_names: tuple[str, ...] = LAND_COVER

    @property
    def targets(self) -> list[SceneObject]:
        """Ships and aircraft."""
        return [o for o in self.objects if o.category != "building"]

    def facts(self) -> dict[str, str]:
        """The true value of each of FACTS, in their order."""
        return {name: self.measured[name] for name in FACTS}

    def as_json(self, buildings: int = 64) -> dict[str, Any]:
        """Objects and summary numbers as plain JSON types; of the buildings only the largest."""
        houses = [o for o in self.objects if o.category == "building"]
        largest = sorted(houses, key=lambda o: -o.length_m * o.width_m)[:buildings]
        total = self.land_cover.size
        return {
            **({} if self.unclear is None else {"unclear": list(self.unclear)}),
            "objects": [_rounded(o) for o in self.targets + largest],
            "building_count": len(houses),
            "wind_m_s": round(self.wind_m_s, 2),
            "roads": self.roads,
            "cover_share": {
                name: round(float((self.land_cover == i).sum()) / total, 4)
                for i, name in enumerate(self.land_cover_names)
            },
            "footprint_share": round(float(self.footprint.mean()), 4),
            "relief_m": round(float(np.ptp(self.ground_m)), 2),
        }


def _rounded(o: SceneObject) -> dict[str, Any]:
    return {k: round(v, 2) if isinstance(v, float) else v for k, v in asdict(o).items()}
