"""HCoT level 5: where an annotation breaks the rules of its schema.

A rule looks only at clauses that are there, so it also checks a half-written annotation.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.measured_rules import MEASURED_RULES
from hcot_llm.schema.parts import Case, OtherThan, Rule

_Values = Mapping[str, str]
_Findings = Iterator[tuple[tuple[str, ...], str]]


@dataclass(frozen=True)
class Contradiction:
    """A broken rule.

    Attributes:
        rule: Name of the rule.
        clauses: Clauses of which at least one must be wrong.
        message: What contradicts what, in plain English.
    """

    rule: str
    clauses: tuple[str, ...]
    message: str


def contradictions(
    schema: AnnotationSchema, values: _Values, *, gsd_m: float | None = None, measured_pixels: Sequence[float] = ()
) -> list[Contradiction]:
    """Find the rules that an annotation breaks.

    Args:
        schema: The schema with the rules.
        values: Any clauses with values of the vocabulary.
        gsd_m: Ground sample distance in metres per pixel; without it the rules that measure are not checked.
        measured_pixels: Lengths, in pixels, of the bright blobs in the image, which may be the targets or not. They
            are compared with the annotated size where there are as many blobs as annotated targets.

    Returns:
        The broken rules in the order of the schema; empty for a consistent annotation.

    Raises:
        SchemaError: A clause or value is unknown.
    """
    for clause, value in values.items():
        schema.check_value(clause, value)
    found = []
    for rule in schema.rules:
        if rule.measured is None:
            findings = _block(schema, rule, values) if rule.block is not None else _cases(rule, values)
        elif gsd_m is not None:
            check = MEASURED_RULES.find(rule.measured.kind).check
            findings = check(schema, rule.measured, values, gsd_m, measured_pixels)
        else:
            continue
        found += [Contradiction(rule.name, clauses, message) for clauses, message in findings]
    return found


def _block(schema: AnnotationSchema, rule: Rule, values: _Values) -> _Findings:
    """Find a block of which some clauses are absent and others are not."""
    block = next(block for block in schema.blocks if block.name == rule.block)
    said = [clause for clause in block.clauses if clause in values]
    absent = [clause for clause in said if values[clause] == schema.absence[clause]]
    present = [clause for clause in said if clause not in absent]
    if absent and present:
        groups = {"said": said, "absent": absent, "present": present}
        yield (
            tuple(said),
            _filled(
                rule.message or "",
                {
                    name: ", ".join(f"{clause} {values[clause]}" for clause in clauses)
                    for name, clauses in groups.items()
                },
            ),
        )


def _cases(rule: Rule, values: _Values) -> _Findings:
    for case in rule.cases:
        if (clauses := _broken(case, values)) is not None:
            yield clauses, _filled(case.message, values)


def _broken(case: Case, values: _Values) -> tuple[str, ...] | None:
    """The clauses that together make up a forbidden case; None where the case does not hold."""
    some = tuple(clause for clause, allowed in case.any_of.items() if _is(values.get(clause), allowed))
    if case.any_of and not some:
        return None
    if not all(_is(values.get(clause), allowed) for clause, allowed in case.all_of.items()):
        return None
    return (*some, *case.all_of)


def _is(value: str | None, allowed: tuple[str, ...] | OtherThan) -> bool:
    if value is None:
        return False
    return value not in allowed.other_than if isinstance(allowed, OtherThan) else value in allowed


def _filled(message: str, words: Mapping[str, str]) -> str:
    return re.sub(r"\{(\w+)\}", lambda match: words[match[1]], message)
