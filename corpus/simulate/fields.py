"""Random fields and smooth helpers on square grids."""

from __future__ import annotations

import functools
from typing import cast

import numpy as np
from scipy import fft, ndimage


@functools.lru_cache(maxsize=64)
def _power_law(m: int, beta: float, lowest: float) -> np.ndarray:
    f = np.hypot(fft.fftfreq(m)[:, None], fft.rfftfreq(m)[None, :])
    amplitude = np.maximum(f, lowest) ** -beta
    amplitude[0, 0] = 0.0
    return amplitude.astype(np.float32)


def distance_inside(mask: np.ndarray) -> np.ndarray:
    """Distance in pixels of every pixel of a mask, bool [H, W], to the nearest one outside it: float64 [H, W]."""
    return np.asarray(ndimage.distance_transform_edt(mask))


def fractal(rng: np.random.Generator, n: int, beta: float = 2.0, coarsest: float = 1.0) -> np.ndarray:
    """Gaussian field float32 [n, n], zero mean, unit deviation, amplitude spectrum f**-beta.

    coarsest: longest wavelength as a share of n. Cropped from a larger torus, so opposite edges do not match.
    """
    m = cast(int, fft.next_fast_len(int(n * 1.25)))
    spectrum = fft.rfft2(rng.standard_normal((m, m), dtype=np.float32))
    spectrum *= _power_law(m, beta, 1.0 / (coarsest * n))
    field = np.asarray(fft.irfft2(spectrum, s=(m, m)))[:n, :n]
    return ((field - field.mean()) / (field.std() + 1e-12)).astype(np.float32)


def blobs(rng: np.random.Generator, n: int, size: float) -> np.ndarray:
    """Gaussian field float32 [n, n] of unit deviation, correlated over `size` pixels."""
    field = ndimage.gaussian_filter(rng.standard_normal((n, n), dtype=np.float32), size, mode="wrap")
    return field / (field.std() + 1e-12)


def along(n: int, direction: tuple[float, float]) -> np.ndarray:
    """Signed distance in pixels of every pixel from the grid's centre along a (row, column) unit vector."""
    x = np.arange(n, dtype=np.float32) - (n - 1) / 2
    return x[:, None] * np.float32(direction[0]) + x[None, :] * np.float32(direction[1])


def heading_vector(heading_deg: float) -> tuple[float, float]:
    """Unit vector (row, column) of a heading, clockwise from the top of the image."""
    a = np.deg2rad(heading_deg)
    return float(-np.cos(a)), float(np.sin(a))


def shift(field: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """The field moved by whole pixels; the edge is repeated."""
    n, m = field.shape
    r = np.clip(np.arange(n) - rows, 0, n - 1)
    c = np.clip(np.arange(m) - cols, 0, m - 1)
    return field[r[:, None], c[None, :]]
