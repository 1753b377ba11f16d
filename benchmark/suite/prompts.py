"""Sentences about a class, for methods that classify by text without learning: one ensemble for all of them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from corpus.geotiff.backscatter import Backscatter

VERSION: Final = 1
"""Goes up with every change of the sentences, so that figures of two versions are not compared."""
TEMPLATES: Final = (
    "a radar image of {name}.",
    "a synthetic aperture radar image of {name}.",
    "a SAR chip that shows {name}.",
    "a satellite image of {name}.",
    "an aerial view of {name}.",
    "a grey picture of {name} with speckle.",
)
_HEAT: Final = 0.01
"""Temperature of the softmax over cosines, as CLIP ends up with."""


def prompts_sha256() -> str:
    """Of the sentences, hexadecimal."""
    return hashlib.sha256("\n".join(TEMPLATES).encode()).hexdigest()


def sentences_of(name: str) -> list[str]:
    """Every sentence about a class."""
    words = " ".join(name.replace("_", " ").replace("-", " ").split())
    return [template.format(name=words) for template in TEMPLATES]


def cosines(method: Any, images: Sequence[Backscatter], classes: Sequence[str]) -> np.ndarray:
    """Cosine float64 [N, classes] of each image with the mean direction of each class's sentences.

    Args:
        method: embeds images and texts.
        images: N rasters.
        classes: names.
    """
    sentences = [sentence for name in classes for sentence in sentences_of(name)]
    pictures, texts = (_unit(np.asarray(part, np.float64)) for part in method.embed_pairs(images, sentences))
    directions = _unit(texts.reshape(len(classes), len(TEMPLATES), -1).mean(axis=1))
    return pictures @ directions.T


def zero_shot(method: Any, images: Sequence[Backscatter], classes: Sequence[str]) -> np.ndarray:
    """Probabilities float64 [N, classes] of images that each have one class. Arguments as `cosines`."""
    logits = cosines(method, images, classes) / _HEAT
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
