"""The split on the ground: no held-out tile shares ground with a training tile, whatever the scenes look like."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform as warp

from corpus.ingest.ground import near_pairs
from corpus.ingest.ingest import IngestConfig, cut_scenes
from corpus.ingest.split import _choose, split_by_place
from support.delivered import GRID, Affine, power, put

TILE_M = 1280.0


def tiles_of(frames, crs="EPSG:32633", side=4):
    """Corners on the map in metres [tiles, 4, 2], and in degrees, of frames of side x side tiles at (east, north)."""
    at = [
        (east + col * TILE_M, north + row * TILE_M)
        for east, north in frames
        for row in range(side)
        for col in range(side)
    ]
    corners = np.array([[(x, y), (x + TILE_M, y), (x + TILE_M, y + TILE_M), (x, y + TILE_M)] for x, y in at])
    lons, lats = warp(crs, "EPSG:4326", corners[..., 0].ravel().tolist(), corners[..., 1].ravel().tolist())
    scene_of = np.repeat(np.arange(len(frames)), side * side)
    return corners, np.stack([lons, lats], -1).reshape(corners.shape), scene_of


def sides_of(degrees, scene_of, share=0.2, seed=0, distance_m=0.0):
    return np.array(split_by_place(degrees, scene_of, degrees.mean(axis=1), share, seed, distance_m))


def nearest_m(corners, sides):
    """Smallest distance from a held-out to a training tile, and the largest area that two share, on the map."""
    polygons = shapely.polygons(corners)
    held, train = polygons[sides == "held_out"], polygons[sides == "train"]
    distances = shapely.distance(held[:, None], train[None])
    shared = shapely.area(shapely.intersection(held[:, None], train[None]))
    return float(distances.min()), float(shared.max())


LAYOUTS = {
    "frames that overlap by 4 %": [(400000, 5300000 - 5120 * 0.96 * k) for k in range(6)],
    "a chain of frames that overlap by a third": [(400000 + 900 * k, 5300000 - 3400 * k) for k in range(8)],
    "one site at four dates, a little aside": [(400000 + 210 * k, 5300000 - 150 * k) for k in range(4)],
    "two sites at three dates": [(400000 + 70 * k + 20000 * s, 5300000) for s in range(2) for k in range(3)],
    "a large place and a small one": [*[(400000 + 2000 * k, 5300000) for k in range(9)], (500000, 5200000)],
}


@pytest.mark.parametrize("distance_m", [0.0, 500.0, 1500.0])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("seed", range(3))
def test_no_held_out_tile_is_near_a_training_tile(layout, seed, distance_m):
    corners, degrees, scene_of = tiles_of(LAYOUTS[layout])
    sides = sides_of(degrees, scene_of, seed=seed, distance_m=distance_m)
    if "held_out" not in sides:
        pytest.fail("nothing is held out")
    distance, shared = nearest_m(corners, sides)
    assert shared < 1e-3 * TILE_M**2
    assert distance >= distance_m * 0.998
    assert (sides == "train").sum() >= (sides == "held_out").sum() * 0.9
    assert 0.05 < (sides == "held_out").mean() <= 0.5


@given(
    st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=6),
    st.integers(0, 9),
    st.sampled_from([0.0, 700.0]),
    st.sampled_from([0.1, 0.2, 0.4]),
)
@settings(max_examples=60, deadline=None)
def test_of_any_frames_no_held_out_tile_is_near_a_training_tile(places, seed, distance_m, share):
    corners, degrees, scene_of = tiles_of([(400000 + 610 * x, 5300000 + 610 * y) for x, y in places], side=3)
    sides = sides_of(degrees, scene_of, share, seed, distance_m)
    assert "train" in sides
    if "held_out" in sides:
        distance, shared = nearest_m(corners, sides)
        assert shared < 1e-3 * TILE_M**2
        assert distance >= distance_m * 0.998
    else:
        assert "left_out" not in sides


def test_what_is_left_out_is_no_more_than_lies_at_the_line():
    _, degrees, scene_of = tiles_of(LAYOUTS["one site at four dates, a little aside"])
    sides = sides_of(degrees, scene_of)
    assert (sides == "left_out").sum() <= 16


def test_the_same_ground_at_every_date_cannot_be_cut():
    _, degrees, scene_of = tiles_of([(400000, 5300000)] * 5, side=1)
    assert set(sides_of(degrees, scene_of)) == {"train"}


@pytest.mark.parametrize(("crs", "frame"), [("EPSG:3413", (-2560, -2560)), ("EPSG:32601", (166000, 0))])
def test_polygons_are_compared_at_the_pole_and_across_180_degrees(crs, frame):
    _, degrees, _ = tiles_of([frame, (frame[0] + 640, frame[1])], crs, side=2)
    pairs = {tuple(pair) for pair in near_pairs(degrees).tolist()}
    # Each tile overlaps its twin by half, and the one beside the twin by half.
    assert pairs == {(0, 4), (1, 4), (1, 5), (2, 6), (3, 6), (3, 7)}


def test_distances_are_metres_on_the_ground():
    _, degrees, _ = tiles_of([(400000, 5300000), (400000 + TILE_M + 1000, 5300000)], side=1)
    assert len(near_pairs(degrees, 990)) == 0
    assert len(near_pairs(degrees, 1010)) == 1


def test_tiles_that_were_left_out_leave_nothing_behind(tmp_path):
    for k in range(4):
        place = Affine.translation(210 * k, 150 * k) @ GRID
        put(tmp_path / "in" / f"S1A_2020010{k + 1}T000000.tif", power(k, 512), transform=place)
    report = cut_scenes(tmp_path / "in", tmp_path / "out", IngestConfig())
    assert report.left_out > 0
    assert report.held_out > 0
    assert report.tiles + report.left_out == 64
    assert len(list((tmp_path / "out" / "tiles").rglob("*.tif"))) == report.tiles == report.table.num_rows
    assert sum(record.tiles for record in report.scenes) == report.tiles
    assert sum(record.tiles_left_out for record in report.scenes) == report.left_out


def chosen_one_by_one(place, centres, wanted, seed):
    """The places that are held out, as a loop over all tiles for every place finds them."""
    names = {}
    for number in np.unique(place):
        lon, lat = centres[place == number].mean(axis=0)
        names[int(number)] = hashlib.sha256(f"{seed} {lon:.4f} {lat:.4f}".encode()).digest()
    held, chosen = 0, []
    for number in sorted(names, key=names.__getitem__)[:-1]:
        size = int((place == number).sum())
        if held >= wanted or (chosen and held + size - wanted > wanted - held):
            continue
        chosen.append(number)
        held += size
    return chosen


@given(st.integers(0, 2**32), st.integers(1, 60), st.integers(1, 12), st.floats(0, 30))
def test_places_are_chosen_as_a_loop_over_them_would(seed, tiles, places, wanted):
    generator = np.random.default_rng(seed)
    place, centres = generator.integers(places, size=tiles), generator.uniform(-80, 80, (tiles, 2))
    assert _choose(place, centres, wanted, seed) == chosen_one_by_one(place, centres, wanted, seed)
