"""What a simulated corpus is made of; every key with its unit."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import Field, field_validator

from corpus.simulate.recipe import RECIPES, Recipe
from corpus.simulate.sensor import BUILT_IN, SENSORS
from corpus.storage.models import FrozenModel


class SceneConfig(FrozenModel):
    """The whole recipe of a simulated corpus: the same configuration gives the same bytes.

    Recipe 1 draws clear-cut prototypes: every quantity that an annotation speaks of lies well inside its class, and
    scenes near a class limit are drawn again. Recipe 2 draws towns, roads and fields in metres and at Sentinel-1's
    contrast, and keeps what is not clear; docs/simulation.md compares both with real scenes.
    """

    recipe: Literal[1, 2] = Field(
        default=1,
        description="1: prototypes, drawn in pixels of the sensor; 2: drawn in metres, at the scale and contrast of "
        "real scenes",
    )
    ambiguous: bool | None = Field(
        default=None,
        description="whether scenes stay in of which a clause cannot be told clearly; false draws them again until all "
        "can; null: with recipe 2",
    )
    tiles: int = Field(default=1280, ge=1, description="number of tiles")
    tile_size_pixels: int = Field(default=128, ge=48, le=512, description="width and height of a tile in pixels")
    seed: int = Field(default=0, ge=0, description="seed of every random draw")
    held_out_share: float = Field(default=0.15, ge=0, lt=1, description="share of cities kept out of training (0..1)")
    cities: int = Field(default=135, ge=1, le=500, description="number of cities the tiles are spread over")
    city_radius_km: float = Field(
        default=20.0, gt=0, description="largest distance of a tile from its city's centre in km"
    )
    sensors: dict[str, Annotated[float, Field(ge=0)]] = Field(
        default={"sentinel1_iw": 0.5, "gaofen3_fsii": 0.4, "xband_spotlight": 0.1},
        description="sensor -> relative share of the tiles; sensors that are not named are not drawn",
    )
    share_with_targets: float = Field(
        default=0.45, ge=0, le=1, description="share of tiles with ships or aircraft (0..1)"
    )
    share_gradual: float = Field(
        default=0.5, ge=0, le=1, description="share of gradual ones where areas may have either border (0..1)"
    )
    calibration_db: float = Field(default=60.0, description="dB added to sigma0 before it is stored as an amplitude DN")
    buildings_in_truth: int = Field(
        default=64, ge=0, description="largest buildings listed per tile in the written truth"
    )

    @field_validator("sensors")
    @classmethod
    def _are_registered(cls, sensors: dict[str, float]) -> dict[str, float]:
        """The same shares in the order of registration, as draws depend on the order."""
        for name in sensors:
            SENSORS.find(name)
        if sum(sensors.values()) <= 0:
            raise ValueError("sensor shares are all zero: give at least one sensor a positive share")
        return {name: sensors[name] for name in SENSORS if name in sensors}

    @property
    def world(self) -> Recipe:
        """The tables of the recipe."""
        return RECIPES[self.recipe]

    @property
    def keeps_ambiguous(self) -> bool:
        """Whether scenes stay in of which a clause cannot be told clearly."""
        return self.recipe != 1 if self.ambiguous is None else self.ambiguous

    def digest(self) -> str:
        """SHA-256 of the recipe, of its version, and of the sensors added from outside the project; hexadecimal."""
        recipe = {**self.model_dump(mode="json", exclude={"recipe", "ambiguous"}), "recipe": RECIPE_VERSION}
        if self.recipe != 1:
            recipe["world"] = [self.recipe, WORLD_VERSION]
        if self.keeps_ambiguous:  # corpora of before this key have the digest that they had
            recipe["ambiguous"] = True
        if added := [[name, asdict(SENSORS[name])] for name in self.sensors if name not in BUILT_IN]:
            recipe["added_sensors"] = added
        text = json.dumps(recipe, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


# Raise them whenever the same configuration would draw other pixels: finished corpora are reused by digest. The first
# is of everything, the second of what only recipe 2 draws.
RECIPE_VERSION = 2
WORLD_VERSION = 1
