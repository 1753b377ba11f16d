"""Intensity statistics of images, for classifiers that need no network: trees on statistics, weak annotators."""

import numpy as np

WEAK = 6
"""The first statistics of a channel: mean, deviation, skewness, and three percentiles."""
_PERCENTILES = (10, 50, 90, 1, 5, 25, 75, 95, 99)
_SCALES = (1, 2, 4)
_LAGS = (1, 2, 4)
_GRIDS = (4, 8)


def intensity_statistics(images: np.ndarray) -> np.ndarray:
    """Statistics of each channel of images, those of the whole image first.

    Moments, percentiles, mean steps and autocorrelation at three scales, and mean and deviation of the cells of two
    grids.

    Args:
        images: real [N, C, S, S], such as decibels or the models' images.

    Returns:
        float32 [N, F]; the first C * WEAK are the simplest.
    """
    exact = images.astype(np.float32)
    weak, rest = [], []
    for channel in range(exact.shape[1]):
        first, *others = _of_channel(exact[:, channel])
        weak.append(first[:, :WEAK])
        rest += [first[:, WEAK:], *others]
    return np.concatenate([*weak, *rest], axis=1)


def _of_channel(pictures: np.ndarray) -> list[np.ndarray]:
    """Blocks of statistics of one channel, float32 [N, S, S]; the whole picture's first."""
    found = []
    for scale in _SCALES:
        scaled = _averaged(pictures, scale)
        found.append(np.concatenate([_moments(scaled), _texture(scaled)], axis=1))
    for cells in _GRIDS:
        side = pictures.shape[1] // cells
        if side < 2:
            continue
        grid = pictures[:, : side * cells, : side * cells].reshape(len(pictures), cells, side, cells, side)
        found += [grid.mean(axis=(2, 4)).reshape(len(pictures), -1), grid.std(axis=(2, 4)).reshape(len(pictures), -1)]
    return found


def _averaged(pictures: np.ndarray, scale: int) -> np.ndarray:
    side = pictures.shape[1] // scale
    return pictures[:, : side * scale, : side * scale].reshape(-1, side, scale, side, scale).mean(axis=(2, 4))


def _moments(pictures: np.ndarray) -> np.ndarray:
    flat = pictures.reshape(len(pictures), -1)
    mean, deviation = flat.mean(axis=1, keepdims=True), flat.std(axis=1, keepdims=True)
    standard = (flat - mean) / np.maximum(deviation, 1e-6)
    moments = [mean, deviation, (standard**3).mean(axis=1, keepdims=True)]
    percentiles = np.percentile(flat, _PERCENTILES, axis=1).T
    return np.concatenate([*moments, percentiles, (standard**4).mean(axis=1, keepdims=True)], axis=1).astype(np.float32)


def _texture(pictures: np.ndarray) -> np.ndarray:
    """Mean absolute steps and autocorrelation along both axes, at the lags that the pictures have."""
    centred = pictures - pictures.mean(axis=(1, 2), keepdims=True)
    power = np.maximum((centred**2).mean(axis=(1, 2)), 1e-6)
    found = []
    for lag in (each for each in _LAGS if each < pictures.shape[1]):
        for moved, still in (
            (centred[:, lag:], centred[:, :-lag]),
            (centred[:, :, lag:], centred[:, :, :-lag]),
        ):
            found += [np.abs(moved - still).mean(axis=(1, 2)), (moved * still).mean(axis=(1, 2)) / power]
    return np.stack(found, axis=1).astype(np.float32)
