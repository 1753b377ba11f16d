"""Recipe 2 of the simulated world: drawn in metres, at Sentinel-1's contrast, and with scenes that are not clear."""

import dataclasses

import numpy as np
import pytest

from corpus.radiometry.statistics import correlation, equivalent_looks, patch_looks, quantiles_db
from corpus.simulate import canvas as cv
from corpus.simulate.config import SceneConfig
from corpus.simulate.facts import BUILDING_SHARE
from corpus.simulate.farmland import draw_parcels, edges
from corpus.simulate.imaging import resample
from corpus.simulate.margins import unclear_facts
from corpus.simulate.recipe import REAL_SCALE
from corpus.simulate.scene import simulate_scene
from corpus.simulate.truth import FACT_VALUES, FACTS, SceneObject

S1 = {"sentinel1_iw": 1.0}
TILES = 30


def scenes_of(**keys):
    config = SceneConfig(tiles=TILES, seed=11, sensors=S1, tile_size_pixels=96, **keys)
    return [simulate_scene(config, index) for index in range(TILES)]


@pytest.fixture(scope="module")
def prototypes():
    return scenes_of()


@pytest.fixture(scope="module")
def real_scale():
    return scenes_of(recipe=2)


def test_facts_of_recipe_2_are_in_the_vocabulary_and_targets_are_where_they_were_wished_for(real_scale):
    for scene in real_scale:
        facts = scene.truth.facts()
        assert all(facts[name] in FACT_VALUES[name] for name in FACTS)
        assert facts["target_count"] == str(len(scene.truth.targets))
    assert 0.2 < np.mean([bool(scene.truth.targets) for scene in real_scale]) < 0.7


def test_houses_of_recipe_2_have_the_size_of_houses_and_those_of_prototypes_that_of_pixels(prototypes, real_scale):
    def median_length(scenes):
        found = [
            o.length_m
            for scene in scenes
            if scene.truth.measured["functionality"] == "residential"
            for o in scene.truth.objects
            if o.category == "building"
        ]
        return np.median(found)

    assert 10 < median_length(real_scale) < 18
    assert median_length(prototypes) > 35


def test_recipe_2_has_less_contrast_more_looks_and_less_alike_polarisations(prototypes, real_scale):
    def measured(scenes):
        decibels = [10 * np.log10(scene.bands) for scene in scenes]
        deviation = np.mean([quantiles_db(band).std() for image in decibels for band in image])
        looks, spread = (
            np.concatenate(each) for each in zip(*(patch_looks(image[1]) for image in decibels), strict=True)
        )
        return deviation, equivalent_looks(looks, spread), np.mean([correlation(*image) for image in decibels])

    (deviation, looks, alike), (of_prototypes, few_looks, more_alike) = measured(real_scale), measured(prototypes)
    assert deviation < 0.9 * of_prototypes
    assert looks > 1.1 * few_looks
    assert alike < more_alike - 0.03


def test_scenes_that_are_not_clear_stay_in_and_say_what_is_not(prototypes, real_scale):
    unclear = [scene.truth.as_json()["unclear"] for scene in real_scale]
    assert all(set(names) <= set(FACTS) for names in unclear)
    assert np.mean([bool(names) for names in unclear]) > 0.3
    assert all("unclear" not in scene.truth.as_json() for scene in prototypes)


def test_ambiguous_scenes_can_be_had_of_recipe_1_and_clear_ones_of_recipe_2():
    both = SceneConfig(tiles=4, seed=2, sensors=S1, tile_size_pixels=64)
    ambiguous = simulate_scene(both.model_copy(update={"ambiguous": True}), 0)
    assert ambiguous.truth.unclear is not None
    clear = simulate_scene(both.model_copy(update={"recipe": 2, "ambiguous": False}), 0)
    assert clear.truth.unclear is None


def test_every_choice_of_recipe_and_ambiguity_has_a_digest_of_its_own():
    choices = [{}, {"ambiguous": True}, {"recipe": 2}, {"recipe": 2, "ambiguous": False}]
    assert len({SceneConfig(**choice).digest() for choice in choices}) == 4
    assert SceneConfig(recipe=2, ambiguous=True).digest() == SceneConfig(recipe=2).digest()
    assert SceneConfig(ambiguous=False).digest() == SceneConfig().digest()


def test_a_fine_sensor_is_drawn_alike_by_both_recipes():
    fine = {"tiles": 2, "seed": 5, "sensors": {"xband_spotlight": 1.0}, "ambiguous": False}
    first, second = (simulate_scene(SceneConfig(recipe=recipe, **fine), 0) for recipe in (1, 2))
    np.testing.assert_array_equal(first.bands, second.bands)


def test_resampling_keeps_the_power_and_smooths_speckle():
    power = np.random.default_rng(0).gamma(4.0, 0.25, (200, 200)).astype(np.float32)
    np.testing.assert_array_equal(resample(power, (0.0, 0.0)), power)
    for offset in ((0.5, 0.5), (-0.5, 0.5)):
        smoothed = resample(power, offset)
        assert smoothed.mean() == pytest.approx(power.mean(), rel=2e-3)
        assert smoothed.var() == pytest.approx(power.var() / 4, rel=0.05)


def test_resampling_by_a_whole_pixel_moves_the_image():
    power = np.random.default_rng(1).random((20, 20)).astype(np.float32)
    np.testing.assert_array_equal(resample(power, (1.0, 0.0))[:-1], power[1:])
    np.testing.assert_array_equal(resample(power, (0.0, -1.0))[:, 1:], power[:, :-1])


def test_borders_of_strips_cover_the_reach_with_widths_of_the_range():
    found = edges(np.random.default_rng(3), 500.0, 60.0, 220.0)
    assert found[0] < -280.0
    assert found[-1] > 500.0
    assert np.diff(found).min() >= 60.0
    assert np.diff(found).max() <= 220.0


def test_parcels_have_the_size_of_fields_and_each_one_crop():
    c = cv.Canvas(200, 0, 10.0)
    draw_parcels(c, REAL_SCALE, np.random.default_rng(4), np.ones((200, 200), bool))
    _, sizes = np.unique(c.texture_db, return_counts=True)
    (long0, long1), (wide0, wide1) = REAL_SCALE.field_m
    whole = sizes[sizes > 0.5 * np.median(sizes)] * 100.0
    assert long0 * wide0 * 0.5 < np.median(whole) < long1 * wide1
    assert len(sizes) > 40


def made_scene(roofed: float, ship_row: float) -> dict:
    """A tile of which a square is roofed, and one ship."""
    size = 60
    footprint = np.zeros((size, size), np.float32)
    footprint[:30, :30] = 4 * roofed
    return {
        "cover": np.full((size, size), cv.SEA, np.uint8),
        "zone": np.full((size, size), cv.Z_WATER, np.uint8),
        "rural": np.full((size, size), cv.SEA, np.uint8),
        "footprint": footprint,
        "ground_m": np.zeros((size, size), np.float32),
        "gsd_m": 10.0,
        "roads": [],
        "objects": [SceneObject("ship", ship_row, 30.0, 140.0, 25.0, 0.0, region="sea", environment="calm_water")],
    }


def found_unclear(roofed: float, ship_row: float, wind_m_s: float) -> tuple[str, ...]:
    from corpus.simulate.facts import measure

    scene = made_scene(roofed, ship_row)
    return unclear_facts(measure(**scene), wind_m_s, scene)


def test_what_lies_well_inside_its_class_is_clear():
    assert not {"building", "target_location", "target_environment", "target_count"} & set(
        found_unclear(0.07, 30.0, 2.0)
    )


@pytest.mark.parametrize(
    ("name", "roofed", "ship_row", "wind_m_s"),
    [
        ("building", dict(BUILDING_SHARE)["sparse"] * 0.9, 30.0, 2.0),
        ("target_location", 0.07, 21.0, 2.0),
        ("target_count", 0.07, 2.0, 2.0),
        ("target_environment", 0.07, 30.0, 4.9),
    ],
)
def test_what_lies_near_the_limit_of_its_class_is_unclear(name, roofed, ship_row, wind_m_s):
    assert name in found_unclear(roofed, ship_row, wind_m_s)


def test_tables_of_recipe_2_have_physical_order():
    land = REAL_SCALE.c_band.land_db
    assert all(co > cross + 4 for co, cross in land.values())
    assert land[cv.FOREST][1] > land[cv.CROPLAND][1] > land[cv.ROAD][1] > land[cv.RUNWAY][1]
    assert all(dataclasses.astuple(texture) > (0,) for texture in REAL_SCALE.texture.values())
