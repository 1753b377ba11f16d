"""A tile as a picture that a model made for photographs can look at."""

import io
from typing import Final

import numpy as np
from PIL import Image

from corpus.backscatter import CO_POLARISED, Backscatter

# Percentiles of the backscatter in dB that become black and white: a few bright targets must not darken all else.
_BLACK, _WHITE = 1.0, 99.5
MEDIA_TYPE: Final = "image/png"


def grey_picture(tile: Backscatter) -> np.ndarray:
    """The co-polarised band (the first, where there is none) in decibels, stretched to uint8 [H, W]; no data is black."""
    band = next((index for index, name in enumerate(tile.polarisations) if name in CO_POLARISED), 0)
    decibels = np.asarray(tile.array[band], dtype=np.float64)
    valid = np.isfinite(decibels)
    if not valid.any():
        return np.zeros(decibels.shape, np.uint8)
    black, white = np.percentile(decibels[valid], [_BLACK, _WHITE])
    grey = np.clip((np.where(valid, decibels, black) - black) / max(white - black, 1e-6), 0, 1)
    return np.round(255 * grey).astype(np.uint8)


def png(grey: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W]. The same pixels give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="PNG")
    return file.getvalue()
