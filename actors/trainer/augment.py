"""Random changes of training images: what another product, another calibration or a coarser pixel would change.

Images are in the units of the input convention (`corpus.geotiff.model_input`): 10 dB, and 0 at the reference level.
"""

import numpy as np
from pydantic import Field

from corpus.geotiff.model_input import CLIP, SCALE_DB
from corpus.storage.models import StrictModel

_UNIT_DB = SCALE_DB["co"]
_MANY_LOOKS = 32.0
"""Speckle of more looks is below that of any product."""


class AugmentConfig(StrictModel):
    """Random changes of a training row. Every draw comes from the micro-batch's seed."""

    dihedral: bool = Field(default=True, description="turn by multiples of 90 degrees and mirror; locations turn along")
    speckle_db: float = Field(default=0.5, ge=0, description="standard deviation of added speckle, in dB")
    drop_polarisation_share: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="share of the tiles of two polarisations that show one of them, in both channels",
    )
    gain_db: float = Field(
        default=0.0, ge=0, description="standard deviation of an offset of a whole tile, in dB: another calibration"
    )
    contrast: float = Field(
        default=1.0,
        ge=1,
        le=4,
        description="decibels about a tile's mean are multiplied by up to this or divided by it, log-uniform; 1: not",
    )
    fewest_looks: float = Field(
        default=0.0,
        ge=0,
        description="tiles get further speckle of so many looks at least, log-uniform up to 32; 0: none",
    )
    smallest_side_share: float = Field(
        default=1.0,
        ge=0.1,
        le=1,
        description="side of the part of a tile that is seen, at least, uniform up to 1: another pixel spacing; a "
        "part has the tile's annotation without its locations",
    )
    shortest_caption_share: float = Field(
        default=0.5, gt=0, le=1, description="captions keep a random share of their clauses, at least this"
    )
    feedback_share: float = Field(
        default=0.5, ge=0, le=1, description="share of prompts that carry last round's feedback"
    )
    correction_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="share of prompts that ask as labelling does: few clauses, each with a hint, also in a round that "
        "no feedback came before; hints are wrong as often as hint_error_share says",
    )
    hint_error_share: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="share of a correction prompt's hinted values that are replaced by another one, drawn at random",
    )

    @property
    def changes_radiometry(self) -> bool:
        """Whether `change_radiometry` changes anything."""
        return bool(self.drop_polarisation_share or self.gain_db or self.contrast > 1 or self.fewest_looks)


def change_radiometry(image: np.ndarray, generator: np.random.Generator, config: AugmentConfig) -> np.ndarray:
    """An image float [2, H, W] with other contrast, level and speckle, and maybe one polarisation less."""
    image = image.astype(np.float32)
    if generator.random() < config.drop_polarisation_share:
        image = np.repeat(image[[int(generator.integers(2))]], 2, axis=0)
    if config.contrast > 1:
        factor = config.contrast ** generator.uniform(-1, 1)
        mean = image.mean(axis=(1, 2), keepdims=True)
        image = mean + factor * (image - mean)
    if config.fewest_looks:
        looks = config.fewest_looks * (_MANY_LOOKS / config.fewest_looks) ** generator.random()
        # The same polarisation in both channels has the same speckle.
        alone = np.array_equal(image[0], image[1])
        speckle = generator.gamma(looks, 1 / looks, (1 if alone else 2, *image.shape[1:]))
        image = image + 10 * np.log10(np.maximum(speckle, 1e-3)) / _UNIT_DB
    if config.gain_db:
        image = image + generator.normal(0, config.gain_db) / _UNIT_DB
    return np.clip(image, *CLIP).astype(np.float32)


def crop(image: np.ndarray, generator: np.random.Generator, smallest_side_share: float) -> tuple[np.ndarray, bool]:
    """A random square part of an image [2, S, S], interpolated to its size, and whether it is smaller than the whole.

    Between pixels decibels are interpolated, as nothing is averaged.
    """
    size = image.shape[-1]
    side = round(size * generator.uniform(smallest_side_share, 1))
    if side >= size:
        return image, False
    row, column = (int(generator.integers(size - side + 1)) for _ in range(2))
    part = image[:, row : row + side, column : column + side].astype(np.float32)
    at = np.clip((np.arange(size) + 0.5) * side / size - 0.5, 0, side - 1)
    low = np.minimum(at.astype(int), side - 2)
    share = (at - low).astype(np.float32)
    part = part[:, low] * (1 - share)[:, None] + part[:, low + 1] * share[:, None]
    return part[:, :, low] * (1 - share) + part[:, :, low + 1] * share, True
