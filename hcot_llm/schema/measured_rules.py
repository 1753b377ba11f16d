"""Rules of level 5 that need a measurement: code by name, bound by a schema to its clauses.

A schema says which of its clauses plays which role of a rule; where it names no rule of this kind, none is checked.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from corpus.registry import Registry
from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.parts import Measured

Findings = Iterator[tuple[tuple[str, ...], str]]


@dataclass(frozen=True)
class MeasuredRule:
    """Code of a rule that measures.

    Attributes:
        roles: Roles that a schema has to bind to clauses.
        more: Roles that a schema may bind.
        parameters: Name -> type of each further setting.
        check: Takes the schema, its binding, the annotated values, the ground sample distance in metres per pixel and
            the lengths of bright blobs in pixels. Yields clauses of which at least one must be wrong, and a message.
    """

    roles: tuple[str, ...]
    more: tuple[str, ...]
    parameters: Mapping[str, type]
    check: Callable[[AnnotationSchema, Measured, Mapping[str, str], float, Sequence[float]], Findings]


MEASURED_RULES: Registry[MeasuredRule] = Registry("measured rule")


def _size_fits_resolution(
    schema: AnnotationSchema, rule: Measured, values: Mapping[str, str], gsd_m: float, measured: Sequence[float]
) -> Findings:
    """Size times resolution is within the category's range."""
    of, settings = rule.clauses, rule.parameters
    said = {role: values.get(clause, schema.absence.get(clause, "")) for role, clause in of.items()}
    category, size, feature = said["category"], said["size"], said.get("feature")
    if category not in rule.lengths_m:
        return
    sizes = rule.lengths_m[category]
    shortest, longest = min(low for low, _ in sizes.values()), max(high for _, high in sizes.values())
    low, high = sizes.get(size, (shortest, longest))
    point_pixels = float(settings["point_pixels"])
    # Feature "point" is about the longest target, which is at least as long as the median one.
    if feature == settings["point"] and low / gsd_m >= point_pixels:
        yield (
            (of["feature"], of["size"], of["category"]),
            f"A {size} {category} has at least {low / gsd_m:.0f} pixels at {gsd_m:g} m and is no point.",
        )
    if feature == settings["extended"] and longest / gsd_m < point_pixels:
        yield (
            (of["feature"], of["category"]),
            f"No {category} reaches {point_pixels:.0f} pixels at {gsd_m:g} m: none is extended.",
        )
    if measured and "count" in of and str(len(measured)) == values.get(of["count"]):
        pixels, factor = median(measured), float(settings["blob_factor"])
        if not low / factor <= pixels * gsd_m <= high * factor:
            yield (
                (of["count"], of["category"], of["size"]),
                f"The {len(measured)} bright blobs have a median length of {pixels:.0f} pixels of {gsd_m:g} m, "
                f"{pixels * gsd_m:.0f} m; a {size} {category} has {low:.0f} to {high:.0f} m.",
            )


MEASURED_RULES.add(
    "size_fits_resolution",
    MeasuredRule(
        roles=("category", "size"),
        more=("feature", "count"),
        parameters={"point": str, "extended": str, "point_pixels": float, "blob_factor": float},
        check=_size_fits_resolution,
    ),
)
