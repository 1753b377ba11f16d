"""Sensors of the simulator: what a recipe may name, and one that is added from outside."""

from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from corpus.geotiff.metadata import polarisations_of, radar_band_of
from corpus.geotiff.read import read_backscatter
from corpus.simulate.backscatter import C_BAND
from corpus.simulate.canvas import FOREST, GRASS
from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import simulate_scene
from corpus.simulate.sensor import SENSORS
from corpus.simulate.write import simulate_corpus
from corpus.storage.models import FrozenModel
from support.toy_sensor import NAME, TOY_SENSOR

ONLY_TOY = SceneConfig(tiles=6, tile_size_pixels=64, cities=6, seed=2, sensors={NAME: 1.0})


def test_the_digest_of_the_default_recipe_is_that_of_finished_corpora():
    assert SceneConfig().digest() == "bb75a68b75e732ec1f76401a2c2a6a7ebb80646e66c91b5945d21a41c7ed13d3"


def test_a_sensor_that_is_not_registered_is_refused_by_name():
    with pytest.raises(ValidationError, match="There is no sensor 'sentinel1'; registered: .*sentinel1_iw"):
        SceneConfig(sensors={"sentinel1": 1.0})


@pytest.mark.parametrize("shares", [{}, {"sentinel1_iw": 0.0}, {"sentinel1_iw": -1.0}])
def test_a_recipe_without_a_positive_share_is_refused(shares):
    with pytest.raises(ValidationError):
        SceneConfig(sensors=shares)


def test_the_order_in_which_sensors_are_named_changes_nothing():
    one, other = (
        SceneConfig(sensors=shares)
        for shares in ({"sentinel1_iw": 0.3, "gaofen3_fsii": 0.7}, {"gaofen3_fsii": 0.7, "sentinel1_iw": 0.3})
    )
    assert list(one.sensors) == list(other.sensors)
    assert one.digest() == other.digest()
    assert np.array_equal(simulate_scene(one, 3).bands, simulate_scene(other, 3).bands)


@pytest.mark.parametrize(
    ("trait", "message"),
    [
        ({"polarisations": ("HH", "XX")}, "polarisations are of"),
        ({"nesz_db": (-30.0,)}, "one nesz_db per polarisation"),
        ({"gsd_m": 40.0}, "pixels of 0.5 to 20.0 m"),
    ],
)
def test_a_trait_that_cannot_be_drawn_is_refused(trait, message):
    with pytest.raises(ValueError, match=message):
        replace(TOY_SENSOR, **trait)


def test_an_added_sensor_images_scenes_with_its_own_traits():
    scenes = [simulate_scene(ONLY_TOY, index) for index in range(ONLY_TOY.tiles)]
    for scene in scenes:
        assert scene.bands.shape == (2, 64, 64)
        assert (scene.metadata["platform"], scene.metadata["band"], scene.metadata["gsd_m"]) == ("Toy-L", "L", 6.0)
        assert scene.metadata["polarisations"] == ["HH", "HV"]
        assert 28 <= scene.metadata["incidence_deg"] <= 40


def test_woods_stand_out_more_in_l_band_than_in_c_band_with_all_else_equal(monkeypatch):
    def contrast_db() -> float:
        shown = []
        for scene in (simulate_scene(ONLY_TOY, index) for index in range(ONLY_TOY.tiles)):
            woods, grass = (scene.truth.land_cover == cover for cover in (FOREST, GRASS))
            if min(woods.mean(), grass.mean()) > 0.05:
                shown.append(10 * np.log10(scene.bands[0][woods].mean() / scene.bands[0][grass].mean()))
        assert shown, "no scene has both"
        return float(np.mean(shown))

    l_band = contrast_db()
    monkeypatch.setitem(SENSORS._members, NAME, replace(TOY_SENSOR, band=C_BAND))
    assert l_band > contrast_db() + 1


def test_worker_processes_know_an_added_sensor_and_its_tiles_say_what_they_are(tmp_path):
    simulate_corpus(ONLY_TOY, tmp_path / "toy", workers=2)
    rows = pq.read_table(tmp_path / "toy" / "corpus" / "tiles.parquet").to_pylist()
    assert {(row["band"], *row["polarisations"]) for row in rows} == {("L", "HH", "HV")}
    tile = read_backscatter(tmp_path / "toy" / "corpus" / rows[0]["path"])
    assert tile.polarisations == ("HH", "HV")
    assert radar_band_of({"BAND": rows[0]["band"]}, rows[0]["platform"]) == "L"
    assert polarisations_of(("HH", "HV"), {}, "") == ("HH", "HV")


def test_other_traits_of_an_added_sensor_are_another_corpus(monkeypatch):
    before = ONLY_TOY.digest()
    monkeypatch.setitem(SENSORS._members, NAME, replace(TOY_SENSOR, resolution_m=8.0))
    assert ONLY_TOY.digest() != before


def test_the_recipe_stays_a_plain_frozen_model():
    assert issubclass(SceneConfig, FrozenModel)
    assert SceneConfig.model_validate(ONLY_TOY.model_dump(mode="json")) == ONLY_TOY
