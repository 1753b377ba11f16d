"""By how much the contrast of each tile of a corpus is changed, so that it is that of what weights were trained on."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from actors.data.images import tile_images
from corpus.geotiff.contrast import contrast_for, factors_to_match
from corpus.geotiff.sampling import Sampling
from corpus.tiles import product_of, tile_path

_log = logging.getLogger(__name__)
_MOST_READ = 256
"""Tiles of a product of which the contrast is measured, evenly spread over the corpus."""


def contrast_factors(
    trained: Mapping[str, Sequence[float]] | None,
    tiles: Sequence[Mapping[str, Any]],
    corpus_dir: Path,
    size: int,
    sampling: Sampling | None,
) -> list[tuple[float, float]]:
    """What the contrast of each tile is multiplied by: one pair of factors for each product, see `corpus.tiles`.

    Args:
        trained: contrast of the training images of the weights, see `contrast_for`; None: nothing is changed.
        tiles: N rows of TILE_SCHEMA.
        corpus_dir: Folder of the corpus.
        size: side of an image.
        sampling: what the weights were trained at.

    Returns:
        N pairs, of the co- and the cross-polarised channel; (1, 1) of products of too few images.
    """
    factors = [(1.0, 1.0)] * len(tiles)
    if trained is None:
        return factors
    products: dict[str, list[int]] = {}
    for row, tile in enumerate(tiles):
        products.setdefault(product_of(tile), []).append(row)
    for product, rows in products.items():
        read = [tiles[rows[at]] for at in np.unique(np.linspace(0, len(rows) - 1, _MOST_READ).astype(int))]
        images = [tile_images(tile_path(corpus_dir, tile["path"]), tile, size, sampling).images for tile in read]
        found = factors_to_match(contrast_for(trained, product), np.concatenate(images))
        for row in rows:
            factors[row] = found
        _log.info("contrast of %s: %d tiles read, multiplied by %.2f and %.2f", product, len(read), *found)
    return factors
