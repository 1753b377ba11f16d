"""HCoT level 5 for boxes and relations: what they contradict among each other and in the clauses.

As hcot_llm/aggregation/consistency.py, which has the rules across clauses: a rule looks only at what is there.
"""

import math
from collections.abc import Callable, Iterator
from statistics import median
from typing import Final

from hcot_llm.aggregation.consistency import (
    LENGTH_RANGE_M,
    Contradiction,
    contradictions,
    size_bounds_m,
)
from hcot_llm.schema.clauses import ABSENT, Annotation, Clause
from hcot_llm.schema.instances import ALL_TARGETS, CONTAINMENT, DIRECTIONS, NEIGHBOURHOOD, WATER_REGIONS, Box

C = Clause
# (clauses, boxes and relations by their place, message)
Findings = Iterator[tuple[tuple[Clause, ...], tuple[str, ...], str]]
RULES: Final[dict[str, Callable[[Annotation, float | None], Findings]]] = {}
# Bounds are whole pixels: both ends of a box may be off by nearly one.
SLACK_PIXELS: Final = 2.0
LOCATIONS: Final = (
    ("northwest", "north", "northeast"),
    ("west", "center", "east"),
    ("southwest", "south", "southeast"),
)


def rule(function: Callable[[Annotation, float | None], Findings]) -> Callable[[Annotation, float | None], Findings]:
    """Register a rule under its function's name."""
    RULES[function.__name__] = function
    return function


def annotation_contradictions(annotation: Annotation, *, gsd_m: float | None = None) -> list[Contradiction]:
    """Everything in an annotation that cannot be true together: clauses first, then boxes and relations.

    gsd_m: metres per pixel; with it, sizes are checked against what the resolution shows.
    """
    return contradictions(annotation.values, gsd_m=gsd_m) + [
        Contradiction(name, clauses, message, parts)
        for name, function in RULES.items()
        for clauses, parts, message in function(annotation, gsd_m)
    ]


def direction(start: tuple[float, float], end: tuple[float, float]) -> str:
    """Which of the eight directions `start` is of `end`; both (row, column). The two must differ."""
    row, col = start[0] - end[0], start[1] - end[1]
    if row == col == 0:
        raise ValueError(f"Both lie at {start}: there is no direction between them.")
    # North is 0, clockwise.
    sector = round(math.degrees(math.atan2(col, -row)) / 45) % 8
    return tuple(DIRECTIONS)[sector]


@rule
def boxes_fit_category(a: Annotation, gsd_m: float | None) -> Findings:
    """Every box is of the category that the clauses name."""
    category = a.values.get(C.TARGET_CATEGORY)
    for index, box in enumerate(a.boxes):
        if category not in (None, box.category):
            yield (
                (C.TARGET_CATEGORY,),
                (f"boxes[{index}]",),
                (f"The target category is {category}, but target {index} is boxed as {box.category}."),
            )


@rule
def boxes_need_targets(a: Annotation, gsd_m: float | None) -> Findings:
    """Where a target clause says that there are none, there is no box."""
    if a.boxes and (
        absent := [
            c
            for c in (
                C.TARGET_LOCATION,
                C.TARGET_FEATURE,
                C.TARGET_SIZE,
                C.TARGET_DISTRIBUTION,
                C.TARGET_REGION,
                C.TARGET_ENVIRONMENT,
            )
            if a.values.get(c) == ABSENT
        ]
    ):
        yield (
            tuple(absent),
            ("boxes",),
            (f"{', '.join(absent)} none means that there are no targets, but {len(a.boxes)} are boxed."),
        )


@rule
def boxes_fit_location(a: Annotation, gsd_m: float | None) -> Findings:
    """The mean position of the boxes lies in the cell of the 3 x 3 grid that target_location names."""
    said = a.values.get(C.TARGET_LOCATION, ABSENT)
    if not a.boxes or said == ABSENT:
        return
    mean = [sum(box.centre[axis] for box in a.boxes) / len(a.boxes) for axis in (0, 1)]
    [cell] = [(row, col) for row, names in enumerate(LOCATIONS) for col, name in enumerate(names) if name == said]
    for at, third, side in zip(mean, cell, a.tile_shape, strict=True):
        low, high = third * side / 3 - 0.5, (third + 1) * side / 3 - 0.5
        if not low - SLACK_PIXELS / 2 <= at <= high + SLACK_PIXELS / 2:
            yield (
                (C.TARGET_LOCATION,),
                ("boxes",),
                (
                    f"The mean of the boxes is row {mean[0]:.0f}, column {mean[1]:.0f} of {a.tile_shape[0]} x "
                    f"{a.tile_shape[1]} pixels, which is not in the {said}."
                ),
            )
            return


@rule
def boxes_fit_resolution(a: Annotation, gsd_m: float | None) -> Findings:
    """A box's pixels times the resolution give a length that its category has, and the length it states."""
    if gsd_m is None:
        return
    for index, box in enumerate(a.boxes):
        low, high = length_bounds_m(box, a.tile_shape, gsd_m)
        shortest, longest = LENGTH_RANGE_M[box.category]
        if high < shortest or low > longest:
            yield (
                _if_said(a, C.TARGET_CATEGORY),
                (f"boxes[{index}]",),
                (
                    f"Target {index} has {box.sides[0]} x {box.sides[1]} pixels of {gsd_m:g} m, a length of {low:.0f} to "
                    f"{high:.0f} m; a {box.category} has {shortest:.0f} to {longest:.0f} m."
                ),
            )
        elif box.length_m is not None and not low <= box.length_m <= high:
            yield (
                (),
                (f"boxes[{index}]",),
                (
                    f"Target {index} is said to be {box.length_m:g} m long, but its {box.sides[0]} x {box.sides[1]} pixels "
                    f"of {gsd_m:g} m hold {low:.0f} to {high:.0f} m."
                ),
            )


@rule
def lengths_fit_category(a: Annotation, gsd_m: float | None) -> Findings:
    """A length in metres is one that its category has."""
    for index, box in enumerate(a.boxes):
        shortest, longest = LENGTH_RANGE_M[box.category]
        if box.length_m is not None and not shortest <= box.length_m <= longest:
            yield (
                _if_said(a, C.TARGET_CATEGORY),
                (f"boxes[{index}]",),
                (f"Target {index} is {box.length_m:g} m long; a {box.category} has {shortest:.0f} to {longest:.0f} m."),
            )


@rule
def boxes_fit_size(a: Annotation, gsd_m: float | None) -> Findings:
    """The median length of the boxed targets is in the class that target_size names."""
    said = a.values.get(C.TARGET_SIZE, ABSENT)
    categories = {box.category for box in a.boxes}
    if said == ABSENT or len(categories) != 1:
        return
    lengths = [box.length_m for box in a.boxes]
    if None not in lengths:
        low = high = median(lengths)
    elif gsd_m is not None:
        bounds = [length_bounds_m(box, a.tile_shape, gsd_m) for box in a.boxes]
        low, high = (median(side) for side in zip(*bounds, strict=True))
    else:
        return
    [category] = categories
    least, most = size_bounds_m(category, said)
    if high < least or low > most:
        length = f"{low:.0f} m" if low == high else f"{low:.0f} to {high:.0f} m"
        yield (
            (C.TARGET_SIZE,),
            ("boxes",),
            (f"The targets' median length is {length}; a {said} {category} has {least:.0f} to {most:.0f} m."),
        )


@rule
def relations_fit_category(a: Annotation, gsd_m: float | None) -> Findings:
    """Ships are in water, aircraft on pavement."""
    for index, relation in enumerate(a.relations):
        if relation.predicate not in CONTAINMENT:
            continue
        wanted = "ship" if relation.predicate == "in" else "aircraft"
        if relation.subject == ALL_TARGETS:
            category, where = a.values.get(C.TARGET_CATEGORY, ABSENT), (C.TARGET_CATEGORY,)
            parts = (f"relations[{index}]",)
        else:
            category, where = a.boxes[relation.subject].category, ()
            parts = (f"boxes[{relation.subject}]", f"relations[{index}]")
        if category not in (wanted, ABSENT):
            yield where, parts, f"A {category} cannot be {relation.predicate} the {relation.object}."


@rule
def relations_fit_region(a: Annotation, gsd_m: float | None) -> Findings:
    """target_region is where the relations put all targets, or some of them if they say it of each."""
    said = a.values.get(C.TARGET_REGION)
    found = {index: relation for index, relation in enumerate(a.relations) if relation.predicate in CONTAINMENT}
    together = {index: relation for index, relation in found.items() if relation.subject == ALL_TARGETS}
    if said is not None:
        for index, relation in together.items():
            if relation.object != said:
                yield (
                    (C.TARGET_REGION,),
                    (f"relations[{index}]",),
                    (f"The target region is {said}, but all targets are {relation.predicate} the {relation.object}."),
                )
        single = {index: relation for index, relation in found.items() if index not in together}
        everyone = {relation.subject for relation in single.values()} == set(range(len(a.boxes)))
        if single and (everyone or said == ABSENT) and said not in {relation.object for relation in single.values()}:
            yield (
                (C.TARGET_REGION,),
                tuple(f"relations[{index}]" for index in single),
                (f"The target region is {said}, but no target is there."),
            )
    for index, relation in together.items():
        for other, second in found.items():
            if (other not in together or other > index) and second.object != relation.object:
                yield (
                    (),
                    (f"relations[{index}]", f"relations[{other}]"),
                    (
                        f"All targets are {relation.predicate} the {relation.object}, but "
                        f"{_name(second.subject)} is {second.predicate} the {second.object}."
                    ),
                )


@rule
def relations_fit_water(a: Annotation, gsd_m: float | None) -> Findings:
    """A region of water or its shore needs water in the tile, a road roads, buildings buildings."""
    for index, relation in enumerate(a.relations):
        clause = (
            C.WATER
            if relation.object in (*WATER_REGIONS, "shore")
            else C.ROAD
            if relation.object == "road"
            else C.BUILDING
            if relation.object == "buildings"
            else None
        )
        if clause is not None and a.values.get(clause) == ABSENT:
            yield (
                (clause,),
                (f"relations[{index}]",),
                (
                    f"{_name(relation.subject)} is {_words(relation.predicate)} the {relation.object}, but "
                    f"'{clause}' is none."
                ),
            )


@rule
def relations_fit_boxes(a: Annotation, gsd_m: float | None) -> Findings:
    """Where two boxes lie is what a relation between them says."""
    for index, relation in enumerate(a.relations):
        if not (isinstance(relation.subject, int) and isinstance(relation.object, int)):
            continue
        first, second = a.boxes[relation.subject], a.boxes[relation.object]
        parts = (f"boxes[{relation.subject}]", f"boxes[{relation.object}]", f"relations[{index}]")
        said = f"Target {relation.subject} is said to be {_words(relation.predicate)} target {relation.object}, but "
        if relation.predicate in DIRECTIONS and not _lies(first, second, relation.predicate):
            yield (), parts, said + f"the boxes have their centres at {_at(first)} and {_at(second)}."
        if relation.predicate in NEIGHBOURHOOD:
            gap = first.gap_to(second)
            if gap > reach_pixels(first, second, relation.predicate) + SLACK_PIXELS:
                yield (), parts, said + f"there are {gap:.0f} pixels between them."


def length_bounds_m(box: Box, tile_shape: tuple[int, int], gsd_m: float) -> tuple[float, float]:
    """Least and largest length in metres of a target that this upright box fits around.

    A target lies in its box at any angle, so it is at most as long as the diagonal. Its width is at most about its
    length (the wings of an aircraft), so the longer side is at most the square root of two times the length. A box
    that ends at the tile's edge may be cut off: any length fits it.
    """
    longer, diagonal = max(box.sides), math.hypot(*box.sides)
    cut = box.row_start == 0 or box.col_start == 0 or box.row_stop == tile_shape[0] or box.col_stop == tile_shape[1]
    low = max(longer - SLACK_PIXELS, 0.0) / math.sqrt(2)
    return low * gsd_m, math.inf if cut else (diagonal + SLACK_PIXELS) * gsd_m


def reach_pixels(first: Box, second: Box, predicate: str) -> float:
    """The widest gap in pixels at which two boxes are still beside or near one another."""
    return NEIGHBOURHOOD[predicate] * max(*first.sides, *second.sides)


def _lies(first: Box, second: Box, predicate: str) -> bool:
    """Whether the direction is at most one of eight off; of centres almost on the same spot nothing is known."""
    row, col = first.centre[0] - second.centre[0], first.centre[1] - second.centre[1]
    if math.hypot(row, col) <= SLACK_PIXELS:
        return True
    step = DIRECTIONS[predicate]
    cosine = (row * step[0] + col * step[1]) / (math.hypot(row, col) * math.hypot(*step))
    return cosine >= math.cos(math.radians(45)) - 1e-9


def _if_said(a: Annotation, clause: Clause) -> tuple[Clause, ...]:
    return (clause,) if clause in a.values else ()


def _name(subject: int | str) -> str:
    return "every target" if subject == ALL_TARGETS else f"target {subject}"


def _words(predicate: str) -> str:
    return predicate.replace("_", " ")


def _at(box: Box) -> str:
    return f"row {box.centre[0]:g}, column {box.centre[1]:g}"
