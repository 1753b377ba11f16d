"""The ground plan of a scene, in pixels of the sensor's grid plus a margin, before the radar looks at it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from corpus.simulate.fields import heading_vector

LAND_COVER = (
    "sea",
    "lake",
    "river",
    "beach",
    "cropland",
    "grass",
    "forest",
    "bare",
    "urban_ground",
    "paved",
    "road",
    "runway",
    "building",
)
SEA, LAKE, RIVER, BEACH, CROPLAND, GRASS, FOREST, BARE, URBAN, PAVED, ROAD, RUNWAY, BUILDING = range(13)
ZONES = ("water", "natural", "cropland", "residential", "commercial_core", "industrial", "port", "airport")
Z_WATER, Z_NATURAL, Z_CROPLAND, Z_RESIDENTIAL, Z_COMMERCIAL, Z_INDUSTRIAL, Z_PORT, Z_AIRPORT = range(8)
FINE_GSD_M = 2.0
"""Pixels smaller than this, in m, show single houses."""


@dataclass
class Canvas:
    """Arrays [n, n], n = size + 2 * pad; rows go south, columns east; positions in canvas pixels."""

    size: int
    pad: int
    gsd_m: float
    cover: np.ndarray = field(init=False)  # uint8, index into LAND_COVER
    zone: np.ndarray = field(init=False)  # uint8, index into ZONES
    rural: np.ndarray = field(init=False)  # uint8, the cover before roads and buildings came
    ground_m: np.ndarray = field(init=False)  # float32, terrain height
    roof: np.ndarray = field(init=False)  # float32, share of the pixel under roofs
    height_m: np.ndarray = field(init=False)  # float32, height of what stands on the ground
    texture_db: np.ndarray = field(init=False)  # float32, offset to the class's backscatter
    cross_db: np.ndarray = field(init=False)  # float32, further offset where cross-polarised
    roof_db: np.ndarray = field(init=False)  # float32, offset to the backscatter of roofs
    # float64 [k, 5]: row, col, height_m, RCS m2, cross-pol dB
    points: list[np.ndarray] = field(default_factory=list)
    diffuse: list[np.ndarray] = field(default_factory=list)  # the same five columns, summed without phase
    objects: list = field(default_factory=list)
    roads: list[dict] = field(default_factory=list)
    # each target and its points: the imaging sets how strong they are
    peaks: list[tuple] = field(default_factory=list)
    axes: dict = field(default_factory=dict)  # headings in degrees and spacings that several drawers share

    def __post_init__(self) -> None:
        shape = (self.n, self.n)
        self.cover = np.full(shape, GRASS, np.uint8)
        self.zone = np.full(shape, Z_NATURAL, np.uint8)
        for name in ("ground_m", "roof", "height_m", "texture_db", "cross_db", "roof_db"):
            setattr(self, name, np.zeros(shape, np.float32))

    @property
    def n(self) -> int:
        """Width and height in pixels, margin included."""
        return self.size + 2 * self.pad

    @property
    def extent_m(self) -> float:
        """Width and height of the tile in m, without the margin."""
        return self.size * self.gsd_m

    @property
    def is_fine(self) -> bool:
        """Whether pixels are small enough for single houses."""
        return self.gsd_m < FINE_GSD_M

    def crop(self, array: np.ndarray) -> np.ndarray:
        """The part of [..., n, n] inside the tile."""
        p = self.pad
        return array[..., p : p + self.size, p : p + self.size]

    def water(self) -> np.ndarray:
        """Mask bool [n, n] of sea, lakes and rivers."""
        return self.cover <= RIVER


def rectangle_samples(rows, cols, lengths, widths, headings_deg, step):
    """Points that fill rectangles. All in pixels; arrays [k].

    Returns (which [m], row [m], col [m], area [m]): each sample's rectangle, position and area.
    """
    nl = np.maximum(1, np.ceil(lengths / step)).astype(np.int64)
    nw = np.maximum(1, np.ceil(widths / step)).astype(np.int64)
    per = nl * nw
    which = np.repeat(np.arange(len(per)), per)
    k = np.arange(per.sum()) - np.repeat(np.cumsum(per) - per, per)
    u = ((k % nl[which] + 0.5) / nl[which] - 0.5) * lengths[which]
    v = ((k // nl[which] + 0.5) / nw[which] - 0.5) * widths[which]
    a = np.deg2rad(headings_deg)[which]
    row = rows[which] - u * np.cos(a) + v * np.sin(a)
    col = cols[which] + u * np.sin(a) + v * np.cos(a)
    return which, row, col, (lengths * widths / per)[which]


def splat(n: int, rows, cols, values) -> np.ndarray:
    """Sums values at sub-pixel positions into float32 [n, n], shared bilinearly; outside ones are lost."""
    r0 = np.floor(rows).astype(np.int64)
    c0 = np.floor(cols).astype(np.int64)
    fr, fc = rows - r0, cols - c0
    out = np.zeros(n * n)
    for dr, dc, w in ((0, 0, (1 - fr) * (1 - fc)), (0, 1, (1 - fr) * fc), (1, 0, fr * (1 - fc)), (1, 1, fr * fc)):
        r, c = r0 + dr, c0 + dc
        ok = (r >= 0) & (r < n) & (c >= 0) & (c < n)
        out += np.bincount(r[ok] * n + c[ok], weights=(values * w)[ok], minlength=n * n)
    return out.reshape(n, n).astype(np.float32)


def pixels(n: int, rows, cols):
    """Integer pixel indices of positions, and which of them lie on the canvas."""
    r, c = np.rint(rows).astype(np.int64), np.rint(cols).astype(np.int64)
    return r, c, (r >= 0) & (r < n) & (c >= 0) & (c < n)


def fill_rectangle(canvas: Canvas, row, col, length_m, width_m, heading_deg) -> np.ndarray:
    """Mask bool [n, n] of one rectangle; position in pixels, sides in m, length along the heading."""
    x = np.arange(canvas.n, dtype=np.float32)
    hr, hc = heading_vector(heading_deg)
    dr, dc = (x - row)[:, None], (x - col)[None, :]
    u = dr * hr + dc * hc
    v = -dr * hc + dc * hr
    return (np.abs(u) <= length_m / 2 / canvas.gsd_m) & (np.abs(v) <= width_m / 2 / canvas.gsd_m)
