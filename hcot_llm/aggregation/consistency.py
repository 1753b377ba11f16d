"""HCoT level 5: rules that hold across the clauses of every scene, and where an annotation breaks them.

A rule looks only at clauses that are there, so it also checks a half-written annotation.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final

from hcot_llm.schema.clauses import ABSENT, TARGET_CLAUSES, Clause, check_value
from hcot_llm.schema.instances import PAVED_REGIONS, WATER_REGIONS

C = Clause
URBAN: Final = ("residential", "commercial_core", "industrial", "mixed_urban")
# Lengths in metres: what exists at all, and the bounds of small | medium | large.
LENGTH_RANGE_M: Final = {"ship": (5.0, 460.0), "aircraft": (5.0, 90.0)}
SIZE_LIMITS_M: Final = {"ship": (80.0, 200.0), "aircraft": (30.0, 50.0)}
POINT_PIXELS: Final = 12.0
# A blob's length is its target's within this factor for 98 in 100 simulated tiles where as many blobs as targets are
# measured: glints lengthen a target, its dark parts cut it.
MEASURING_FACTOR: Final = 1.5


@dataclass(frozen=True)
class Contradiction:
    """A broken rule. clauses, parts: those of which at least one must be wrong.

    clauses are in schema order; parts are boxes and relations by their place, such as "boxes[0]".
    """

    rule: str
    clauses: tuple[Clause, ...]
    message: str
    parts: tuple[str, ...] = ()


Values = Mapping[Clause, str]
Findings = Iterator[tuple[tuple[Clause, ...], str]]
RULES: Final[dict[str, Callable[[Values], Findings]]] = {}


def rule(function: Callable[[Values], Findings]) -> Callable[[Values], Findings]:
    """Register a rule under its function's name."""
    RULES[function.__name__] = function
    return function


def contradictions(
    values: Values, *, gsd_m: float | None = None, measured_pixels: Sequence[float] = ()
) -> list[Contradiction]:
    """Everything that cannot be true together, rule by rule in a fixed order; empty if consistent.

    Args:
        values: any clauses with values of the vocabulary.
        gsd_m: metres per pixel; with it, sizes are checked against what the resolution shows.
        measured_pixels: lengths of the bright blobs in the image, which may be the targets or not. They are held against
            the size where there are as many of them as targets are counted.

    Raises:
        SchemaError: a clause or value is unknown.
    """
    for clause, value in values.items():
        check_value(clause, value)
    found = [
        Contradiction(name, clauses, message)
        for name, function in RULES.items()
        for clauses, message in function(values)
    ]
    if gsd_m is not None:
        found += [
            Contradiction("size_fits_resolution", clauses, message)
            for clauses, message in _size_fits_resolution(values, gsd_m, measured_pixels)
        ]
    return found


@rule
def no_targets_no_description(v: Values) -> Findings:
    """Count 0, category none and every other target clause none go together."""
    said = [c for c in TARGET_CLAUSES if c in v]
    absent = [c for c in said if v[c] == (ABSENT if c is not C.TARGET_COUNT else "0")]
    present = [c for c in said if c not in absent]
    if absent and present:
        yield (
            tuple(said),
            (f"{_list(absent, v)} means that there are no targets, but {_list(present, v)} describes some."),
        )


@rule
def count_fits_arrangement(v: Values) -> Findings:
    """One target is single; a line needs three, a cluster or a scattered group two."""
    count, arrangement = v.get(C.TARGET_COUNT), v.get(C.TARGET_DISTRIBUTION)
    if count in (None, "0") or arrangement in (None, ABSENT):
        return
    least, most = {"single": (1, 1), "line": (3, 9), "cluster": (2, 9), "scattered": (2, 9)}[arrangement]
    if not least <= int(count) <= most:
        yield (C.TARGET_COUNT, C.TARGET_DISTRIBUTION), f"{count} targets cannot be arranged as {arrangement}."


@rule
def ships_need_water(v: Values) -> Findings:
    """A ship floats: the tile has water, its region and environment are of water."""
    if v.get(C.TARGET_CATEGORY) == "ship":
        if v.get(C.WATER) == ABSENT:
            yield (C.WATER, C.TARGET_CATEGORY), "There are ships, but the tile has no water."
        yield from _must(v, C.TARGET_CATEGORY, C.TARGET_REGION, (*WATER_REGIONS, ABSENT), "ships lie in water")
        yield from _must(
            v, C.TARGET_CATEGORY, C.TARGET_ENVIRONMENT, ("calm_water", "rough_water", ABSENT), "ships lie in water"
        )


@rule
def aircraft_need_pavement(v: Values) -> Findings:
    """Aircraft stand on the pavement of an apron or runway of an airport."""
    if v.get(C.TARGET_CATEGORY) == "aircraft":
        yield from _must(v, C.TARGET_CATEGORY, C.TARGET_REGION, (*PAVED_REGIONS, ABSENT), "aircraft stand on pavement")
        yield from _must(v, C.TARGET_CATEGORY, C.TARGET_ENVIRONMENT, ("pavement", ABSENT), "aircraft stand on pavement")
        if v.get(C.FUNCTIONALITY, "airport") != "airport":
            yield (
                (C.FUNCTIONALITY, C.TARGET_CATEGORY),
                (f"There are aircraft, but the area is {v[C.FUNCTIONALITY]} and no airport."),
            )


@rule
def region_fits_environment(v: Values) -> Findings:
    """Apron and runway are paved, the other regions are water; those need water in the tile."""
    region, environment = v.get(C.TARGET_REGION, ABSENT), v.get(C.TARGET_ENVIRONMENT, ABSENT)
    paved = (region in PAVED_REGIONS, environment == "pavement")
    if ABSENT not in (region, environment) and paved[0] != paved[1]:
        yield (
            (C.TARGET_REGION, C.TARGET_ENVIRONMENT),
            (f"Targets on the {region} cannot have {environment} around them."),
        )
    if region in WATER_REGIONS and v.get(C.WATER) == ABSENT:
        yield (C.WATER, C.TARGET_REGION), f"Targets lie on the {region}, but the tile has no water."
    if region == "sea" and v.get(C.WATER, "sea") not in ("sea", ABSENT):
        yield (C.WATER, C.TARGET_REGION), f"Targets lie on the sea, but the tile's water is a {v[C.WATER]}."


@rule
def open_water_everywhere(v: Values) -> Findings:
    """Terrain and functionality are open water together, and then the water is not absent."""
    terrain, use = v.get(C.TERRAIN), v.get(C.FUNCTIONALITY)
    if terrain and use and (terrain == "open_water") != (use == "open_water"):
        yield (
            (C.TERRAIN, C.FUNCTIONALITY),
            (f"The terrain is {terrain} and the area is {use}: both or neither are open water."),
        )
    if "open_water" in (terrain, use) and v.get(C.WATER) == ABSENT:
        yield (
            tuple(c for c in (C.TERRAIN, C.FUNCTIONALITY) if v.get(c) == "open_water") + (C.WATER,),
            ("The tile is open water, but its water is absent."),
        )


@rule
def no_town_in_open_water(v: Values) -> Findings:
    """Open water has no street grid, and its buildings are sparse. A highway may cross it on a bridge."""
    water = tuple(c for c in (C.TERRAIN, C.FUNCTIONALITY) if v.get(c) == "open_water")
    if water:
        if v.get(C.ROAD) == "grid":
            yield (*water, C.ROAD), "There cannot be a grid of roads in open water."
        if v.get(C.BUILDING) in ("medium", "dense"):
            yield (*water, C.BUILDING), f"Buildings cannot be {v[C.BUILDING]} in open water."


@rule
def coast_has_sea(v: Values) -> Findings:
    """A coast has water. Which one is not held against it: a river that ends there may be the larger."""
    if v.get(C.TERRAIN) == "coast" and v.get(C.WATER) == ABSENT:
        yield (C.TERRAIN, C.WATER), "The terrain is a coast, but there is no water."


@rule
def port_has_water(v: Values) -> Findings:
    """A port lies at water."""
    if v.get(C.FUNCTIONALITY) == "port" and v.get(C.WATER) == ABSENT:
        yield (C.FUNCTIONALITY, C.WATER), "The area is a port, but there is no water."


@rule
def buildings_have_a_place(v: Values) -> Findings:
    """Buildings, their distribution and their layout are absent together."""
    said = [c for c in (C.DISTRIBUTION, C.LAYOUT, C.BUILDING) if c in v]
    if len({v[c] == ABSENT for c in said}) == 2:
        yield tuple(said), f"Either all or none of these are absent: {_list(said, v)}."


@rule
def towns_have_buildings(v: Values) -> Findings:
    """Residential, commercial, industrial and mixed urban areas have buildings."""
    if v.get(C.FUNCTIONALITY) in URBAN and v.get(C.BUILDING) == ABSENT:
        yield (C.FUNCTIONALITY, C.BUILDING), f"The area is {v[C.FUNCTIONALITY]}, but there are no buildings."


def _size_fits_resolution(v: Values, gsd_m: float, measured: Sequence[float]) -> Findings:
    """Size times resolution is within the category's range."""
    category, size, feature = (v.get(c, ABSENT) for c in (C.TARGET_CATEGORY, C.TARGET_SIZE, C.TARGET_FEATURE))
    if category == ABSENT:
        return
    longest = LENGTH_RANGE_M[category][1]
    low, high = size_bounds_m(category, size)
    # Feature "point" is about the longest target, which is at least as long as the median one.
    if feature == "point" and low / gsd_m >= POINT_PIXELS:
        yield (
            (C.TARGET_FEATURE, C.TARGET_SIZE, C.TARGET_CATEGORY),
            (f"A {size} {category} has at least {low / gsd_m:.0f} pixels at {gsd_m:g} m and is no point."),
        )
    if feature == "extended" and longest / gsd_m < POINT_PIXELS:
        yield (
            (C.TARGET_FEATURE, C.TARGET_CATEGORY),
            (f"No {category} reaches {POINT_PIXELS:.0f} pixels at {gsd_m:g} m: none is extended."),
        )
    if measured and str(len(measured)) == v.get(C.TARGET_COUNT):
        pixels = median(measured)
        if not low / MEASURING_FACTOR <= pixels * gsd_m <= high * MEASURING_FACTOR:
            yield (
                (C.TARGET_COUNT, C.TARGET_CATEGORY, C.TARGET_SIZE),
                (
                    f"The {len(measured)} bright blobs have a median length of {pixels:.0f} pixels of {gsd_m:g} m, "
                    f"{pixels * gsd_m:.0f} m; a {size} {category} has {low:.0f} to {high:.0f} m."
                ),
            )


def size_bounds_m(category: str, size: str) -> tuple[float, float]:
    """Least and largest length in metres of a ship or aircraft of a size class; of "none", of any."""
    (shortest, longest), (small, large) = LENGTH_RANGE_M[category], SIZE_LIMITS_M[category]
    return {
        ABSENT: (shortest, longest),
        "small": (shortest, small),
        "medium": (small, large),
        "large": (large, longest),
    }[size]


def _must(v: Values, why: Clause, clause: Clause, allowed: tuple[str, ...], reason: str) -> Findings:
    if clause in v and v[clause] not in allowed:
        yield (why, clause), f"'{clause}' is {v[clause]}, but {reason}."


def _list(clauses: list[Clause], v: Values) -> str:
    return ", ".join(f"{c} {v[c]}" for c in clauses)
