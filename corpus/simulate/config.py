"""What a simulated corpus is made of; every key with its unit."""

from __future__ import annotations

import hashlib
import json

from pydantic import Field, model_validator

from corpus.storage.models import FrozenModel


class SensorShares(FrozenModel):
    """Relative shares of the sensors; they need not add up to one."""

    sentinel1_iw: float = Field(0.50, ge=0, description="relative share of Sentinel-1 IW tiles (10 m, C-band, VV+VH)")
    gaofen3_fsii: float = Field(0.40, ge=0, description="relative share of Gaofen-3 FSII tiles (5 m, C-band, HH+HV)")
    xband_spotlight: float = Field(0.10, ge=0, description="relative share of X-band spotlight tiles (1 m, HH)")

    @model_validator(mode="after")
    def _some_sensor(self) -> SensorShares:
        if self.sentinel1_iw + self.gaofen3_fsii + self.xband_spotlight <= 0:
            raise ValueError("sensor shares are all zero: give at least one sensor a positive share")
        return self


class SceneConfig(FrozenModel):
    """The whole recipe of a simulated corpus: the same configuration gives the same bytes.

    The scenes are clear-cut prototypes: every quantity that an annotation speaks of is drawn well inside its
    class, and scenes near a class limit are drawn again. Real tiles are not so kind; the imaging is as real.
    """

    tiles: int = Field(1280, ge=1, description="number of tiles")
    tile_size_pixels: int = Field(128, ge=48, le=512, description="width and height of a tile in pixels")
    seed: int = Field(0, ge=0, description="seed of every random draw")
    held_out_share: float = Field(0.15, ge=0, lt=1, description="share of cities kept out of training (0..1)")
    cities: int = Field(135, ge=1, le=500, description="number of cities the tiles are spread over")
    city_radius_km: float = Field(20.0, gt=0, description="largest distance of a tile from its city's centre in km")
    sensors: SensorShares = Field(default_factory=SensorShares, description="relative shares of the sensors")
    share_with_targets: float = Field(0.45, ge=0, le=1, description="share of tiles with ships or aircraft (0..1)")
    share_gradual: float = Field(
        0.5, ge=0, le=1, description="share of gradual ones where areas may have either border (0..1)"
    )
    calibration_db: float = Field(60.0, description="dB added to sigma0 before it is stored as an amplitude DN")
    buildings_in_truth: int = Field(64, ge=0, description="largest buildings listed per tile in the written truth")

    def digest(self) -> str:
        """SHA-256 of the recipe (and of the recipe's version), hexadecimal."""
        text = json.dumps({"recipe": RECIPE_VERSION, **self.model_dump(mode="json")}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


# Raise it whenever the same configuration would draw other pixels: finished corpora are reused by digest.
RECIPE_VERSION = 2
