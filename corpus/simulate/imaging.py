"""From the ground plan to the image: side-looking geometry, impulse response, speckle, noise."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import fft, ndimage

from corpus.simulate import canvas as cv
from corpus.simulate.backscatter import CROSS_POLARISATIONS, class_table
from corpus.simulate.canvas import Canvas, splat
from corpus.simulate.fields import along, fractal, heading_vector, shift
from corpus.simulate.recipe import PROTOTYPES, Recipe
from corpus.simulate.sensor import Acquisition

_SWELL_M = (110.0, 260.0)  # from crest to crest


def shadow(height_m: np.ndarray, acquisition: Acquisition, gsd_m: float) -> np.ndarray:
    """Mask bool [n, n] of what the beam does not reach, for surface heights in m."""
    lr, lc = acquisition.look
    span = float(np.ptp(height_m))
    steps = min(int(np.ceil(span * acquisition.tan_incidence / gsd_m)), height_m.shape[0])
    hidden = np.zeros(height_m.shape, bool)
    drop = gsd_m / acquisition.tan_incidence
    for k in range(1, steps + 1):  # the ray towards the sensor rises by `drop` per pixel
        nearer = shift(height_m, round(k * lr), round(k * lc))
        hidden |= nearer - k * drop > height_m + 0.3 * drop
    return hidden


def slope_gain(ground_m: np.ndarray, acquisition: Acquisition, gsd_m: float) -> np.ndarray:
    """Factor float32 [n, n] on sigma zero: slopes that face the radar are foreshortened and bright."""
    lr, lc = acquisition.look
    rows, cols = np.gradient(ground_m, gsd_m)
    up = np.arctan(rows * lr + cols * lc)  # uphill away from the sensor: faces it
    incidence = np.deg2rad(acquisition.incidence_deg)
    local = incidence - up
    gain = np.sin(incidence) / np.sin(np.clip(local, np.deg2rad(8), None))
    gain = gain * np.clip(np.cos(local), 0.0, None) / np.cos(incidence)
    return np.clip(gain, 1e-3, 8.0).astype(np.float32)


def reflectivity(
    c: Canvas,
    acquisition: Acquisition,
    wind_m_s: float,
    swell_db: np.ndarray,
    recipe: Recipe = PROTOTYPES,
    slopes: float = 1.0,
) -> list[np.ndarray]:
    """Expected sigma zero float32 [n, n] per polarisation, without the dominant points, in image geometry.

    slopes: exponent of the brightness of slopes: 1 as they are seen, less where a product's terrain correction took
    some of it away.
    """
    g, (lr, lc), tan = c.gsd_m, acquisition.look, acquisition.tan_incidence
    relief = c.ground_m.max() > 0.05 * g
    gain = slope_gain(c.ground_m, acquisition, g) ** np.float32(slopes) if relief else np.float32(1.0)
    stands = c.height_m * np.minimum(c.roof * 1.2, 1.0)
    lit = ~shadow(c.ground_m + stands, acquisition, g)
    # The product is geocoded with a coarse elevation model: only what it misses moves in the image.
    missed = c.ground_m - ndimage.gaussian_filter(c.ground_m, 0.08 * c.size) if relief else np.zeros_like(c.ground_m)
    rows, cols = np.mgrid[0 : c.n, 0 : c.n].astype(np.float32)
    base_r, base_c = rows - lr * missed / tan / g, cols - lc * missed / tan / g
    top_r, top_c = base_r - lr * c.height_m / tan / g, base_c - lc * c.height_m / tan / g
    texture = 10.0 ** ((c.texture_db + np.where(c.water(), swell_db, 0.0)) / 10.0)
    diffuse = _placed(c, acquisition, c.diffuse, missed)
    images, own_cross = [], bool(c.cross_db.any())
    for polarisation in acquisition.sensor.polarisations:
        table = class_table(recipe.band(acquisition.sensor.band), polarisation, acquisition.incidence_deg, wind_m_s)
        own = 10.0 ** (c.cross_db / 10.0) if own_cross and polarisation in CROSS_POLARISATIONS else 1.0
        ground = table[c.cover] * texture * own * gain * (1.0 - c.roof) * lit
        roofs = table[cv.BUILDING] * 10.0 ** (c.roof_db / 10.0) * c.roof * gain * (lit | (c.height_m > 0))
        image = splat(c.n, base_r.ravel(), base_c.ravel(), ground.ravel()) if relief else ground.astype(np.float32)
        up = c.roof > 0
        if up.any():
            image = image + splat(c.n, top_r[up], top_c[up], roofs[up])
        images.append(image + _energy(c, diffuse, polarisation))
    return images


def swell(c: Canvas, rough: bool, rng: np.random.Generator, in_metres: bool = False) -> np.ndarray:
    """Modulation of the water's backscatter float32 [n, n] in dB: crests of long waves where the sea is rough.

    Prototypes show crests in every rough water. In metres they are weak, and only the sea has them.
    """
    if in_metres:
        gusts = 0.7 * fractal(rng, c.n, 1.6, 0.6)
        if not rough:
            return gusts
        phase = along(c.n, heading_vector(rng.uniform(0, 360))) * c.gsd_m / rng.uniform(*_SWELL_M)
        crests = np.sin(2 * np.pi * (phase + 0.4 * fractal(rng, c.n, 2.0, 0.5)))
        return (gusts + np.where(c.cover == cv.SEA, 0.8 * crests, 0.0)).astype(np.float32)
    if not rough:
        return 0.2 * fractal(rng, c.n, 1.0, coarsest=0.3)
    wavelength = rng.uniform(0.08, 0.11) * c.size
    phase = along(c.n, heading_vector(rng.uniform(0, 360))) / wavelength + 0.25 * fractal(rng, c.n, 2.2, 0.6)
    groups = 1.0 + 0.35 * fractal(rng, c.n, 2.0, 0.3)
    return (3.0 * groups * np.sin(2 * np.pi * phase)).astype(np.float32)


def _placed(
    c: Canvas, acquisition: Acquisition, parts: list[np.ndarray], missed: np.ndarray | None = None
) -> np.ndarray:
    """Scatterers in image geometry: moved towards the sensor by their height."""
    if not parts:
        return np.zeros((0, 5))
    s = np.concatenate(parts)
    height = s[:, 2].copy()
    if missed is not None:
        r = np.clip(np.rint(s[:, 0]).astype(int), 0, c.n - 1)
        k = np.clip(np.rint(s[:, 1]).astype(int), 0, c.n - 1)
        height += missed[r, k]
    s[:, 0] -= acquisition.look[0] * height / acquisition.tan_incidence / c.gsd_m
    s[:, 1] -= acquisition.look[1] * height / acquisition.tan_incidence / c.gsd_m
    return s


def _sigma(c: Canvas, s: np.ndarray, polarisation: str) -> np.ndarray:
    cross = 10.0 ** (s[:, 4] / 10.0) if polarisation in CROSS_POLARISATIONS else 1.0
    return s[:, 3] * cross / c.gsd_m**2


def _energy(c: Canvas, s: np.ndarray, polarisation: str) -> np.ndarray:
    return splat(c.n, s[:, 0], s[:, 1], _sigma(c, s, polarisation))


def transfer(c: Canvas, acquisition: Acquisition) -> np.ndarray:
    """Spectrum float32 [n, n] of the impulse response along range and azimuth, unit energy.

    A weighted sinc in each direction: its cross of sidelobes lies along the look direction and across it.
    """
    f = fft.fftfreq(c.n).astype(np.float32)
    lr, lc = acquisition.look
    alpha = acquisition.hamming
    # The -3 dB width of a sinc is 0.886 / bandwidth; weighting widens it.
    bandwidth = (0.886 + 0.9 * (1.0 - alpha)) * c.gsd_m / acquisition.sensor.resolution_m
    h = np.ones((c.n, c.n), np.float32)
    for u in (f[:, None] * lr + f[None, :] * lc, -f[:, None] * lc + f[None, :] * lr):
        h *= np.where(np.abs(u) <= bandwidth / 2, alpha + (1 - alpha) * np.cos(2 * np.pi * u / bandwidth), 0.0)
    return h / np.sqrt((h**2).mean())


def point_amplitudes(c: Canvas, acquisition: Acquisition, polarisation: str, rng: np.random.Generator) -> np.ndarray:
    """Complex field complex64 [n, n] of the dominant scatterers, with random phases."""
    s = _placed(c, acquisition, c.points)
    phase = rng.uniform(0, 2 * np.pi, len(s))
    amplitude = np.sqrt(_sigma(c, s, polarisation))
    inside = (s[:, 0] >= 0) & (s[:, 0] < c.n - 1) & (s[:, 1] >= 0) & (s[:, 1] < c.n - 1)
    rows, cols = s[inside, 0], s[inside, 1]
    values = (amplitude * np.exp(1j * phase))[inside]
    field = np.zeros((c.n, c.n), np.complex64)
    np.add.at(field, (np.rint(rows).astype(int), np.rint(cols).astype(int)), values)
    return field


def looks_weights(looks: float) -> np.ndarray:
    """Weights of independent looks whose sum is 1 and whose equivalent number of looks is `looks` (>= 1)."""
    whole = int(np.ceil(looks - 1e-9))
    if whole == 1 or abs(whole - looks) < 1e-9:
        return np.full(whole, 1.0 / whole)
    # (m + w)^2 / (m + w^2) = looks with m = whole - 1 full looks and one of weight w.
    m = whole - 1
    w = (m - np.sqrt(m * m - (looks - 1) * (looks * m - m * m))) / (looks - 1)
    weights = np.append(np.ones(m), w)
    return weights / weights.sum()


def focus(
    mean: np.ndarray, points: np.ndarray, h: np.ndarray, nesz: float, looks: float, rng: np.random.Generator
) -> np.ndarray:
    """Intensity float32 [n, n]: speckled, band-limited, with sidelobes of the points and the noise floor."""
    amplitude = np.sqrt(np.maximum(mean, 0) + nesz).astype(np.float32) * np.float32(np.sqrt(0.5))
    image = np.zeros(mean.shape, np.float32)
    for weight in looks_weights(looks):
        noise = rng.standard_normal((2, *mean.shape), dtype=np.float32)
        field = (noise[0] + 1j * noise[1]) * amplitude + points
        focused: Any = fft.ifft2(fft.fft2(field) * h)
        image += np.float32(weight) * (focused.real**2 + focused.imag**2)
    return image


def resample(image: np.ndarray, offset: tuple[float, float]) -> np.ndarray:
    """An image, real [H, W], read between its pixels by bilinear interpolation, as a product on a map's grid is.

    Args:
        image: power; its rim is repeated.
        offset: of the new grid in rows and columns, -1 to 1.
    """
    for axis, shift_px in enumerate(offset):
        share, last = np.float32(abs(shift_px)), image.shape[axis] - 1
        beside = np.clip(np.arange(last + 1) + (1 if shift_px > 0 else -1), 0, last)
        image = (1 - share) * image + share * np.take(image, beside, axis)
    return image
