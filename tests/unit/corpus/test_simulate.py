"""Simulated corpora: determinism, files, georeferencing, split, and facts that are true of the masks."""

import hashlib
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import rasterio.warp
from pydantic import ValidationError

from corpus.cities import cities, utm_crs
from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import held_out_cities, simulate_scene
from corpus.simulate.truth import FACTS
from corpus.simulate.write import simulate_corpus, write_tile
from corpus.tiles import CorpusError
from support.file_limit import largest_file

VOCABULARY = {
    "terrain": "plain hills mountain coast open_water",
    "functionality": "residential commercial_core industrial port airport cropland natural mixed_urban open_water",
    "distribution": "none uniform central peripheral scattered linear",
    "layout": "none regular irregular",
    "boundary": "none sharp gradual",
    "building": "none sparse medium dense",
    "road": "none sparse grid highway",
    "water": "none channel lake sea",
    "target_count": "0 1 2 3 4 5 6 7 8 9",
    "target_location": "none center north northeast east southeast south southwest west northwest",
    "target_feature": "none point extended sidelobes",
    "target_size": "none small medium large",
    "target_category": "none ship aircraft",
    "target_distribution": "none single line cluster scattered",
    "target_region": "none sea harbour channel lake apron runway",
    "target_environment": "none calm_water rough_water pavement",
}
CONFIG = SceneConfig(tiles=60, seed=7)


@pytest.fixture(scope="module")
def scenes():
    return [simulate_scene(CONFIG, index) for index in range(CONFIG.tiles)]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    config = SceneConfig(tiles=18, tile_size_pixels=64, cities=12, seed=3)
    out = tmp_path_factory.mktemp("data") / "small"
    seen = []
    simulate_corpus(config, out, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (18, 18)
    return config, out


def test_the_same_configuration_gives_the_same_bytes(written, tmp_path):
    config, out = written
    simulate_corpus(config, tmp_path / "again", workers=1)
    files = sorted(p.relative_to(out) for p in out.rglob("*") if p.is_file())
    assert len(files) == 18 + 3
    for path in files:
        assert (out / path).read_bytes() == (tmp_path / "again" / path).read_bytes(), path


def test_seed_changes_the_pixels():
    a, b = (simulate_scene(SceneConfig(seed=s, tiles=1), 0).bands for s in (0, 1))
    assert a.shape != b.shape or not np.array_equal(a, b)


def test_a_corpus_lists_its_tiles_with_hashes_and_keeps_its_truth_apart(written):
    config, out = written
    tiles = pq.read_table(out / "corpus" / "tiles.parquet").to_pylist()
    truth = pq.read_table(out / "truth" / "truth.parquet")
    assert truth.column_names == ["tile_id", *FACTS, "scene"]
    assert [row["tile_id"] for row in tiles] == truth["tile_id"].to_pylist()
    assert len({row["tile_id"] for row in tiles}) == config.tiles
    for row in tiles:
        path = out / "corpus" / row["path"]
        assert hashlib.sha256(path.read_bytes()).hexdigest() == row["sha256"]
        with rasterio.open(path) as tif:
            assert tif.crs.to_string() == row["crs"]
            assert list(tif.transform)[:6] == row["transform"]
            assert tif.descriptions == tuple(row["polarisations"])
            assert tif.dtypes[0] == "uint16"
            assert tif.shape == (64, 64)
            tags = tif.tags()
            assert tags["CALIBRATION_DB"] == "60"
            assert tags["BAND"] == row["band"]
            assert tags["PLATFORM"] == row["platform"]
            assert tags["ACQUIRED"] == row["acquired"]
            assert float(tags["GROUND_SAMPLE_DISTANCE_M"]) == row["gsd_m"]
    note = json.loads((out / "simulated.json").read_text())
    assert note["simulated"] is True
    assert note["digest"] == config.digest()


def test_a_tile_that_cannot_be_written_whole_is_not_there(scenes, tmp_path):
    with (
        pytest.raises(OSError, match=f"a simulated tile could not be written to {tmp_path}/a.tif: File too large"),
        largest_file(6000),
    ):
        write_tile(scenes[0], tmp_path / "a.tif", CONFIG.calibration_db)
    assert list(tmp_path.iterdir()) == []


def test_tile_holds_the_scene(written):
    config, out = written
    row = pq.read_table(out / "corpus" / "tiles.parquet").to_pylist()[0]
    with rasterio.open(out / "corpus" / row["path"]) as tif:
        dn = tif.read().astype(float)
    expected = 10 * np.log10(simulate_scene(config, 0).bands)
    shown = (expected > -30) & (expected < 30)
    np.testing.assert_allclose((20 * np.log10(dn) - 60)[shown], expected[shown], atol=0.2)


def test_finished_corpus_is_used_again_and_another_is_not_overwritten(written):
    config, out = written
    before = (out / "corpus" / "tiles.parquet").stat().st_mtime_ns
    simulate_corpus(config, out)
    assert (out / "corpus" / "tiles.parquet").stat().st_mtime_ns == before
    with pytest.raises(CorpusError, match="not empty"):
        simulate_corpus(config.model_copy(update={"seed": 4}), out)


def test_configuration_refuses_unknown_keys():
    with pytest.raises(ValidationError):
        SceneConfig(tile=3)
    with pytest.raises(ValueError, match="outside the corpus"):
        simulate_scene(SceneConfig(tiles=3), 3)


def test_a_simulated_tile_lies_where_its_record_says(scenes):
    by_name = {(city.name, city.country): city for city in cities()}
    for scene in scenes:
        m = scene.metadata
        a, b, left, d, e, top = m["transform"]
        assert (a, b, d, e) == (m["gsd_m"], 0.0, 0.0, -m["gsd_m"])
        assert left % a == 0
        assert top % a == 0
        x, y = left + a * m["width"] / 2, top + e * m["height"] / 2
        (lon,), (lat,) = rasterio.warp.transform(m["crs"], "EPSG:4326", [x], [y])
        assert abs(lon - m["lon"]) < 1e-6
        assert abs(lat - m["lat"]) < 1e-6
        assert m["crs"] == utm_crs(m["lon"], m["lat"])
        city = by_name[m["city"], m["country"]]
        km = np.hypot((lon - city.lon) * np.cos(np.deg2rad(lat)), lat - city.lat) * 111.2
        assert km < CONFIG.city_radius_km


def test_whole_cities_are_held_out(scenes):
    sides = {}
    for scene in scenes:
        sides.setdefault((scene.metadata["city"], scene.metadata["country"]), set()).add(scene.metadata["split"])
    assert all(len(side) == 1 for side in sides.values())
    assert len(held_out_cities(CONFIG)) == round(0.15 * 135)


def test_facts_are_in_the_vocabulary_and_json(scenes):
    for scene in scenes:
        facts = scene.truth.facts()
        assert tuple(facts) == FACTS == tuple(VOCABULARY)
        for name, value in facts.items():
            assert value in VOCABULARY[name].split(), (name, value)
        json.dumps(scene.truth.as_json())


def test_facts_agree_with_masks_and_objects(scenes):
    for scene in scenes:
        truth, facts = scene.truth, scene.truth.facts()
        share = {name: float((truth.land_cover == k).mean()) for k, name in enumerate(truth.land_cover_names)}
        wet = share["sea"] + share["lake"] + share["river"]
        assert (facts["terrain"] == "open_water") == (wet > 0.8) == (facts["functionality"] == "open_water")
        assert (facts["terrain"] == "coast") == (share["sea"] >= 0.10 and wet <= 0.8)
        assert (facts["water"] == "none") == (wet < 0.015)
        roofed = float(truth.footprint.mean())
        density = ("none", "sparse", "medium", "dense")[int(np.searchsorted([0.004, 0.04, 0.13], roofed, "right"))]
        assert facts["building"] == density
        assert (facts["distribution"] == "none") == (facts["layout"] == "none") == (density == "none")
        targets = truth.targets
        assert facts["target_count"] == str(min(len(targets), 9))
        assert (facts["target_category"] == "none") == (not targets)
        assert not truth.land_cover.size % 128
        assert truth.heights_m.min() >= 0
        for o in targets:
            assert 0 <= o.row < 128
            assert 0 <= o.col < 128
            assert o.region in VOCABULARY["target_region"].split()
            ground = truth.land_cover_names[truth.land_cover[round(o.row), round(o.col)]]
            assert (ground in ("sea", "lake", "river")) == (o.category == "ship"), ground


def test_targets_stand_apart_and_out_of_the_clutter(scenes):
    for scene in scenes:
        targets = scene.truth.targets
        at = np.array([(o.row, o.col) for o in targets])
        for k in range(1, len(targets)):
            assert np.hypot(*(at[:k] - at[k]).T).min() >= 3
        for o in targets:
            reach = max(2, int(o.length_m / scene.metadata["gsd_m"] / 2))
            r, c = round(o.row), round(o.col)
            window = scene.bands[0, max(r - reach, 0) : r + reach + 1, max(c - reach, 0) : c + reach + 1]
            assert window.max() > 4 * np.median(scene.bands[0])


def test_values_are_physical(scenes):
    for scene in scenes:
        assert scene.bands.dtype == np.float32
        assert scene.bands.shape[1:] == (128, 128)
        assert np.isfinite(scene.bands).all()
        assert (scene.bands >= 0).all()
        assert -30 < 10 * np.log10(np.median(scene.bands[0])) < 0
