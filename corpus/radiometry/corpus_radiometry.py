"""The radiometry of a corpus, measured on windows of its tiles, and the distance between that of two corpora."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from scipy.stats import wasserstein_distance

from corpus.geotiff.model_input import CROSS_POLARISED
from corpus.geotiff.read import read_backscatter
from corpus.radiometry.statistics import (
    autocorrelation,
    correlation,
    equivalent_looks,
    histogram_distance_db,
    patch_looks,
    quantiles_db,
)
from corpus.tiles import CorpusError, read_tiles, tile_path

BOTH: Final = "both"
"""Stands for the polarisations together, beside the name of each."""
MEASURES: Final = {
    "level_db": "histogram, dB",
    "shape_db": "histogram without medians, dB",
    "autocorrelation": "autocorrelation",
    "looks_db": "looks, ratio in dB",
    "correlation": "correlation of VV and VH",
}
"""Name of a distance -> what it is, in words. All are 0 for equal corpora and have no sign."""


@dataclass
class BandRadiometry:
    """What was measured of the windows of one polarisation.

    Attributes:
        quantiles_db: of each window, float64 [QUANTILES] in dB.
        curves: of each window, its autocorrelation, float64 [LAGS_M].
        looks, heterogeneity: of each window, float64 [patches].
        calibrated: whether every tile's decibels are sigma nought.
    """

    quantiles_db: list[np.ndarray] = field(default_factory=list)
    curves: list[np.ndarray] = field(default_factory=list)
    looks: list[np.ndarray] = field(default_factory=list)
    heterogeneity: list[np.ndarray] = field(default_factory=list)
    calibrated: bool = True

    @property
    def without_median(self) -> np.ndarray:
        """Quantiles in dB over each window's median, float64 [windows, QUANTILES]."""
        found = np.stack(self.quantiles_db)
        return found - np.median(found, axis=1, keepdims=True)

    @property
    def curve(self) -> np.ndarray:
        """Mean autocorrelation over the windows that are not constant, float64 [LAGS_M]; NaN at lags too long."""
        curves = np.stack(self.curves)
        known = np.isfinite(curves)
        total, count = np.where(known, curves, 0.0).sum(axis=0), known.sum(axis=0)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    @property
    def equivalent_looks(self) -> float:
        """Equivalent number of looks of the most homogeneous patches."""
        return equivalent_looks(np.concatenate(self.looks), np.concatenate(self.heterogeneity))

    def summary(self) -> dict[str, float]:
        """Numbers that describe the band: mean and deviation in dB, looks, and autocorrelation at 20 and 80 m."""
        pooled, curve = np.stack(self.quantiles_db), self.curve
        return {
            "windows": len(pooled),
            "mean_db": float(pooled.mean()),
            "deviation_db": float(pooled.std()),
            "deviation_in_window_db": float(pooled.std(axis=1).mean()),
            "looks": self.equivalent_looks,
            "autocorrelation_20_m": float(curve[1]),
            "autocorrelation_80_m": float(curve[5]),
        }


@dataclass
class CorpusRadiometry:
    """Radiometry of a corpus.

    Attributes:
        bands: polarisation -> what was measured of it.
        correlations: of each window with a co- and a cross-polarised band, their correlation.
    """

    bands: dict[str, BandRadiometry] = field(default_factory=dict)
    correlations: list[float] = field(default_factory=list)

    @property
    def mean_correlation(self) -> float | None:
        """Mean of the correlations; None where there are none."""
        known = np.array(self.correlations)
        known = known[np.isfinite(known)]
        return float(known.mean()) if len(known) else None


def measure_corpus(
    corpus_dir: Path, window_px: int, *, tile_ids: Collection[str] | None = None, most: int = 2000
) -> CorpusRadiometry:
    """Measure the radiometry of a corpus.

    Args:
        corpus_dir: directory of the corpus.
        window_px: side of the windows that tiles are cut into from their upper left corner, pixels.
        tile_ids: only these tiles; None: all.
        most: tiles that are read; of more, evenly spread ones.

    Raises:
        CorpusError: there is no corpus, no tile is asked for, or all tiles are smaller than a window.
        TileError: a tile cannot be read.
    """
    rows = [row for row in read_tiles(corpus_dir).to_pylist() if tile_ids is None or row["tile_id"] in tile_ids]
    rows = [rows[index] for index in np.unique(np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(int))]
    found = CorpusRadiometry()
    for row in rows:
        _measure_tile(found, tile_path(corpus_dir, row["path"]), row["gsd_m"], window_px)
    if not found.bands:
        raise CorpusError(
            f"No tile of {corpus_dir} holds a window of {window_px} pixels. Give a smaller one with --window."
        )
    return found


def _measure_tile(found: CorpusRadiometry, path: Path, gsd_m: float, window_px: int) -> None:
    tile = read_backscatter(path)
    _, height, width = tile.array.shape
    for top in range(0, height - window_px + 1, window_px):
        for left in range(0, width - window_px + 1, window_px):
            window = tile.array[:, top : top + window_px, left : left + window_px]
            for polarisation, decibels in zip(tile.polarisations, window, strict=True):
                band = found.bands.setdefault(polarisation, BandRadiometry())
                band.calibrated &= tile.calibrated
                band.quantiles_db.append(quantiles_db(decibels))
                band.curves.append(autocorrelation(decibels, gsd_m))
                looks, heterogeneity = patch_looks(decibels)
                band.looks.append(looks)
                band.heterogeneity.append(heterogeneity)
            cross = [index for index, name in enumerate(tile.polarisations) if name in CROSS_POLARISED]
            if cross and len(window) > 1:
                found.correlations.append(correlation(window[1 - cross[0]], window[cross[0]]))


def distances(first: CorpusRadiometry, second: CorpusRadiometry) -> dict[str, dict[str, float]]:
    """Distances between two corpora.

    Returns:
        Polarisation -> name of MEASURES -> distance; BOTH has that of the correlation. A distance that cannot be
        measured is left out: of polarisations that one lacks, and of the level where it is known up to a constant.
    """
    result: dict[str, dict[str, float]] = {}
    for name in sorted(set(first.bands) & set(second.bands)):
        a, b = first.bands[name], second.bands[name]
        of_band = {}
        if a.calibrated and b.calibrated:
            of_band["level_db"] = histogram_distance_db(np.stack(a.quantiles_db), np.stack(b.quantiles_db))
        of_band["shape_db"] = histogram_distance_db(a.without_median, b.without_median)
        of_band["autocorrelation"] = float(np.nanmean(np.abs(a.curve - b.curve)))
        of_band["looks_db"] = float(abs(10 * np.log10(a.equivalent_looks / b.equivalent_looks)))
        result[name] = of_band
    pairs = [np.array(each.correlations)[np.isfinite(each.correlations)] for each in (first, second)]
    if result and all(len(each) for each in pairs):
        result[BOTH] = {"correlation": float(wasserstein_distance(*pairs))}
    return result
