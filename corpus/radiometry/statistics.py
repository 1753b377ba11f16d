"""Radiometric statistics of one window of backscatter. Pure functions of arrays; none looks at a label."""

from __future__ import annotations

import numpy as np

QUANTILES = 199
"""Quantiles that stand for the histogram of a window: those of (i + 1/2) / QUANTILES."""
LAGS_M = (10.0, 20.0, 30.0, 40.0, 60.0, 80.0, 120.0, 160.0, 240.0, 320.0)
"""Distances on the ground, in m, at which autocorrelations are compared."""
PATCH_PX = 12
"""Side of a patch of which looks are measured; its quarters have half of that."""


def quantiles_db(decibels: np.ndarray) -> np.ndarray:
    """The histogram of a window as quantiles.

    Args:
        decibels: real [H, W] in dB, NaN where there is no value.

    Returns:
        float64 [QUANTILES] in dB, rising.
    """
    present = decibels[np.isfinite(decibels)]
    return np.quantile(present, (np.arange(QUANTILES) + 0.5) / QUANTILES)


def histogram_distance_db(first: np.ndarray, second: np.ndarray) -> float:
    """Wasserstein distance in dB of two pools of windows, each window weighing the same.

    Args:
        first: quantiles in dB, real [windows, QUANTILES].
        second: those of the other pool.
    """
    at = (np.arange(QUANTILES) + 0.5) / QUANTILES
    pooled = [np.quantile(each, at) for each in (first, second)]
    return float(np.abs(pooled[0] - pooled[1]).mean())


def autocorrelation(decibels: np.ndarray, gsd_m: float) -> np.ndarray:
    """Autocorrelation of the decibels of a window at LAGS_M, mean of both axes.

    The window's mean is taken off first, so a window of pure speckle has 0 beyond the impulse response.

    Args:
        decibels: real [H, W] in dB, NaN where there is no value.
        gsd_m: metres on the ground per pixel.

    Returns:
        float64 [LAGS_M]; NaN beyond half of the window, and everywhere in a constant window.
    """
    centred = np.nan_to_num(decibels - np.nanmean(decibels)).astype(np.float64)
    variance = (centred**2).mean()
    most = min(int(np.ceil(LAGS_M[-1] / gsd_m)), min(centred.shape) // 2)
    found = np.ones(most + 1)
    for lag in range(1, most + 1):
        rows = (centred[lag:] * centred[:-lag]).mean()
        columns = (centred[:, lag:] * centred[:, :-lag]).mean()
        found[lag] = (rows + columns) / 2 / variance if variance > 0 else np.nan
    return np.interp(LAGS_M, np.arange(most + 1) * gsd_m, found, right=np.nan)


def patch_looks(decibels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Equivalent number of looks of each patch of a window, and how far the patch is from homogeneous.

    The looks are the squared mean over the variance of the power, inside the quarters of a patch. Heterogeneity is the
    spread between the quarters, which is nearly independent of it: choosing by the one does not bend the other.

    Args:
        decibels: real [H, W] in dB, NaN where there is no value.

    Returns:
        Two float64 [patches]: looks, and heterogeneity (squared coefficient of variation of the quarters' means).
        Patches with a missing or a constant value are left out.
    """
    power = 10.0 ** (decibels.astype(np.float64) / 10)
    half = PATCH_PX // 2
    rows, columns = (side // PATCH_PX for side in power.shape)
    cut = power[: rows * PATCH_PX, : columns * PATCH_PX].reshape(rows, 2, half, columns, 2, half)
    quarters = cut.transpose(0, 3, 1, 4, 2, 5).reshape(rows * columns, 4, half * half)
    quarters = quarters[np.isfinite(quarters).all(axis=(1, 2))]
    means = quarters.mean(axis=2)
    relative = (quarters.var(axis=2, ddof=1) / means**2).mean(axis=1)
    heterogeneity = means.var(axis=1, ddof=1) / means.mean(axis=1) ** 2
    kept = relative > 0
    return 1 / relative[kept], heterogeneity[kept]


def equivalent_looks(looks: np.ndarray, heterogeneity: np.ndarray, share: float = 0.1) -> float:
    """Equivalent number of looks: the median over the most homogeneous patches; NaN without a patch.

    Args:
        looks: real [patches], see `patch_looks`.
        heterogeneity: of the same patches.
        share: of the patches, 0..1.
    """
    if len(looks) == 0:
        return float("nan")
    return float(np.median(looks[heterogeneity <= np.quantile(heterogeneity, share)]))


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's correlation of the decibels of two polarisations, real [H, W]; NaN where one is constant."""
    both = np.isfinite(first) & np.isfinite(second)
    a, b = first[both] - first[both].mean(), second[both] - second[both].mean()
    scale = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / scale) if scale > 0 else float("nan")
