"""What shallow classifiers see of a tile: intensity statistics, and its pixels in small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from actors.data.shuffler import image_of
from corpus.geotiff.statistics import intensity_statistics

_SIDE = 32
"""Most pixels of a side that classifiers see; larger images are averaged."""
_COMPONENTS = 64


@dataclass(frozen=True)
class Features:
    """Features of n tiles.

    Attributes:
        statistics: float32 [n, F], see `intensity_statistics`.
        pixels: float32 [n, P], the image in small, or its principal components.
    """

    statistics: np.ndarray
    pixels: np.ndarray

    def __getitem__(self, rows: np.ndarray | slice) -> Features:
        return Features(self.statistics[rows], self.pixels[rows])

    def __len__(self) -> int:
        return len(self.statistics)

    @staticmethod
    def of(images: np.ndarray) -> Features:
        """Features of images, real [n, C, S, S] as the models see them."""
        exact = images.astype(np.float32)
        factor = -(-exact.shape[2] // _SIDE)
        side = exact.shape[2] // factor
        small = exact[:, :, : side * factor, : side * factor]
        small = small.reshape(*small.shape[:2], side, factor, side, factor).mean(axis=(3, 5))
        return Features(intensity_statistics(exact), small.reshape(len(small), -1))

    @staticmethod
    def of_block(block: pa.Table) -> tuple[list[str], Features]:
        """Tile ids and features of a block of `shuffler.read_images`; of several crops the middle one is seen."""
        images = np.stack([image_of(block, row) for row in range(block.num_rows)])
        return block["tile_id"].to_pylist(), Features.of(images)

    @staticmethod
    def join(parts: Sequence[Features]) -> Features:
        """Those of all parts, one after the other."""
        return Features(
            np.concatenate([part.statistics for part in parts]), np.concatenate([part.pixels for part in parts])
        )

    def reduced(self, taught: np.ndarray, seed: int) -> Features:
        """With the principal components of the pixels in their place, found on the tiles `taught` (bool [n])."""
        from sklearn.decomposition import PCA

        components = min(_COMPONENTS, self.pixels.shape[1], int(taught.sum()))
        found = PCA(components, svd_solver="randomized", random_state=seed).fit(self.pixels[taught])
        return Features(self.statistics, found.transform(self.pixels).astype(np.float32))
