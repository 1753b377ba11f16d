"""Boxes and relations of a simulated scene's truth. For evaluation: the loop never reads what they are made from."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from hcot_llm.initial.annotations import truth_values
from hcot_llm.instances.consistency import direction, reach_pixels
from hcot_llm.schema.clauses import Annotation, SchemaError
from hcot_llm.schema.instances import ALL_TARGETS, CATEGORIES, CONTAINMENT, Bounds, Box, Relation

_KEYS = ("row", "col", "length_m", "width_m", "heading_deg")
_BUILDING = "building"


def true_annotation(row: Mapping[str, Any], tile_shape: tuple[int, int], gsd_m: float) -> Annotation:
    """The whole annotation of a row of truth.parquet: clauses, boxes and relations.

    Args:
        row: its 16 clauses, and `scene`, the JSON with the scene's objects.
        tile_shape: rows and columns in pixels. gsd_m: metres per pixel.

    Raises:
        SchemaError: a clause or object lacks what it needs, or has it outside the vocabulary.
    """
    objects = json.loads(row["scene"])["objects"]
    boxes = true_boxes(objects, tile_shape, gsd_m)
    return Annotation(
        values=truth_values(row),
        boxes=boxes,
        tile_shape=tile_shape,
        relations=true_relations(objects, boxes, tile_shape, gsd_m),
    )


def true_boxes(objects: Sequence[Mapping[str, Any]], tile_shape: tuple[int, int], gsd_m: float) -> tuple[Box, ...]:
    """A box around every target of a scene, in the order of `objects`; buildings get none.

    A target of length and width at a heading is turned into the upright rectangle around it, in whole pixels, cut off
    at the tile's edge. Objects are those of corpus.simulate.truth: positions in pixels, (0, 0) at the centre of the
    upper left pixel, heading in degrees clockwise from the top.

    Raises:
        SchemaError: an object lacks a key, or lies outside the tile.
    """
    return tuple(
        Box(
            category=target["category"],
            length_m=target["length_m"],
            heading_deg=target["heading_deg"] % 360.0,
            **dict(_bounds(target, tile_shape, gsd_m)),
        )
        for target in _targets(objects)
    )


def true_relations(
    objects: Sequence[Mapping[str, Any]], boxes: Sequence[Box], tile_shape: tuple[int, int], gsd_m: float
) -> tuple[Relation, ...]:
    """How the targets lie: on what, in which direction from the nearest other one, and beside what.

    What all share is said once, of all of them. Of each pair of nearest targets the direction is said, and that they
    are beside one another if they are; of each target, whether a building is beside it. Nothing else is claimed: the
    truth lists only the largest buildings of a scene, so that a target without "beside buildings" may have a small
    one beside it.

    Args:
        objects: as for `true_boxes`; each target also with `region`. boxes: what that made of them.
    """
    regions = [target["region"] for target in _targets(objects)]
    everyone = [ALL_TARGETS] if len(set(regions)) == 1 else range(len(regions))
    found = [
        Relation(subject=subject, predicate=_containment(region), object=region)
        for subject, region in zip(everyone, regions, strict=False)
    ]
    pairs = set()
    for index, box in enumerate(boxes):
        others = [other for other in range(len(boxes)) if other != index and boxes[other].centre != box.centre]
        if others:
            nearest = min(others, key=lambda other: (math.dist(box.centre, boxes[other].centre), other))
            pairs.add((min(index, nearest), max(index, nearest)))
    for first, second in sorted(pairs):
        one, two = boxes[first], boxes[second]
        found.append(Relation(subject=first, predicate=direction(one.centre, two.centre), object=second))
        if one.gap_to(two) <= reach_pixels(one, two, "beside"):
            found.append(Relation(subject=first, predicate="beside", object=second))
    houses = [_bounds(house, tile_shape, gsd_m) for house in objects if house["category"] == _BUILDING]
    for index, box in enumerate(boxes):
        if any(box.gap_to(house) <= max(box.sides) for house in houses):
            found.append(Relation(subject=index, predicate="beside", object="buildings"))
    return tuple(found)


def _targets(objects: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    targets = [thing for thing in objects if thing["category"] != _BUILDING]
    for target in targets:
        if target["category"] not in CATEGORIES:
            raise SchemaError(
                f"A scene holds a target of category {target['category']!r}; there are: {', '.join(CATEGORIES)}."
            )
    return targets


def _bounds(thing: Mapping[str, Any], tile_shape: tuple[int, int], gsd_m: float) -> Bounds:
    if missing := [key for key in _KEYS if key not in thing]:
        raise SchemaError(f"An object of a scene lacks {', '.join(missing)}: {dict(thing)}.")
    heading = math.radians(thing["heading_deg"])
    cos, sin = abs(math.cos(heading)), abs(math.sin(heading))
    length, width = thing["length_m"] / gsd_m, thing["width_m"] / gsd_m
    limits = []
    for middle, extent, side in (
        (thing["row"], length * cos + width * sin, tile_shape[0]),
        (thing["col"], length * sin + width * cos, tile_shape[1]),
    ):
        # Pixel i reaches from i - 0.5 to i + 0.5.
        limits += [max(math.floor(middle - extent / 2 + 0.5), 0), min(math.ceil(middle + extent / 2 + 0.5), side)]
    if limits[0] >= limits[1] or limits[2] >= limits[3]:
        raise SchemaError(
            f"The {thing['category']} at row {thing['row']}, column {thing['col']} lies outside the tile "
            f"of {tile_shape[0]} x {tile_shape[1]} pixels."
        )
    return Bounds(**dict(zip(("row_start", "row_stop", "col_start", "col_stop"), limits, strict=True)))


def _containment(region: str) -> str:
    for predicate, regions in CONTAINMENT.items():
        if region in regions:
            return predicate
    raise SchemaError(
        f"A target lies in {region!r}; regions that hold targets are: "
        f"{', '.join(region for regions in CONTAINMENT.values() for region in regions)}."
    )
