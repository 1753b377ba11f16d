"""Contrast of images: what products and sensors differ in most once their level is the same, and how it is matched.

Speckle of more looks, a smoother landscape or another filter make images of one kind of ground flatter or harder. A
network takes flat images for flat ground. No label is needed to match the contrast of a corpus to that of the tiles
that a network was trained on.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from corpus.geotiff.model_input import CLIP

EVERY_PRODUCT = ""
LEAST_IMAGES = 8
"""Of fewer images the contrast is that of what they happen to show."""
_STRONGEST = 2.0
_UNNOTICED = 1.15


def contrast_of(images: np.ndarray) -> tuple[float, float]:
    """Median over images, real [N, 2, S, S], of the standard deviation of each channel."""
    co, cross = np.median(images.astype(np.float32).std(axis=(2, 3)), axis=0)
    return float(co), float(cross)


def contrast_for(trained: Mapping[str, Sequence[float]], product: str) -> Sequence[float]:
    """Contrast of the training images of a product; of all of them where the product was not among them.

    Args:
        trained: product -> contrast by channel; EVERY_PRODUCT: of all training images.
        product: see `corpus.tiles.product_of`.
    """
    return trained.get(product, trained[EVERY_PRODUCT])


def matching_factors(trained: Sequence[float], measured: Sequence[float]) -> tuple[float, float]:
    """What the contrast of each channel is to be multiplied by: 1 where nobody would notice, 1/2 to 2 elsewhere.

    Args:
        trained: contrast of the training images, by channel.
        measured: contrast of a corpus, by channel.
    """
    co, cross = (
        float(np.clip(wanted / max(found, 1e-6), 1 / _STRONGEST, _STRONGEST))
        for wanted, found in zip(trained, measured, strict=True)
    )
    # One landscape has another contrast than the next: within this it is no other product.
    near = all(1 / _UNNOTICED < factor < _UNNOTICED for factor in (co, cross))
    return (1.0, 1.0) if near else (co, cross)


def factors_to_match(trained: Sequence[float], images: np.ndarray) -> tuple[float, float]:
    """What the contrast of images is to be multiplied by; (1, 1) where they are fewer than LEAST_IMAGES.

    Args:
        trained: contrast of the training images, by channel.
        images: real [N, 2, S, S].
    """
    return matching_factors(trained, contrast_of(images)) if len(images) >= LEAST_IMAGES else (1.0, 1.0)


def with_contrast(images: np.ndarray, factors: Sequence[float]) -> np.ndarray:
    """Images, float16 [..., 2, S, S], whose channels deviate from their means by so many times as much."""
    if tuple(factors) == (1.0, 1.0):
        return images
    exact = images.astype(np.float32)
    mean = exact.mean(axis=(-2, -1), keepdims=True)
    scale = np.asarray(factors, np.float32)[:, None, None]
    return np.clip(mean + scale * (exact - mean), *CLIP).astype(images.dtype)
