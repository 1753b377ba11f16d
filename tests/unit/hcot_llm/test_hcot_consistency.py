"""Level 5: rules across clauses."""

import pytest

from corpus.simulate.config import SceneConfig
from corpus.simulate.scene import simulate_scene
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.initial.annotations import truth_values
from support.hcot import CLAUSES, HCOT, NO_TARGETS, SHIPS_IN_PORT


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("ships_need_water", {"water": "none"}),
        ("ships_need_water", {"target_region": "apron"}),
        ("ships_need_water", {"target_environment": "pavement"}),
        ("aircraft_need_pavement", {"target_category": "aircraft"}),
        ("no_targets_no_description", {"target_count": "0"}),
        ("no_targets_no_description", {"target_category": "none"}),
        ("count_fits_arrangement", {"target_count": "1"}),
        ("count_fits_arrangement", {"target_distribution": "line"}),
        ("region_fits_environment", {"target_environment": "pavement"}),
        ("open_water_everywhere", {"terrain": "open_water"}),
        ("no_town_in_open_water", {"terrain": "open_water", "functionality": "open_water", "road": "grid"}),
        ("coast_has_sea", {"water": "none"}),
        ("port_has_water", {"water": "none"}),
        ("buildings_have_a_place", {"building": "none"}),
        ("towns_have_buildings", {"functionality": "residential", "building": "none"}),
    ],
)
def test_each_rule_catches_its_contradiction(rule, change):
    found = [c for c in contradictions(HCOT, SHIPS_IN_PORT | change) if c.rule == rule]
    assert found
    assert set(found[0].clauses) <= set(CLAUSES)
    assert found[0].message.endswith(".")


def test_a_bridge_over_open_water_and_a_coast_at_a_channel_can_be():
    bridge = SHIPS_IN_PORT | NO_TARGETS | {"terrain": "open_water", "functionality": "open_water", "road": "highway"}
    assert contradictions(HCOT, bridge) == []
    assert contradictions(HCOT, SHIPS_IN_PORT | NO_TARGETS | {"water": "channel"}) == []


def test_consistent_annotations_pass_whole_and_in_part():
    for values in (SHIPS_IN_PORT, SHIPS_IN_PORT | NO_TARGETS):
        assert contradictions(HCOT, values) == []
        for left_out in CLAUSES:
            assert contradictions(HCOT, {c: v for c, v in values.items() if c is not left_out}) == []


def test_a_size_that_the_resolution_cannot_show_is_a_contradiction():
    assert contradictions(HCOT, SHIPS_IN_PORT, gsd_m=10.0) == []
    large_point = SHIPS_IN_PORT | {"target_feature": "point", "target_size": "large"}
    assert [c.rule for c in contradictions(HCOT, large_point, gsd_m=1.0)] == ["size_fits_resolution"]
    assert contradictions(HCOT, large_point, gsd_m=20.0) == []


def test_a_size_that_was_measured_otherwise_is_a_contradiction():
    """A medium ship has 80 to 200 m, measured within a factor of 1.5."""
    one = SHIPS_IN_PORT | {"target_count": "1", "target_distribution": "single", "target_size": "medium"}
    assert contradictions(HCOT, one, gsd_m=10.0, measured_pixels=[12]) == []
    assert contradictions(HCOT, one, gsd_m=10.0, measured_pixels=[29]) == []
    for pixels in (31, 5):
        [found] = contradictions(HCOT, one, gsd_m=10.0, measured_pixels=[pixels])
        assert found.rule == "size_fits_resolution"
        assert "target_size" in found.clauses
        assert f"{pixels} pixels of 10 m, {pixels * 10} m" in found.message
    assert contradictions(HCOT, one, gsd_m=10.0, measured_pixels=[40, 4]) == [], "which of the blobs is the target?"


def test_true_scenes_pass_all_rules():
    config = SceneConfig(tiles=24, share_with_targets=0.8)
    for index in range(config.tiles):
        scene = simulate_scene(config, index)
        assert contradictions(HCOT, truth_values(HCOT, scene.truth.facts()), gsd_m=scene.metadata["gsd_m"]) == [], (
            f"scene {index}"
        )
