"""Images of a data set as arrays of one shape, for methods that need no encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from corpus.geotiff.backscatter import Backscatter, resample_power


def levelled(image: Backscatter, side: int) -> np.ndarray:
    """float32 [bands, side, side]: decibels less their reference, averaged in power to one size.

    Every image is resampled to the same square whatever its size and aspect, so neither shows. The reference is that of
    the models' images (docs/input.md): the image's own median unless its level is known. No value: 0.
    """
    small = image.array if image.array.shape[1:] == (side, side) else resample_power(image.array, side)
    reference_db = np.asarray(image.references()[0], np.float32)
    return np.nan_to_num(small - reference_db[:, None, None], nan=0.0).astype(np.float32)


def resized(images: Sequence[Backscatter], side: int) -> np.ndarray:
    """float32 [N, side, side]: the co-polarised band of each image, as `levelled`."""
    return np.stack([levelled(image, side)[image.co_polarised] for image in images])


def pixel_side(places: Sequence[tuple[Backscatter, ...]]) -> int:
    """Side in pixels to which places come for a head without an encoder: 128, and 64 where they are smaller."""
    return 128 if min(places[0][0].array.shape[1:]) >= 128 else 64


def statistics(images: Sequence[Backscatter], side: int = 64) -> np.ndarray:
    """float32 [N, F] statistics of intensity: of the whole, of a 4 x 4 grid, of rows and columns, and of texture."""
    pictures = resized(images, side)
    flat = pictures.reshape(len(pictures), -1)
    blocks = pictures.reshape(len(pictures), 4, side // 4, 4, side // 4)
    across, down = np.abs(np.diff(pictures, axis=2)), np.abs(np.diff(pictures, axis=1))
    bright = pictures > np.quantile(flat, 0.95, axis=1)[:, None, None]
    place = np.linspace(-1, 1, side, dtype=np.float32)
    mass = bright.sum(axis=(1, 2)) + 1e-6
    rows, columns = (bright.sum(axis=axis) @ place / mass for axis in (2, 1))
    spread = [np.sqrt(bright.sum(axis=axis) @ place**2 / mass) for axis in (2, 1)]
    parts = [
        np.quantile(flat, (0.05, 0.25, 0.75, 0.9, 0.95, 0.99, 1.0), axis=1).T,
        flat.std(axis=1)[:, None],
        blocks.mean(axis=(2, 4)).reshape(len(pictures), -1),
        blocks.std(axis=(2, 4)).reshape(len(pictures), -1),
        blocks.max(axis=(2, 4)).reshape(len(pictures), -1),
        across.mean(axis=(1, 2))[:, None],
        down.mean(axis=(1, 2))[:, None],
        pictures.mean(axis=1)[:, ::4],
        pictures.mean(axis=2)[:, ::4],
        np.stack([rows, columns, *spread], axis=1),
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)


def pixel_statistics(views: Sequence[Backscatter]) -> np.ndarray:
    """float32 [H * W, F]: of each band of each view its decibels, local means and deviation, and their changes.

    Decibels are less their reference, as in `levelled`. Pixels without a value are 0.
    """
    from scipy.ndimage import uniform_filter

    bands = [
        np.nan_to_num(band - level, nan=0.0).astype(np.float32)
        for view in views
        for band, level in zip(view.array, view.references()[0], strict=True)
    ]
    columns = []
    for band in bands:
        means = [uniform_filter(band, side) for side in (3, 9, 25)]
        spread = np.sqrt(np.maximum(uniform_filter(band**2, 9) - means[1] ** 2, 0))
        columns += [band, *means, spread]
    if len(views) > 1:
        columns += [uniform_filter(bands[0] - other, 5) for other in bands[1:]]
    return np.stack([column.ravel() for column in columns], axis=1)
