"""How boxes, lengths, headings, relations and the tile's size are said, and patterns that read it back.

In language targets are counted from 1, and the last row and column of a box are named. A pattern is made from its
template, so that what is said and what is read cannot differ.
"""

import re
from typing import Final

from hcot_llm.schema.instances import ALL_TARGETS, CATEGORIES, PREDICATES, REGIONS, Box, Relation

SHAPE: Final = (
    "The tile has {rows} rows and {cols} columns.",
    "The tile is {rows} rows by {cols} columns.",
    "There are {rows} rows and {cols} columns in the tile.",
    "The image measures {rows} rows and {cols} columns.",
)
BOX: Final = (
    "Target {number} is a {category} at rows {top} to {bottom} and columns {left} to {right}.",
    "Target {number}, a {category}, covers rows {top} to {bottom} and columns {left} to {right}.",
    "A {category} lies in rows {top} to {bottom} and columns {left} to {right}: target {number}.",
    "Rows {top} to {bottom} and columns {left} to {right} hold target {number}, a {category}.",
    "From row {top} to {bottom} and from column {left} to {right} there is target {number}, a {category}.",
)
LENGTH: Final = (
    "Target {number} is {metres} m long.",
    "The length of target {number} is {metres} m.",
    "Target {number} has a length of {metres} m.",
    "From end to end target {number} measures {metres} m.",
)
HEADING: Final = (
    "Target {number} heads {degrees} degrees.",
    "The heading of target {number} is {degrees} degrees.",
    "Target {number} has a heading of {degrees} degrees.",
    "Target {number} points to {degrees} degrees.",
)
# {are} is "is" for one target and "are" for all.
RELATION: Final = (
    "{subject} {are} {predicate} {object}.",
    "As to place, {subject} {are} {predicate} {object}.",
    "One sees that {subject} {are} {predicate} {object}.",
    "In the tile {subject} {are} {predicate} {object}.",
    "{subject} {are} found {predicate} {object}.",
)
_EVERYONE: Final = "all targets"

_FIELDS: Final = {
    **dict.fromkeys(("number", "rows", "cols", "top", "bottom", "left", "right"), r"\d{1,9}"),
    **dict.fromkeys(("metres", "degrees"), r"\d[\d.e+-]*"),
    "category": "|".join(CATEGORIES),
    "are": "is|are",
    "subject": rf"[Tt]arget \d{{1,9}}|[Aa]{_EVERYONE[1:]}",
    "predicate": "|".join(sorted((name.replace("_", " ") for name in PREDICATES), key=len, reverse=True)),
    "object": rf"target \d{{1,9}}|the (?:{'|'.join(REGIONS)})",
}


def shape_sentence(shape: tuple[int, int], variant: int) -> str:
    """The size of a tile of (rows, columns) pixels."""
    return _say(SHAPE, variant, rows=shape[0], cols=shape[1])


def box_sentences(index: int, box: Box, variant: int) -> list[str]:
    """One to three sentences on a box: where it is and, if known, its length and heading."""
    sentences = [
        _say(
            BOX,
            variant,
            number=index + 1,
            category=box.category,
            top=box.row_start,
            bottom=box.row_stop - 1,
            left=box.col_start,
            right=box.col_stop - 1,
        )
    ]
    if box.length_m is not None:
        sentences.append(_say(LENGTH, variant // len(BOX), number=index + 1, metres=repr(float(box.length_m))))
    if box.heading_deg is not None:
        sentences.append(
            _say(HEADING, variant // (len(BOX) * len(LENGTH)), number=index + 1, degrees=repr(float(box.heading_deg)))
        )
    return sentences


def relation_sentence(relation: Relation, variant: int) -> str:
    """A relation, targets counted from 1."""
    text = _say(
        RELATION,
        variant,
        subject=_name(relation.subject),
        predicate=relation.predicate.replace("_", " "),
        object=_name(relation.object),
        are="are" if relation.subject == ALL_TARGETS else "is",
    )
    return text[0].upper() + text[1:]


def read_sentence(text: str) -> tuple[str, dict[str, str]] | None:
    """Kind (shape, box, length, heading, relation) and fields of a sentence of ours; None for any other."""
    for kind, patterns in _PATTERNS.items():
        for pattern in patterns:
            if (match := pattern.fullmatch(text)) is not None:
                return kind, match.groupdict()
    return None


def read_relation(fields: dict[str, str]) -> dict[str, object]:
    """The parts of a Relation from what read_sentence found."""
    return {
        "subject": _meant(fields["subject"]),
        "predicate": fields["predicate"].replace(" ", "_"),
        "object": _meant(fields["object"]),
    }


def _say(templates: tuple[str, ...], variant: int, **fields: object) -> str:
    return templates[variant % len(templates)].format(**fields)


def _name(part: int | str) -> str:
    return f"target {part + 1}" if isinstance(part, int) else _EVERYONE if part == ALL_TARGETS else f"the {part}"


def _meant(name: str) -> int | str:
    kind, _, rest = name.lower().partition(" ")
    return int(rest) - 1 if kind == "target" else ALL_TARGETS if kind == "all" else rest


def _pattern(template: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", template)
    return re.compile(
        "".join(
            re.escape(part) if index % 2 == 0 else f"(?P<{part}>{_FIELDS[part]})" for index, part in enumerate(parts)
        )
    )


_PATTERNS: Final = {
    kind: tuple(map(_pattern, templates))
    for kind, templates in {
        "shape": SHAPE,
        "box": BOX,
        "length": LENGTH,
        "heading": HEADING,
        "relation": RELATION,
    }.items()
}
