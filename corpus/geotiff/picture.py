"""A tile as a picture that a model made for photographs can look at."""

import io

import numpy as np
from PIL import Image

from corpus.geotiff.backscatter import Backscatter


def stretch(decibels: np.ndarray, low: float = 1.0, high: float = 99.5) -> np.ndarray:
    """Decibels, real [H, W], as grey values float32 [H, W] in [0, 1]; not-a-number, where there is no data, is 0.

    Args:
        decibels: real [H, W].
        low: percentile that becomes black.
        high: percentile that becomes white: a few bright targets must not darken all else.
    """
    decibels = np.where(np.isfinite(decibels), decibels, np.nan).astype(np.float64)
    if np.isnan(decibels).all():
        return np.zeros(decibels.shape, np.float32)
    black, white = np.nanpercentile(decibels, [low, high])
    grey = (decibels - black) / max(white - black, 1e-6)
    return np.nan_to_num(np.clip(grey, 0, 1), nan=0.0).astype(np.float32)


def grey_picture(tile: Backscatter) -> np.ndarray:
    """The co-polarised band (else the first) in decibels, stretched to uint8 [H, W]; no data is black."""
    return np.round(255 * stretch(tile.array[tile.co_polarised])).astype(np.uint8)


def png(grey: np.ndarray) -> bytes:
    """A PNG file of uint8 [H, W]. The same pixels give the same bytes."""
    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="PNG")
    return file.getvalue()
