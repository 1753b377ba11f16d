"""Levels of scenes: the median and the spread of what a scene holds, wherever in it that lies."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio

from corpus.geotiff.patches import window_at
from corpus.ingest.config import IngestConfig
from corpus.ingest.ingest import inspect_scenes
from corpus.ingest.spread import Spread
from support.delivered import GRID, UTM, decibels, power


def sparse(path: Path, row: int, column: int, pixels: np.ndarray) -> None:
    """A scene of 4096 x 4096 pixels of which 512 x 512 were ever written."""
    path.parent.mkdir()
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=2,
        height=4096,
        width=4096,
        dtype="float32",
        crs=UTM,
        transform=GRID,
        SPARSE_OK="TRUE",
        tiled=True,
        blockxsize=512,
        blockysize=512,
    ) as file:
        file.descriptions = ("VV", "VH")
        file.write(pixels, window=window_at(row, column, 512, 512))


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1536, 2560)])
def test_the_level_of_a_sparse_scene_is_that_of_all_it_holds(tmp_path, row, column):
    sparse(tmp_path / "in" / "s.tif", row, column, power(side=512))
    [record] = inspect_scenes(tmp_path / "in", IngestConfig(tile_px=256)).records
    for name, truth in zip(("VV", "VH"), decibels(power(side=512)), strict=True):
        assert record.median_db[name] == pytest.approx(np.median(truth), abs=0.01)
        assert record.std_db[name] == pytest.approx(truth.std(), abs=0.01)


def test_the_spread_of_few_values_is_exact_and_that_of_many_is_near():
    rng = np.random.default_rng(0)
    windows = [rng.normal(level, 3, (2, 64, 64)) for level in np.linspace(-20, -10, 300)]
    for window in windows:
        window[1, :, :7] = np.nan
    exact, thinned = Spread(2), Spread(2, most=20_000)
    for window in windows:
        exact.add(window)
        thinned.add(window)
    values = [np.concatenate([window[band].ravel() for window in windows]) for band in range(2)]
    assert exact.seen == thinned.seen == np.isfinite(values[1]).sum()
    for spread, within in ((exact, 1e-4), (thinned, 0.1)):
        medians, deviations = spread.statistics()
        assert medians == pytest.approx([np.nanmedian(each) for each in values], abs=within)
        assert deviations == pytest.approx([np.nanstd(each) for each in values], abs=within)


def test_the_spread_of_nothing_is_not_a_number():
    spread = Spread(1)
    spread.add(np.full((1, 8, 8), np.nan))
    assert np.isnan(spread.statistics()).all()
