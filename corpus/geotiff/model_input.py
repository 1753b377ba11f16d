"""The input convention: what the models see of backscatter in decibels. docs/input.md says it in words.

Level and scale are fixed, so that a sea stays darker than a town, and VH darker than VV. Only where the level of a
product is not known does its own median stand in for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, Literal

import numpy as np

CO_POLARISED: Final = ("VV", "HH", "unknown")
CROSS_POLARISED: Final = ("VH", "HV")
REFERENCE_DB: Final = {"co": -12.0, "cross": -19.0}
"""Sigma nought in dB that is 0 in an image: about that of fields, in the middle of what land shows."""
SCALE_DB: Final = {"co": 10.0, "cross": 10.0}
"""Decibels that are 1 in an image."""
CLIP: Final = (-3.0, 5.0)
# Medians of sigma nought lie inside: a calm sea in VH is the darkest, a dense town at grazing incidence the brightest.
_LOWEST_MEDIAN_DB: Final = -45.0
_HIGHEST_MEDIAN_DB: Final = 5.0


class Level(StrEnum):
    """Where the level of a tile's decibels comes from."""

    ABSOLUTE = "absolute"
    """It is calibrated: the reference is REFERENCE_DB."""
    SCENES = "scenes"
    """It is known up to a constant: the reference is the median over the scenes of one acquisition."""
    TILE = "tile"
    """As before, but nothing is known of other tiles: the reference is the file's own median."""


def kind_of(polarisation: str) -> Literal["co", "cross"]:
    """Whether a polarisation is cross-polarised; an unknown one counts as co-polarised."""
    return "cross" if polarisation in CROSS_POLARISED else "co"


def is_plausible(medians_db: Sequence[float]) -> bool:
    """Whether medians in dB can be those of calibrated backscatter; digital numbers have larger ones."""
    return all(_LOWEST_MEDIAN_DB <= median <= _HIGHEST_MEDIAN_DB for median in medians_db)


def references(
    decibels: np.ndarray, polarisations: Sequence[str], *, calibrated: bool, level_db: Sequence[float] | None = None
) -> tuple[list[float], Level]:
    """The decibels of each band that are 0 in an image, and where they come from.

    Args:
        decibels: float [bands, H, W], NaN where there is no value.
        polarisations: of the bands.
        calibrated: whether the decibels are sigma nought.
        level_db: of each band, the median over the scenes of the tile's acquisition; None where it is not known.
    """
    if level_db is not None:
        return [float(level) for level in level_db], Level.SCENES
    if calibrated:
        return [REFERENCE_DB[kind_of(name)] for name in polarisations], Level.ABSOLUTE
    return [float(np.nanmedian(band)) for band in decibels], Level.TILE


def to_model_image(decibels: np.ndarray, polarisations: Sequence[str], reference_db: Sequence[float]) -> np.ndarray:
    """Decibels as the models see them.

    Args:
        decibels: float [bands, H, W], NaN where there is no value.
        polarisations: of the bands.
        reference_db: of each band, as `references` gives them.

    Returns:
        float16 [2, H, W]: co- and cross-polarised, (dB - reference) / SCALE_DB clipped to CLIP; 0 where there is no
        value. A polarisation that is alone fills both channels, each time against its own reference.
    """
    bands = [next((i for i, name in enumerate(polarisations) if kind_of(name) == kind), None) for kind in SCALE_DB]
    alone = next(band for band in bands if band is not None)
    image = np.zeros((2, *decibels.shape[1:]), np.float16)
    for channel, band in enumerate(alone if band is None else band for band in bands):
        scale = SCALE_DB[kind_of(polarisations[band])]
        image[channel] = np.nan_to_num(np.clip((decibels[band] - reference_db[band]) / scale, *CLIP), nan=0.0)
    return image
