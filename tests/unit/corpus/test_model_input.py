"""The input convention: fixed levels, one polarisation in both channels, and windows of the trained extent."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

from corpus.geotiff.backscatter import Backscatter
from corpus.geotiff.model_input import REFERENCE_DB, SCALE_DB, Level, references, to_model_image
from corpus.geotiff.read import model_image, model_images, read_backscatter, tile_position, window_positions
from corpus.geotiff.sampling import Sampling, Window, centre_of, image_gsd_m, windows_of
from corpus.ingest.ingest import IngestConfig, cut_scenes
from corpus.tiles import read_tiles
from support.geotiffs import NORTH_UP, write_geotiff

CO, CROSS = REFERENCE_DB["co"], REFERENCE_DB["cross"]
SIMULATED = Sampling(image_size_px=128, gsd_m=(1.0, 5.0, 10.0))


def test_an_image_is_what_is_computed_by_hand():
    array = np.array([[[-22, -12, -2], [-90, 80, np.nan]]], np.float32)
    both = np.concatenate([array - 7, array])  # VH, VV
    image = to_model_image(both, ("VH", "VV"), [CROSS, CO])
    assert image.dtype == np.float16
    np.testing.assert_allclose(image[0], [[-1, 0, 1], [-3, 5, 0]], atol=1e-3)
    np.testing.assert_allclose(image[1], [[-1, 0, 1], [-3, 5, 0]], atol=1e-3)


@pytest.mark.parametrize("name", ["VV", "HH", "VH", "HV", "unknown"])
def test_a_polarisation_that_is_alone_fills_both_channels_against_its_own_reference(name):
    tile = Backscatter(np.full((1, 4, 4), -14, np.float32), (name,))
    [image] = tile.model_images([Window(row=0, column=0, side=4)], 4, tile.references()[0])
    kind = "cross" if name in ("VH", "HV") else "co"
    np.testing.assert_allclose(image, (-14 - REFERENCE_DB[kind]) / SCALE_DB[kind], atol=1e-3)


def test_a_calm_sea_stays_darker_than_a_town():
    sea, town = (Backscatter(np.full((1, 8, 8), level, np.float32), ("VV",)) for level in (-25, -6))
    window = [Window(row=0, column=0, side=8)]
    assert (
        sea.model_images(window, 8, sea.references()[0]).max() + 1.5
        < town.model_images(window, 8, town.references()[0]).min()
    )


def test_the_level_comes_from_calibration_else_from_the_acquisition_else_from_the_tile():
    array = np.array([[[30, 40, 50]]], np.float32)
    assert references(array, ("VH",), calibrated=True) == ([CROSS], Level.ABSOLUTE)
    assert references(array, ("VH",), calibrated=False, level_db=[33.5]) == ([33.5], Level.SCENES)
    assert references(array, ("VH",), calibrated=False) == ([40.0], Level.TILE)


def dn(median: float, side: int = 64, kind=np.uint16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(median, median / 10, (1, side, side)).clip(1).astype(kind)


@pytest.mark.parametrize(
    ("pixels", "tags", "calibrated"),
    [
        (dn(200), {"CALIBRATION_DB": "60"}, True),
        (dn(200), {}, False),
        (dn(2), {}, False),  # 6 dB could be sigma nought, but nothing says that it is
        (dn(100, kind=np.uint8), {"CALIBRATION_DB": "60"}, False),
        (dn(200).astype(np.float32), {"UNITS": "amplitude"}, False),
        ((dn(200) / 1000).astype(np.float32), {"UNITS": "amplitude"}, True),
    ],
)
def test_whether_a_level_is_known(tmp_path, pixels, tags, calibrated):
    scene = write_geotiff(tmp_path / "scene.tif", pixels, descriptions=("VV",), tags=tags)
    assert read_backscatter(scene).calibrated is calibrated
    tile = write_geotiff(
        tmp_path / "tile.tif", pixels, descriptions=("VV",), tags={**tags, "SOURCE_WINDOW": "0,0,64", "SIMULATED": ""}
    )
    assert read_backscatter(tile).calibrated is calibrated


def test_scenes_of_one_acquisition_keep_their_levels_against_one_another(tmp_path):
    """Of digital numbers, the sea of one scene stays darker than the town of the next; another date is apart."""
    (tmp_path / "in").mkdir()
    for number, (name, median) in enumerate(
        [("20201107T135241_sea", 20), ("20201107T135241_town", 200), ("20201204T003507_town", 1000)]
    ):
        write_geotiff(
            tmp_path / "in" / f"S1A_IW_GRDH_1SDV_{name}_VH.tif",
            dn(median, seed=number),
            descriptions=(None,),
            transform=NORTH_UP @ Affine.translation(200 * number, 0),
        )
    cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=64, held_out_share=0))
    tiles = {row["tile_id"]: row for row in read_tiles(tmp_path / "out").to_pylist()}
    brightness = sorted(
        float(np.median(model_image(tmp_path / "out" / row["path"], level_db=row["level_db"])))
        for row in tiles.values()
    )
    assert [round(each, 1) for each in brightness] == [-1.0, 0.0, 1.0]
    assert {tuple(np.round(row["level_db"], 0)) for row in tiles.values()} == {(36.0,), (60.0,)}


def test_a_corpus_without_levels_is_read(tmp_path):
    (tmp_path / "in").mkdir()
    write_geotiff(tmp_path / "in" / "a.tif", dn(200), descriptions=("VV",), tags={"CALIBRATION_DB": "60"})
    cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig(tile_px=64, held_out_share=0))
    path = tmp_path / "out" / "tiles.parquet"
    assert read_tiles(tmp_path / "out")["level_db"].to_pylist() == [None]
    pq.write_table(pq.read_table(path).drop_columns("level_db"), path)
    assert read_tiles(tmp_path / "out")["level_db"].to_pylist() == [None]


def test_a_model_looks_at_the_finest_trained_distance_that_the_pixels_resolve():
    assert [SIMULATED.gsd_for(gsd) for gsd in (0.5, 1, 2, 8.3, 10, 12)] == [1, 1, 5, 10, 10, 10]
    assert SIMULATED.gsd_for(33.2) == pytest.approx(16.6)  # no more than twice as fine as the pixels


@pytest.mark.parametrize("gsd_m", [1, 5, 10, 10.5, 9])
def test_a_tile_of_the_trained_extent_is_looked_at_whole(gsd_m):
    assert windows_of(128, 128, gsd_m, SIMULATED) == [Window(row=0, column=0, side=128)]


def test_without_a_trained_model_a_tile_is_looked_at_whole():
    assert windows_of(512, 512, 8.3, None) == [Window(row=0, column=0, side=512)]
    assert windows_of(100, 512, 8.3, None) == [Window(row=0, column=206, side=100)]


def test_a_larger_tile_is_nine_crops_of_the_trained_extent_from_edge_to_edge():
    windows = windows_of(512, 512, 8.3, SIMULATED)
    assert len(windows) == 9
    assert {window.side for window in windows} == {154}  # 1,280 m
    assert windows[centre_of(9)] == Window(row=179, column=179, side=154)
    assert (windows[0].row, windows[-1].row + windows[-1].side) == (0, 512)


@given(st.integers(16, 3000), st.integers(16, 3000), st.floats(0.3, 60))
def test_the_windows_of_a_scene_are_inside_it_and_leave_little_out(height, width, gsd_m):
    windows = windows_of(height, width, gsd_m, SIMULATED, most=None)
    seen = np.zeros((height, width), bool)
    for window in windows:
        assert 0 <= window.row <= height - window.side
        assert 0 <= window.column <= width - window.side
        seen[window.row : window.row + window.side, window.column : window.column + window.side] = True
    assert seen.mean() > 0.6
    assert windows[0].side * gsd_m <= 1.26 * 128 * SIMULATED.gsd_for(gsd_m)


def test_crops_are_read_at_the_trained_size_and_know_where_they_lie(tmp_path):
    path = write_geotiff(tmp_path / "a.tif", dn(200, 256), descriptions=("VV",), tags={"CALIBRATION_DB": "60"})
    position = tile_position(path)
    read = model_images(path, gsd_m=position.gsd_m, size=64, sampling=Sampling(image_size_px=64, gsd_m=(20.0,)))
    assert read.images.shape == (4, 2, 64, 64)
    assert read.gsd_m == pytest.approx(20, rel=0.01)
    assert read.level is Level.ABSOLUTE
    np.testing.assert_array_equal(read.images[:, 0], read.images[:, 1])
    corners = window_positions(path, read.windows)
    assert np.mean([each.lon for each in corners]) == pytest.approx(position.lon, abs=1e-4)
    assert corners[0].lat > position.lat > corners[-1].lat


def test_a_pixel_of_an_image_is_as_large_on_the_ground_as_it_was_made():
    assert image_gsd_m(512, 512, 8.3, 128, None) == pytest.approx(33.2)  # averaged whole
    assert image_gsd_m(512, 512, 8.3, 128, SIMULATED) == pytest.approx(10, rel=0.01)
    assert image_gsd_m(128, 128, 5, 128, SIMULATED) == 5
