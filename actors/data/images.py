"""A tile of a corpus as the models see it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from corpus.geotiff.read import ModelImages, model_images
from corpus.geotiff.sampling import Sampling


def tile_images(path: Path, tile: Mapping[str, Any], size: int | None, sampling: Sampling | None) -> ModelImages:
    """Read a tile whole or as crops, at the level of its acquisition.

    Args:
        path: its file.
        tile: its row of TILE_SCHEMA.
        size: side of an image; None: the tile's own.
        sampling: what the weights were trained at; None: images show the tile whole.

    Raises:
        TileError: as `read_backscatter`.
    """
    return model_images(path, gsd_m=tile["gsd_m"], size=size, sampling=sampling, level_db=tile["level_db"])
