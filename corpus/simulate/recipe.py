"""The recipes of the simulated world, as tables: what is drawn of the same plan, at which scale and contrast.

Recipe 1 draws prototypes: houses, streets and parcels have sizes in pixels, so that each can be seen in any sensor's
image. Recipe 2 draws them in metres, with the texture and the contrast that Sentinel-1 shows; docs/simulation.md has
the measured distances to real scenes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from corpus.simulate import canvas as cv
from corpus.simulate.backscatter import C_BAND, RadarBand

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Houses:
    """Buildings of a zone.

    Attributes:
        length_m, width_m: lowest and highest sides in m.
        height_m: median height in m.
        height_spread: deviation of the logarithm of heights.
        roof_db: offset of roofs in dB.
        cross_spread_db: deviation in dB of how much of a wall's return is cross-polarised.
        block_m: lowest and highest distance in m of streets, along and across the front of the houses.
    """

    length_m: Range
    width_m: Range
    height_m: float
    height_spread: float
    roof_db: float
    cross_spread_db: float
    block_m: tuple[Range, Range]


@dataclass(frozen=True, slots=True)
class Texture:
    """Log-normal modulation of the backscatter within a class of cover.

    Attributes:
        fine_db: deviation in dB over `fine_m`, such as of crowns, yards and clods.
        fine_m: correlation length in m.
        coarse_db: deviation in dB over `coarse_m`, such as of stands, soil and moisture.
        coarse_m: correlation length in m.
        cross_db: further deviation in dB of cross-polarised backscatter, of its own pattern.
    """

    fine_db: float
    fine_m: float
    coarse_db: float
    coarse_m: float
    cross_db: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What one version of the simulated world looks like.

    Attributes:
        real_scale: whether towns, roads and fields are drawn in metres. Sensors that show single houses are drawn alike
            by all recipes.
        resampled: whether the product is resampled to its grid, which smooths speckle, as terrain correction does.
        c_band: what C-band sees of the ground.
        houses: zone -> its buildings.
        texture: cover -> the texture within it.
        ridge_m: relief -> distance in m of ridges.
        field_m: lowest and highest length and width in m of a parcel.
        crop_db: deviations in dB of the levels of crops: as co-polarised backscatter shows them, and a further one of
            cross-polarised backscatter.
        cross_share: of the coarse texture's and the crops' decibels, the share that cross-polarised backscatter shows:
            the moisture and roughness of soil change it less.
    """

    real_scale: bool
    resampled: bool
    c_band: RadarBand
    houses: Mapping[int, Houses]
    texture: Mapping[int, Texture]
    ridge_m: Mapping[str, Range]
    field_m: tuple[Range, Range]
    crop_db: tuple[float, float]
    cross_share: float

    def band(self, band: RadarBand) -> RadarBand:
        """What a sensor's band sees under this recipe."""
        return self.c_band if band is C_BAND else band


PROTOTYPES: Final = Recipe(
    real_scale=False,
    resampled=False,
    c_band=C_BAND,
    houses={},
    texture={},
    ridge_m={},
    field_m=((0, 0), (0, 0)),
    crop_db=(0, 0),
    cross_share=1.0,
)
REAL_SCALE: Final = Recipe(
    real_scale=True,
    resampled=True,
    c_band=replace(
        C_BAND,
        land_db={
            cv.BEACH: (-14.5, -22.5),
            cv.CROPLAND: (-11.2, -17.6),
            cv.GRASS: (-11.8, -18.1),
            cv.FOREST: (-8.9, -14.4),
            cv.BARE: (-10.8, -18.5),
            cv.URBAN: (-11.0, -17.2),
            cv.PAVED: (-12.5, -19.5),
            cv.ROAD: (-14.5, -21.5),
            cv.RUNWAY: (-18.0, -25.0),
        },
    ),
    houses={
        cv.Z_RESIDENTIAL: Houses((10, 18), (8, 12), 6.0, 0.25, 0.0, 4.0, ((110, 240), (55, 95))),
        cv.Z_COMMERCIAL: Houses((22, 60), (16, 38), 15.0, 0.5, 1.0, 4.0, ((90, 160), (80, 120))),
        cv.Z_INDUSTRIAL: Houses((45, 120), (25, 60), 8.0, 0.3, -4.0, 4.0, ((180, 340), (120, 200))),
    },
    texture={
        cv.CROPLAND: Texture(0.7, 35.0, 0.5, 120.0, 1.2),
        cv.GRASS: Texture(1.0, 35.0, 1.6, 120.0, 1.8),
        cv.FOREST: Texture(0.7, 25.0, 1.1, 130.0, 1.3),
        cv.BARE: Texture(1.1, 30.0, 1.7, 120.0, 1.5),
        cv.URBAN: Texture(1.5, 28.0, 1.7, 110.0, 2.0),
        cv.PAVED: Texture(1.5, 30.0, 1.7, 120.0, 1.8),
        cv.BEACH: Texture(0.8, 30.0, 1.0, 120.0, 1.0),
    },
    ridge_m={"hills": (350.0, 800.0), "mountain": (450.0, 1100.0)},
    field_m=((130.0, 420.0), (60.0, 220.0)),
    crop_db=(2.2, 1.2),
    cross_share=0.35,
)
RECIPES: Final[Mapping[int, Recipe]] = {1: PROTOTYPES, 2: REAL_SCALE}
"""Recipe by the number that `corpus.simulated.recipe` gives it."""
