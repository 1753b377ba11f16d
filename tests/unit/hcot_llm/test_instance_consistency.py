"""Level 5 for boxes and relations, and the boxes and relations of simulated scenes, which break no rule."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from corpus.simulate import SceneConfig, simulate_scene
from corpus.simulate.truth import SceneObject
from hcot_llm.aggregation.consistency import contradictions
from hcot_llm.instances.annotation_text import parse_annotation, render_annotation
from hcot_llm.instances.consistency import RULES, annotation_contradictions, direction
from hcot_llm.instances.from_truth import true_annotation, true_boxes, true_relations
from hcot_llm.schema.clauses import CLAUSES, NO_TARGETS, Annotation, SchemaError
from hcot_llm.schema.instances import DIRECTIONS, Box, Relation
from support.annotation_strategies import annotations

# Two ships of 120 and 150 m in the west of a harbour, 10 m a pixel: the first north of the second, beside it.
PORT = Annotation(
    values=dict(
        zip(
            CLAUSES,
            (
                "coast",
                "port",
                "peripheral",
                "regular",
                "sharp",
                "sparse",
                "sparse",
                "sea",
                "2",
                "west",
                "extended",
                "medium",
                "ship",
                "cluster",
                "harbour",
                "calm_water",
            ),
            strict=True,
        )
    ),
    boxes=(
        Box(category="ship", row_start=40, row_stop=52, col_start=10, col_stop=14, length_m=120.0, heading_deg=0.0),
        Box(category="ship", row_start=60, row_stop=75, col_start=10, col_stop=14, length_m=150.0, heading_deg=180.0),
    ),
    relations=(
        Relation(subject="targets", predicate="in", object="harbour"),
        Relation(subject=0, predicate="north_of", object=1),
        Relation(subject=0, predicate="beside", object=1),
        Relation(subject=1, predicate="near", object="shore"),
    ),
    tile_shape=(128, 128),
)


def related(*relations: tuple) -> dict:
    return {"relations": [{"subject": s, "predicate": p, "object": o} for s, p, o in relations]}


def boxed(*changes: dict) -> dict:
    return {"boxes": [box.model_dump() | change for box, change in zip(PORT.boxes, changes, strict=True)]}


def said(**values: str) -> dict:
    return {"values": PORT.values | values}


def changed(*changes: dict) -> Annotation:
    content = PORT.model_dump(mode="json")
    for change in changes:
        content |= change
    return Annotation.model_validate(content)


@pytest.mark.parametrize(
    ("rule", "changes", "clauses", "parts"),
    [
        (
            "boxes_fit_category",
            [boxed({}, {"category": "aircraft", "length_m": 40.0})],
            ["target_category"],
            ["boxes[1]"],
        ),
        (
            "boxes_need_targets",
            [said(target_size="none", target_region="none")],
            ["target_size", "target_region"],
            ["boxes"],
        ),
        ("boxes_fit_location", [said(target_location="northwest")], ["target_location"], ["boxes"]),
        ("boxes_fit_location", [said(target_location="east")], ["target_location"], ["boxes"]),
        ("boxes_fit_resolution", [boxed({}, {"col_stop": 90})], ["target_category"], ["boxes[1]"]),
        ("boxes_fit_resolution", [boxed({"row_stop": 46}, {})], [], ["boxes[0]"]),
        ("boxes_fit_resolution", [boxed({"length_m": 40.0}, {})], [], ["boxes[0]"]),
        ("lengths_fit_category", [boxed({}, {"length_m": 500.0})], ["target_category"], ["boxes[1]"]),
        ("boxes_fit_size", [said(target_size="large")], ["target_size"], ["boxes"]),
        ("boxes_fit_size", [said(target_size="small"), boxed({"length_m": None}, {})], ["target_size"], ["boxes"]),
        ("relations_fit_category", [related((1, "on", "apron"))], [], ["boxes[1]", "relations[0]"]),
        ("relations_fit_category", [related(("targets", "on", "apron"))], ["target_category"], ["relations[0]"]),
        ("relations_fit_region", [said(target_region="sea")], ["target_region"], ["relations[0]"]),
        (
            "relations_fit_region",
            [related((0, "in", "sea"), (1, "in", "lake"))],
            ["target_region"],
            ["relations[0]", "relations[1]"],
        ),
        (
            "relations_fit_region",
            [related(("targets", "in", "harbour"), (0, "in", "sea"))],
            [],
            ["relations[0]", "relations[1]"],
        ),
        ("relations_fit_water", [said(water="none")], ["water"], ["relations[0]"]),
        ("relations_fit_water", [said(road="none"), related((0, "near", "road"))], ["road"], ["relations[0]"]),
        (
            "relations_fit_water",
            [said(building="none"), related((0, "beside", "buildings"))],
            ["building"],
            ["relations[0]"],
        ),
        ("relations_fit_boxes", [related((0, "south_of", 1))], [], ["boxes[0]", "boxes[1]", "relations[0]"]),
        ("relations_fit_boxes", [related((1, "east_of", 0))], [], ["boxes[1]", "boxes[0]", "relations[0]"]),
        (
            "relations_fit_boxes",
            [boxed({}, {"row_start": 100, "row_stop": 115})],
            [],
            ["boxes[0]", "boxes[1]", "relations[2]"],
        ),
    ],
)
def test_each_rule_catches_its_contradiction(rule, changes, clauses, parts):
    found = [c for c in annotation_contradictions(changed(*changes), gsd_m=10.0) if c.rule == rule]
    assert (list(found[0].clauses), list(found[0].parts)) == (clauses, parts)
    assert found[0].message.endswith(".")


def test_every_rule_is_broken_above_and_documented():
    cases = next(mark for mark in test_each_rule_catches_its_contradiction.pytestmark if mark.name == "parametrize")
    assert {case[0] for case in cases.args[1]} == set(RULES)
    assert all(rule.__doc__ for rule in RULES.values())


def test_a_consistent_annotation_passes_whole_and_in_part():
    for gsd_m in (10.0, None):
        assert annotation_contradictions(PORT, gsd_m=gsd_m) == []
        for clause in CLAUSES:
            part = PORT.model_copy(update={"values": {c: v for c, v in PORT.values.items() if c is not clause}})
            assert annotation_contradictions(part, gsd_m=gsd_m) == []
        for index in range(4):
            part = PORT.model_copy(update={"relations": PORT.relations[:index] + PORT.relations[index + 1 :]})
            assert annotation_contradictions(part, gsd_m=gsd_m) == []


def test_clauses_are_checked_as_without_boxes():
    values = PORT.values | {"water": "none"}
    assert annotation_contradictions(Annotation(values=values), gsd_m=10.0) == contradictions(values, gsd_m=10.0) != []


def test_a_box_at_the_edge_may_be_cut_off():
    cut = {"row_start": 124, "row_stop": 128}
    inside = {"row_start": 123, "row_stop": 127}
    for bounds, contradicts in ((cut, False), (inside, True)):
        found = annotation_contradictions(changed(boxed({}, bounds)), gsd_m=10.0)
        assert ("boxes_fit_resolution" in {c.rule for c in found}) is contradicts


@settings(max_examples=100)
@given(annotations(), st.sampled_from([None, 1.0, 10.0]))
def test_any_annotation_can_be_checked(annotation, gsd_m):
    for found in annotation_contradictions(annotation, gsd_m=gsd_m):
        assert found.clauses or found.parts
        assert set(found.clauses) <= set(annotation.values)


def test_directions_point_where_they_say():
    for name, (row, col) in DIRECTIONS.items():
        assert direction((50 + 9 * row, 50 + 9 * col), (50, 50)) == name
    assert direction((0, 3), (10, 0)) == "north_of"
    assert direction((0, 5), (10, 0)) == "northeast_of"
    with pytest.raises(ValueError, match="no direction"):
        direction((1, 1), (1, 1))


# Simulated scenes


def target(**changes) -> dict:
    return asdict(SceneObject("ship", 30.0, 40.0, 100.0, 20.0, 0.0, region="sea", environment="calm_water")) | changes


@pytest.mark.parametrize(
    ("heading", "rows", "cols"),
    [
        (0.0, (25, 36), (39, 42)),
        (180.0, (25, 36), (39, 42)),
        (90.0, (29, 32), (35, 46)),
        (270.0, (29, 32), (35, 46)),
        (45.0, (26, 35), (36, 45)),
    ],
)
def test_the_box_of_a_turned_target_holds_it(heading, rows, cols):
    """100 x 20 m at 10 m a pixel about pixel (30, 40): half of (10 + 2) / sqrt(2) pixels at 45 degrees."""
    [box] = true_boxes([target(heading_deg=heading)], (64, 64), 10.0)
    assert ((box.row_start, box.row_stop), (box.col_start, box.col_stop)) == (rows, cols)
    assert box.length_m == 100.0
    assert box.heading_deg == heading


def test_boxes_are_cut_off_at_the_edge_and_stay_upright():
    [box] = true_boxes([target(row=1.0, heading_deg=360.0)], (64, 64), 10.0)
    assert (box.row_start, box.row_stop, box.heading_deg) == (0, 7, 0.0)


def test_relations_of_targets_are_those_of_their_places():
    ships = [target(), target(row=50.0), target(row=30.0, col=48.0, region="harbour")]
    house = target(category="building", row=40.0, col=5.0, region="none")
    objects = [*ships, house | {"row": 50.0, "col": 30.0}, house]
    found = true_relations(objects, true_boxes(objects, (64, 64), 10.0), (64, 64), 10.0)
    assert [(r.subject, r.predicate, r.object) for r in found] == [
        (0, "in", "sea"),
        (1, "in", "sea"),
        (2, "in", "harbour"),
        (0, "north_of", 1),
        (0, "beside", 1),
        (0, "west_of", 2),
        (0, "beside", 2),
        (1, "beside", "buildings"),
    ]
    two = ships[:2]
    assert true_relations(two, true_boxes(two, (64, 64), 10.0), (64, 64), 10.0)[0].subject == "targets"
    assert true_relations([house], (), (64, 64), 10.0) == ()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category": "car"}, "category 'car'"),
        ({"row": 90.0}, "outside the tile"),
        ({"region": "forest"}, "lies in 'forest'"),
    ],
)
def test_objects_that_cannot_be_are_refused(change, message):
    with pytest.raises(SchemaError, match=message):
        true_relations([target(**change)], true_boxes([target(**change)], (64, 64), 10.0), (64, 64), 10.0)


def test_objects_need_their_keys():
    with pytest.raises(SchemaError, match="lacks width_m"):
        true_boxes([{key: value for key, value in target().items() if key != "width_m"}], (64, 64), 10.0)


def test_simulated_scenes_agree_with_themselves():
    config = SceneConfig(tiles=24, share_with_targets=0.8)
    boxes, brighter = 0, []
    for index in range(config.tiles):
        scene = simulate_scene(config, index)
        gsd_m, shape = scene.metadata["gsd_m"], scene.bands.shape[1:]
        row = scene.truth.facts() | {"tile_id": "t", "scene": json.dumps(scene.truth.as_json())}
        annotation = true_annotation(row, shape, gsd_m)
        assert len(annotation.boxes) == len(scene.truth.targets)
        assert (annotation.values == annotation.values | NO_TARGETS) == (not annotation.boxes)
        assert annotation_contradictions(annotation, gsd_m=gsd_m) == [], f"scene {index}"
        assert parse_annotation(render_annotation(annotation, seed=index)) == annotation
        boxes += len(annotation.boxes)
        for box in annotation.boxes:
            inside = scene.bands[0, box.row_start : box.row_stop, box.col_start : box.col_stop]
            brighter.append(inside.mean() > np.median(scene.bands[0]))
    assert boxes > 20
    assert np.mean(brighter) > 0.9, "targets are bright, and the boxes hold them"
