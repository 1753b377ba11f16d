"""One band of a tile as a small picture."""

import io
from typing import Final

import numpy as np
from PIL import Image

from corpus.geotiff.picture import stretch

_SIDE: Final = 256
_QUALITY: Final = 82


def jpeg(decibels: np.ndarray) -> bytes:
    """A band as a grey JPEG of at most 256 pixels a side.

    Args:
        decibels: float [height, width], backscatter in decibels; not-a-number where there is no data.
    """
    picture = Image.fromarray(np.round(255 * stretch(decibels)).astype(np.uint8))
    picture.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    picture.save(file, format="JPEG", quality=_QUALITY)
    return file.getvalue()
