"""The keys corpus.ingest of a configuration: how scenes become tiles."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from corpus.storage.models import FrozenModel


class IngestConfig(FrozenModel):
    """How scenes become tiles."""

    tile_px: int = Field(default=128, ge=16, le=1024, description="side of a tile, pixels")
    window_px: int | None = Field(
        default=None,
        ge=16,
        description="side of the window cut from a scene, scene pixels; averaged"
        " in power to tile_px where it differs. Default: tile_px",
    )
    stride_px: int | None = Field(
        default=None,
        ge=8,
        description="from one window to the next, scene pixels; less than window_px overlaps. Default: window_px",
    )
    align_last_window: bool = Field(
        default=False,
        description="add a last window that ends at the scene's edge and overlaps the one before, where windows leave"
        " a rest",
    )
    max_missing_share: float = Field(default=0.05, ge=0, lt=1, description="of a window's pixels without a value")
    max_quarantined_share: float = Field(default=0.1, ge=0, le=1, description="of the files; above it the ingest fails")
    held_out_share: float = Field(default=0.2, ge=0, lt=1, description="of the tiles, by whole places")
    held_out_distance_m: float = Field(
        default=0,
        ge=0,
        le=1_000_000,
        description="between any held-out and any training tile, metres on the ground; tiles in between are left out."
        " 0: they share no ground",
    )
    seed: int = Field(default=0, ge=0, description="of the split")
    polarisations: tuple[Literal["VV", "VH", "HH", "HV"], ...] | None = Field(
        default=None, description="of the bands, for files that do not say"
    )
    units: Literal["db", "amplitude", "power"] | None = Field(
        default=None,
        description="of the values, for bands that do not declare their unit. Default: what the values tell",
    )
    allow_virtual: bool = Field(
        default=False,
        description="read URLs, GDAL's /vsi paths and VRT files too; they make GDAL open"
        " whatever they name, so only for scenes of your own",
    )

    @property
    def window(self) -> int:
        """Side of a window, scene pixels."""
        return self.window_px or self.tile_px

    @property
    def windows_side_by_side(self) -> bool:
        """Whether no window overlaps another one."""
        return not self.align_last_window and self.stride_px in (None, self.window)

    @model_validator(mode="after")
    def _check_stride(self) -> IngestConfig:
        if self.stride_px is not None and self.stride_px > self.window:
            raise ValueError(
                f"stride_px = {self.stride_px} is more than a window of {self.window} pixels, "
                "so what lies between is never used"
            )
        return self
