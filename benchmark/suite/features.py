"""Features of a data set, made once for all settings of a method."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import numpy as np

from benchmark.datasets.base import Classification, SeveralLabels
from benchmark.suite.base import ImageEncoder
from corpus.geotiff.backscatter import Backscatter

Labelled = Classification | SeveralLabels
_LAST: WeakKeyDictionary[ImageEncoder, tuple[Labelled, np.ndarray, np.ndarray]] = WeakKeyDictionary()


def features_of(encoder: ImageEncoder, data: Labelled) -> tuple[np.ndarray, np.ndarray]:
    """Features float32 [M, D] of the training and of all test images; those of the last data set are kept.

    The test images are followed by those under another draw of speckle, where the set has them.
    """
    last = _LAST.get(encoder)
    if last is None or last[0] is not data:
        last = (data, encoder.embed(data.train.images), encoder.embed(every_test_image(data)))
        _LAST[encoder] = last
    return last[1], last[2]


def every_test_image(data: Labelled) -> list[Backscatter]:
    """The test images, and then those under another draw of speckle."""
    again = None if isinstance(data, SeveralLabels) else data.test_again
    return [*data.test.images, *(again.images if again is not None else ())]
