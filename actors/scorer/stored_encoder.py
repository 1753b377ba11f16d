"""What the encoder of a weights directory says of tiles on disk, in this process and without a cluster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from actors.data.images import tile_images
from actors.data.matching import contrast_factors
from actors.scorer.scorer import look_at, open_scorer
from corpus.geotiff.contrast import with_contrast
from corpus.geotiff.sampling import centre_of


@dataclass(frozen=True)
class StoredView:
    """What an encoder says of N tiles.

    Attributes:
        zero_shot: Per clause float64 [N, V], its distribution over the values.
        distance: float64 [N], of each tile's middle from the training tiles, 1 at the limit beyond which a tile is
            foreign; None where the weights do not say what they were trained on.
    """

    zero_shot: dict[str, np.ndarray]
    distance: np.ndarray | None


def view_of(
    weights_dir: Path, corpus_dir: Path, tiles: Sequence[Mapping[str, Any]], batch_size: int = 64, views: int = 1
) -> StoredView:
    """Look at tiles of a corpus.

    A tile of a larger extent than the encoder was trained at is seen as crops, see `corpus.geotiff.sampling`, and the
    contrast of each product is matched to that of the training tiles.

    Args:
        weights_dir: Folder of the weights.
        corpus_dir: Folder of the corpus.
        tiles: N rows of TILE_SCHEMA.
        batch_size: Number of tiles that are looked at together.
        views: Number of symmetries over which distributions are averaged, 1 to 8.
    """
    import torch

    from model.known_tiles import KnownTiles, features_of

    schema, scorer, clause_text = open_scorer(weights_dir)
    known, size = KnownTiles.load(weights_dir), scorer.encoder.config.typed().vision.image_size_px
    sampling, trained = (None, None) if known is None else (known.input.sampling, known.input.contrast)
    factors = contrast_factors(trained, tiles, corpus_dir, size, sampling)
    parts, distances = [], []
    for start in range(0, len(tiles), batch_size):
        crops = [
            with_contrast(tile_images(corpus_dir / tile["path"], tile, size, sampling).images, contrast)
            for tile, contrast in zip(
                tiles[start : start + batch_size], factors[start : start + batch_size], strict=True
            )
        ]
        parts.append(look_at(schema, scorer, clause_text, crops, views).zero_shot)
        if known is not None:
            middle = np.stack([each[centre_of(len(each))] for each in crops]).astype(np.float32)
            distances.append(known.distance(features_of(scorer.encoder, torch.from_numpy(middle))))
    return StoredView(
        {
            clause: np.concatenate(slots).astype(np.float64)
            for clause, slots in zip(schema.names, zip(*parts, strict=True), strict=True)
        },
        np.concatenate(distances) if distances else None,
    )
