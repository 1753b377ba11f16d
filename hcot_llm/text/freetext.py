"""Free-text landform clauses, as language models write them, mapped to values of the schema by keywords.

Only what is stated is mapped: a text that names no value of its clause gives None, and the text itself is
always kept.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from hcot_llm.schema.errors import SchemaError
from hcot_llm.text.freetext_rules import (
    ABSENT,
    HEDGE,
    MIXED,
    NEGATION,
    NEGATION_AFTER,
    QUALIFIER,
    RULES,
    SEGMENT_END,
    KeywordRules,
)

# The keys of a FUSAR-KLIP record, and what stands before the text proper.
FUSAR_KEYS: Final[dict[str, str]] = {
    "Terrain": "terrain",
    "Functionality": "functionality",
    "Distribution": "distribution",
    "Layout": "layout",
    "Boundary": "boundary",
    "Buildings": "building",
    "Roads": "road",
    "Water": "water",
}
_LEAD_IN = re.compile(
    r"^\s*(?:The terrain is classified as|The area functionality is described as"
    r"|[A-Z]\w+ (?:presence|features|layout|"
    r"distribution):)\s*",
    re.IGNORECASE,
)
_QUALIFIED_DENIAL: Final = 4
_TOWN_USES: Final = ("residential", "commercial_core", "industrial")


@dataclass(frozen=True)
class Evidence:
    """One statement found in a text.

    Attributes:
        value: The value that it states.
        rank: Strength of the statement; 0 is the strongest. Of equal ranks the earlier statement counts.
        position: Number of characters of the text before it.
        hedged: Whether it is hedged.
    """

    value: str
    rank: int
    position: int
    hedged: bool


@dataclass(frozen=True)
class FusarRecord:
    """One record, by clause of the default schema.

    Attributes:
        texts: Clause -> its text, unchanged.
        values: Clause -> the value that its text states; clauses without one are left out.
        hedged: Clauses whose text is hedged.
    """

    texts: dict[str, str]
    values: dict[str, str]
    hedged: tuple[str, ...]


@dataclass(frozen=True)
class ClauseShare:
    """How many records state a value of one clause.

    Attributes:
        records: Number of records.
        mapped: Share of all records whose text states a value, in 0..1.
        hedged: Share of all records whose text states a value and is hedged, in 0..1.
    """

    records: int
    mapped: float
    hedged: float


def parse_fusar_record(record: Mapping[str, object]) -> FusarRecord:
    """Read one FUSAR-KLIP record.

    Args:
        record: A JSON object with the eight landform keys.

    Raises:
        SchemaError: The record is no object, a key is missing, or a value is no text.
    """
    if not isinstance(record, Mapping):
        raise SchemaError(f"A FUSAR-KLIP record is a JSON object, not a {type(record).__name__}.")
    texts: dict[str, str] = {}
    for key, clause in FUSAR_KEYS.items():
        text = record.get(key)
        if not isinstance(text, str) or not text.strip():
            raise SchemaError(
                f"FUSAR-KLIP record {record.get('image_id', '?')} has no text under '{key}'. "
                f"Expected the keys {', '.join(FUSAR_KEYS)}."
            )
        texts[clause] = text
    found = {clause: read_clause(clause, text) for clause, text in texts.items()}
    return FusarRecord(
        texts,
        {clause: value for clause, (value, _) in found.items() if value is not None},
        tuple(clause for clause, (_, hedged) in found.items() if hedged),
    )


def clause_shares(records: Iterable[Mapping[str, object]]) -> dict[str, ClauseShare]:
    """Per landform clause the share of records that state a value.

    Args:
        records: FUSAR-KLIP records.

    Raises:
        SchemaError: There is no record, or one cannot be read.
    """
    annotations = [parse_fusar_record(record) for record in records]
    if not annotations:
        raise SchemaError("There are no records to map.")
    total = len(annotations)
    return {
        clause: ClauseShare(
            total,
            sum(clause in a.values for a in annotations) / total,
            sum(clause in a.values and clause in a.hedged for a in annotations) / total,
        )
        for clause in FUSAR_KEYS.values()
    }


def read_clause(clause: str, text: str) -> tuple[str | None, bool]:
    """Read the value that a free text states for a landform clause.

    Args:
        clause: Name of a landform clause.
        text: The free text.

    Returns:
        The value, or None where the text states none; and whether the statement is hedged. Without a value the second
        says whether any part of the text is hedged.

    Raises:
        SchemaError: The clause is no landform clause.
    """
    if clause not in RULES:
        raise SchemaError(f"There are no keywords for clause '{clause}': free text is read for landform clauses only.")
    body = _LEAD_IN.sub("", text)
    evidence = sorted(_evidence(clause, body), key=lambda e: (e.rank, e.position))
    if not evidence:
        return None, bool(HEDGE.search(body))
    best = evidence[0]
    if clause == "functionality":
        return _urban_mix(best, evidence, body), best.hedged
    if best.rank == _QUALIFIED_DENIAL and _affirmed(clause, body):
        return None, bool(HEDGE.search(body))
    if clause == "road" and best.value == "highway":
        # "Major roads forming a grid" are a grid; a "major road network" alone is not.
        grids = [
            e
            for e in evidence
            if e.value == "grid" and e.rank == best.rank and not body[e.position :].lower().startswith("network")
        ]
        return ("grid", grids[0].hedged) if grids else (best.value, best.hedged)
    return best.value, best.hedged


def _affirmed(clause: str, body: str) -> bool:
    """Whether a segment without a negation speaks of the thing itself: "possible farm roads, no highways"."""
    noun = RULES[clause].noun
    return noun is not None and any(
        noun.search(segment) and not NEGATION.search(segment) for _, segment in _segments(body)
    )


def _urban_mix(best: Evidence, evidence: list[Evidence], body: str) -> str:
    """Several urban uses stated side by side, or a use that is said to be mixed, are a mixed urban area."""
    mixed = MIXED.search(body)
    if (
        mixed is not None
        and best.value in (*_TOWN_USES, "mixed_urban")
        and mixed.start()
        <= min((e.position for e in evidence if e.value in _TOWN_USES and e.rank == best.rank), default=mixed.start())
    ):
        return "mixed_urban"
    uses = {e.value for e in evidence if e.value in _TOWN_USES and e.rank == best.rank}
    if best.value in (*_TOWN_USES, "mixed_urban"):
        urban_first = any(e.value == "mixed_urban" and e.position <= best.position for e in evidence)
        explicit = urban_first and len(uses) != 1
        return "mixed_urban" if explicit or len(uses) > 1 or not uses else uses.pop()
    return best.value


def _evidence(clause: str, body: str) -> Iterable[Evidence]:
    rules = RULES[clause]
    for start, segment in _segments(body):
        scope = rules.scope.search(segment) if rules.scope is not None else None
        if rules.scope is not None and scope is None:
            continue
        hedge = HEDGE.search(segment)
        negation = NEGATION.search(segment)
        # "Hills in the north, no urban zones": where the hills lie is not where the town lies.
        denied = scope is not None and negation is not None and negation.start() < scope.start()
        for value, pattern in () if denied else rules.values.items():
            for match in pattern.finditer(segment):
                negated = negation is not None and (
                    negation.start() <= match.start() or _denied_after(segment, match.end())
                )
                hedged = hedge is not None
                if not negated:
                    yield Evidence(value, 2 if hedged else 0, start + match.start(), hedged)
                elif value in rules.negated:
                    yield Evidence(rules.negated[value], 3, start + match.start(), hedged)
        if negation is not None and _denies(rules, segment, negation):
            between = segment[negation.end() :]
            qualified = QUALIFIER.search(between) is not None
            # "no large lakes, possibly ponds": the hedged mention says more than the qualified denial.
            yield Evidence(ABSENT, _QUALIFIED_DENIAL if qualified else 1, start + negation.start(), hedge is not None)


def _denies(rules: KeywordRules, segment: str, negation: re.Match[str]) -> bool:
    """Whether a negation is about the subject: "no buildings", "buildings are absent", or "none" alone."""
    if rules.subject is None or segment[: negation.start()].endswith(" or "):  # "sparse or absent" leaves it open
        return False
    if rules.aspect is not None and rules.aspect.search(segment, negation.end()):
        return False
    if rules.subject.search(segment, negation.end()):
        return True
    if rules.subject.search(segment, 0, negation.start()) and NEGATION_AFTER.search(segment):
        return True
    return not segment[negation.end() :].strip(" .,:")


def _denied_after(segment: str, position: int) -> bool:
    """Whether what stands before `position` is denied in the same breath: "major roads are not visible".

    "Sparse or absent" leaves it open.
    """
    match = NEGATION_AFTER.search(segment, position)
    if match is None or match.start() - position > 60:
        return False
    between = segment[position : match.start()]
    return "," not in between and not between.rstrip().endswith(" or")


def _segments(body: str) -> Iterable[tuple[int, str]]:
    start = 0
    for match in SEGMENT_END.finditer(body):
        if body[start : match.start()].strip():
            yield start, body[start : match.start()].lstrip()
        start = match.end()
    if body[start:].strip():
        yield start, body[start:].lstrip()
