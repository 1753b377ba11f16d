"""The ranges that a scene's quantities are drawn from: well inside their classes, or all over them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

Range = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Lowest and highest of each quantity, by the class that is wished for. `facts` has the limits of the classes.

    Attributes:
        water_share, water_share_with_ships: of the tile under water.
        port_sea_share: of the tile of a port under sea.
        roofed_share: of the tile.
        calm_m_s, rough_m_s: wind in m/s over calm and rough water.
        slope_deg: mean slope.
        ship_m: length in m; the key says whether the sensor shows aircraft (5 m pixels) or not (10 m).
        aircraft_m: length in m; the key says whether the sensor is fine (1 m) or not (5 m).
        sidelobes_db, no_sidelobes_db: visibility in dB of a target's cross of sidelobes where it is wished for, and the
            highest where it is not.
    """

    water_share: Mapping[str, Range]
    water_share_with_ships: Mapping[str, Range]
    port_sea_share: Range
    roofed_share: Mapping[str, Range]
    calm_m_s: Range
    rough_m_s: Range
    slope_deg: Mapping[str, Range]
    ship_m: Mapping[bool, Mapping[str, Range]]
    aircraft_m: Mapping[bool, Mapping[str, Range]]
    sidelobes_db: Range
    no_sidelobes_db: float


CLEAR: Final = Ranges(
    water_share={"none": (0, 0), "sea": (0.35, 0.55), "lake": (0.09, 0.18), "channel": (0.10, 0.15)},
    water_share_with_ships={"sea": (0.42, 0.62), "lake": (0.24, 0.33), "channel": (0.19, 0.26)},
    port_sea_share=(0.45, 0.55),
    roofed_share={"none": (0.0, 0.0), "sparse": (0.015, 0.024), "medium": (0.075, 0.10), "dense": (0.235, 0.29)},
    calm_m_s=(1.0, 1.8),
    rough_m_s=(6.5, 8.0),
    slope_deg={"plain": (0.1, 0.4), "hills": (8.0, 10.5), "mountain": (20.0, 25.0)},
    # In pixels, too, the classes of lengths do not overlap.
    ship_m={
        False: {"small": (50, 68), "medium": (135, 180), "large": (290, 350)},
        True: {"small": (26, 36), "medium": (92, 118), "large": (215, 250)},
    },
    aircraft_m={
        False: {"small": (16, 21), "medium": (36, 43), "large": (64, 74)},
        True: {"small": (18, 24), "medium": (36, 43), "large": (56, 70)},
    },
    sidelobes_db=(13.0, 16.0),
    no_sidelobes_db=-3.0,
)
WIDE: Final = Ranges(
    water_share={"none": (0, 0), "sea": (0.05, 0.55), "lake": (0.01, 0.20), "channel": (0.01, 0.16)},
    water_share_with_ships={"sea": (0.12, 0.60), "lake": (0.10, 0.30), "channel": (0.07, 0.22)},
    port_sea_share=(0.30, 0.60),
    roofed_share={"none": (0.0, 0.0), "sparse": (0.004, 0.04), "medium": (0.04, 0.13), "dense": (0.13, 0.32)},
    calm_m_s=(2.0, 5.0),
    rough_m_s=(5.0, 9.0),
    slope_deg={"plain": (0.1, 3.0), "hills": (3.0, 15.0), "mountain": (15.0, 26.0)},
    ship_m={
        False: {"small": (40, 80), "medium": (80, 200), "large": (200, 380)},
        True: {"small": (20, 80), "medium": (80, 200), "large": (200, 330)},
    },
    aircraft_m={
        False: {"small": (14, 30), "medium": (30, 50), "large": (50, 76)},
        True: {"small": (14, 30), "medium": (30, 50), "large": (50, 74)},
    },
    sidelobes_db=(6.0, 16.0),
    no_sidelobes_db=6.0,
)
