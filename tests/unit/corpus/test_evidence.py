"""Evidence for models that cannot look: what is measured on a tile is what is in it."""

import numpy as np
import pytest

from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.evidence import CELLS, measure
from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import Scene, simulate_scene

SCENES = SceneConfig(tiles=40)


def tile_of(scene: Scene) -> Backscatter:
    return Backscatter((10 * np.log10(scene.bands)).astype(np.float32), tuple(scene.metadata["polarisations"]))


def sea(size: int = 128, looks: float = 4.4, seed: int = 0) -> np.ndarray:
    """Linear power [1, size, size] of calm water with speckle, -20 dB."""
    return 0.01 * np.random.default_rng(seed).gamma(looks, 1 / looks, (1, size, size))


def measured(power: np.ndarray, gsd_m: float = 10.0):
    return measure(Backscatter((10 * np.log10(power)).astype(np.float32), ("VV",)), gsd_m)


@pytest.mark.parametrize(("index", "ships"), [(5, 3), (9, 3), (13, 3), (25, 0), (27, 0)])
def test_ships_at_sea_are_counted_and_measured(index, ships):
    scene = simulate_scene(SCENES, index)
    truth = scene.truth.targets
    found = measure(tile_of(scene), scene.metadata["gsd_m"])
    assert len(truth) == ships, "these scenes were chosen for what they hold"
    assert found.blobs == () if not ships else abs(len(found.blobs) - ships) <= 2
    if scene.truth.facts()["terrain"] == "open_water" and ships:
        assert abs(len(found.blobs) - ships) <= 1
        longest = max(ship.length_m for ship in truth)
        assert found.blobs[0].length_pixels * found.gsd_m == pytest.approx(longest, rel=0.25)
        for ship in truth:
            assert min(np.hypot(blob.row - ship.row, blob.column - ship.col) for blob in found.blobs) < 4


@pytest.mark.parametrize("seed", range(4))
def test_speckle_alone_is_no_blob(seed):
    assert measured(sea(seed=seed)).blobs == ()


@pytest.mark.parametrize(
    ("row", "column", "cell"), [(16, 110, "northeast"), (64, 64, "center"), (112, 20, "southwest")]
)
def test_a_planted_ship_has_its_place_and_length(row, column, cell):
    power = sea()
    power[0, row - 1 : row + 2, column - 8 : column + 8] = 1.0
    [blob] = measured(power).blobs
    assert (round(blob.row), blob.cell) == (row, cell)
    assert abs(blob.column - column) < 1
    assert blob.cell in CELLS
    assert blob.length_pixels == pytest.approx(16, abs=2)
    assert blob.contrast_db == pytest.approx(20, abs=2)
    said = measured(power).as_prompt()
    assert said["bright blobs, possible targets"] == "1"
    assert cell in said["where the blobs lie"]
    assert said["longest blob"] == f"{blob.length_pixels:.0f} pixels, {blob.length_pixels * 10:.0f} metres"


def test_a_shore_is_no_blob():
    power = sea()
    power[0, :, 80:] *= 30
    assert measured(power).blobs == ()


def test_statistics_are_those_of_the_bands():
    power = np.concatenate([sea(), 10 * sea(seed=1)])
    power[1, :32] *= 0.1
    found = measure(Backscatter((10 * np.log10(power)).astype(np.float32), ("VV", "VH")), 10.0)
    first, second = found.bands
    assert (first.polarisation, second.polarisation) == ("VV", "VH")
    assert first.median_db == pytest.approx(-20, abs=0.3)
    assert second.median_db == pytest.approx(-10, abs=0.8)
    assert first.dark_share < 0.01
    assert second.dark_share == pytest.approx(0.25, abs=0.02)
    assert first.bright_share < 0.01
    assert first.low_db < first.median_db < first.high_db


def test_missing_pixels_do_not_count():
    decibels = (10 * np.log10(sea())).astype(np.float32)
    decibels[0, :, :40] = np.nan
    found = measure(Backscatter(decibels, ("HH",)), 5.0)
    assert found.blobs == ()
    assert found.bands[0].median_db == pytest.approx(-20, abs=0.3)
