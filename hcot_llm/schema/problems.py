"""What is wrong with a schema, in words: everything that its types do not say."""

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator

from hcot_llm.schema.annotation_schema import AnnotationSchema
from hcot_llm.schema.parts import PLACEHOLDER, AccuracyByValue, Block, Case, Clause, OtherThan, Rule, first_piece

MOST_VALUES = 50
"""Values of a clause: engines tell the probabilities of at most 64 tokens that could begin one."""
LOCATIONS = (("northwest", "north", "northeast"), ("west", "center", "east"), ("southwest", "south", "southeast"))
"""Cells of the 3 x 3 grid; north is the top of the tile."""
_VALUE = re.compile(r"[a-z][a-z0-9_]*|[0-9]+")
_RESERVED = ("place", "hint", "ask")
_METRIC_NAMES = re.compile(r"(stated|training_targets|(rare|common)(_.*)?)")
"""Endings of other metrics annotation_accuracy_...; a group has a metric of its own there."""


def find_problems(schema: AnnotationSchema) -> list[str]:
    """Everything that is wrong, one sentence each; empty for a schema that can be used.

    Errors of one part may hide those of the parts that refer to it.
    """
    if found := [*_levels(schema), *_clauses(schema)]:
        return found
    found = [*_sentences(schema), *_blocks(schema)]
    return found or [*_rules(schema)]


def _levels(schema: AnnotationSchema) -> Iterator[str]:
    if not schema.levels:
        yield "levels: there is none; give at least one."
    yield from _repeated("levels", (str(level.level) for level in schema.levels))
    yield from _repeated("levels", (level.word for level in schema.levels))
    for level in schema.levels:
        if level.word in _RESERVED:
            yield f"level {level.level}: the prompt uses the word '{level.word}' itself; choose another."
    known = {level.level for level in schema.levels}
    for clause in schema.clauses:
        if clause.level not in known:
            yield f"clause {clause.name}: level {clause.level} is not among `levels`."


def _clauses(schema: AnnotationSchema) -> Iterator[str]:
    if not schema.clauses:
        yield "clauses: there is none; give at least one."
    yield from _repeated("clauses", (clause.name for clause in schema.clauses))
    for clause in schema.clauses:
        yield from (f"clause {clause.name}: {problem}" for problem in _clause(clause))
        if clause.name == "tile_id":
            yield "clause tile_id: tables have a column of that name already; choose another."
        if _METRIC_NAMES.fullmatch(clause.group):
            yield f"clause {clause.name}: another metric than its group's is called '{clause.group}'; rename the group."
    for clause in schema.clauses:
        if isinstance(clause.accuracy, AccuracyByValue):
            by = next((other for other in schema.clauses if other.name == clause.accuracy.by), None)
            if by is None:
                yield f"clause {clause.name}: accuracy depends on '{clause.accuracy.by}', which is no clause."
            elif missing := set(by.values) ^ set(clause.accuracy.accuracy):
                yield f"clause {clause.name}: accuracy by {by.name} has to name all its values; see: {_list(missing)}."


def _clause(clause: Clause) -> Iterator[str]:
    values = clause.values
    if not 2 <= len(values) <= MOST_VALUES:
        yield f"it has {len(values)} values; a clause takes 2 to {MOST_VALUES}."
    yield from _repeated("values", values)
    for value in values:
        if not _VALUE.fullmatch(value):
            yield f"value '{value}' is no word of lower-case letters, digits and underscores, and no number."
    words = Counter(_first_word(value) for value in dict.fromkeys(values))
    for word in (word for word, count in words.items() if count > 1):
        same = [value for value in values if _first_word(value) == word]
        yield (
            f"values {' and '.join(same)} begin with the same word '{word}'; the first token of an answer has to tell "
            "the value, so rename one."
        )
    if clause.absence is not None and clause.absence not in values:
        yield f"absence '{clause.absence}' is none of its values."
    if not clause.templates:
        yield "it has no templates."
    for template in clause.templates:
        if template.count(PLACEHOLDER) != 1:
            yield f"template {template!r} needs {PLACEHOLDER} once, in place of the value."
    if clause.absence_sentences and clause.absence is None:
        yield "it has absence_sentences and no absence value."
    if clause.absence_sentences and len(clause.absence_sentences) != len(clause.templates):
        yield f"it has {len(clause.absence_sentences)} absence_sentences for {len(clause.templates)} templates."
    for text in (*clause.templates, *clause.absence_sentences):
        if not text.endswith(".") or re.search(r"\.\s", text) or text != " ".join(text.split()):
            yield f"{text!r} is not one sentence with a full stop at its end alone, and single spaces."
    yield from _unknown("phrases", clause.phrases, values)
    yield from _accuracy(clause)
    for true, instead in clause.confusions.items():
        yield from _unknown("confusions", [true, *instead], values)
        if true in instead:
            yield f"confusions take '{true}' for itself."
        if any(not math.isfinite(weight) or weight <= 0 for weight in instead.values()):
            yield f"confusions of '{true}' have a weight that is not above 0."
    if clause.geography is not None and clause.geography.value not in (None, *values):
        yield f"geography says '{clause.geography.value}', which is none of its values."
    if clause.kind == "count" and not all(value.isdecimal() for value in values):
        yield "it is a count, yet has a value that is no number."
    if clause.kind == "location":
        cells = {name for row in LOCATIONS for name in row}
        if set(values) - {clause.absence} != cells:
            yield f"it is a location, so its values are {_list(cells)}, and its absence value."


def _accuracy(clause: Clause) -> Iterator[str]:
    given = clause.accuracy
    if given is None:
        return
    for accuracy in given.accuracy.values() if isinstance(given, AccuracyByValue) else [given]:
        if not 0 < accuracy <= 1:
            yield f"accuracy {accuracy:g} is not above 0 and at most 1."


def _sentences(schema: AnnotationSchema) -> Iterator[str]:
    meanings: dict[str, tuple[str, str]] = {}
    for clause in schema.clauses:
        for value in clause.values:
            for variant in range(len(clause.templates)):
                text = schema.sentence(clause.name, value, variant)
                other = meanings.setdefault(text, (clause.name, value))
                if other != (clause.name, value):
                    yield f"{text!r} says both {other[0]} {other[1]} and {clause.name} {value}: reword one."


def _blocks(schema: AnnotationSchema) -> Iterator[str]:
    yield from _repeated("blocks", (block.name for block in schema.blocks))
    yield from _repeated("blocks", (clause for block in schema.blocks for clause in block.clauses))
    for block in schema.blocks:
        for problem in _block(schema, block):
            yield f"block {block.name}: {problem}"
        if block.name == "tile":
            yield "block tile: the name stands for the whole annotation already; choose another."


def _block(schema: AnnotationSchema, block: Block) -> Iterator[str]:
    yield from _unknown("clauses", block.clauses, schema.names)
    if len(block.clauses) < 2:
        yield "it needs at least two clauses."
    for name in block.clauses:
        if name in schema.names and name not in schema.absence:
            yield f"clause {name} has no absence value, so it cannot be absent with the others."
    if block.invented is None or any(name not in schema.absence for name in block.clauses):
        return
    invented = block.invented
    if invented.by not in block.clauses:
        yield f"invented.by is '{invented.by}', which is none of its clauses."
        return
    kinds = schema.clause(invented.by)
    yield from _unknown("invented.shares", invented.shares, kinds.values)
    if set(invented.shares) != set(kinds.values) or not math.isclose(sum(invented.shares.values()), 1):
        yield f"invented.shares have to name every value of {invented.by} and add up to 1."
    if not math.isclose(sum(kind.share for kind in invented.kinds), 1):
        yield "the shares of invented.kinds have to add up to 1."
    for kind in invented.kinds:
        if kind.value not in kinds.values or kind.value == kinds.absence:
            yield f"invented.kinds: '{kind.value}' is no value of {invented.by} that is there."
        said = [invented.by]
        for aspect in kind.aspects:
            if aspect.clause not in block.clauses:
                yield f"invented {kind.value}: '{aspect.clause}' is none of its clauses."
                continue
            values = schema.vocabulary[aspect.clause]
            instead = [] if aspect.instead is None else [aspect.instead]
            yield from _unknown(f"invented {kind.value}", [*aspect.weights, *aspect.any_of, *instead], values)
            if bool(aspect.weights) == bool(aspect.any_of):
                yield f"invented {kind.value}: give {aspect.clause} either weights or any_of."
            if bool(aspect.unless) != bool(instead) or any(name not in said for name in aspect.unless):
                yield f"invented {kind.value}: unless of {aspect.clause} needs instead, and clauses before it."
            said.append(aspect.clause)
        if sorted(said) != sorted(block.clauses):
            yield f"invented {kind.value}: its aspects have to name each of the block's other clauses once."


def _rules(schema: AnnotationSchema) -> Iterator[str]:
    yield from _repeated("rules", (rule.name for rule in schema.rules))
    for rule in schema.rules:
        yield from (f"rule {rule.name}: {problem}" for problem in _rule(schema, rule))
    ruled = {rule.block for rule in schema.rules}
    for block in schema.blocks:
        if block.name not in ruled:
            yield f"block {block.name}: no rule says that its clauses are absent together; add `block: {block.name}`."


def _rule(schema: AnnotationSchema, rule: Rule) -> Iterator[str]:
    if sum((rule.block is not None, bool(rule.cases), rule.measured is not None)) != 1:
        yield "give one of block, cases and measured."
        return
    if rule.block is not None:
        if rule.block not in {block.name for block in schema.blocks}:
            yield f"there is no block '{rule.block}'."
        if not rule.message:
            yield "a rule of a block needs a message."
    for case in rule.cases:
        yield from _case(schema, case)
    if rule.measured is not None:
        yield from _measured(schema, rule)


def _case(schema: AnnotationSchema, case: Case) -> Iterator[str]:
    conditions = [*case.any_of.items(), *case.all_of.items()]
    if len({clause for clause, _ in conditions}) < 2 or set(case.any_of) & set(case.all_of):
        yield "a case names at least two clauses, each once."
    for clause, allowed in conditions:
        if clause not in schema.names:
            yield f"there is no clause '{clause}'."
            continue
        values = allowed.other_than if isinstance(allowed, OtherThan) else allowed
        if not values:
            yield f"no value of {clause} is named."
        for value in values:
            if value not in schema.vocabulary[clause]:
                yield f"'{value}' is no value of clause '{clause}'."
    always = case.all_of if case.any_of else {**case.any_of, **case.all_of}
    for name in re.findall(r"\{(\w*)\}", case.message):
        if name not in always:
            yield f"its message names {{{name}}}, which is no clause of all_of."


def _measured(schema: AnnotationSchema, rule: Rule) -> Iterator[str]:
    from hcot_llm.schema.measured_rules import MEASURED_RULES

    measured = rule.measured
    assert measured is not None
    if measured.kind not in MEASURED_RULES:
        yield f"there is no measured rule '{measured.kind}'; there are: {', '.join(sorted(MEASURED_RULES))}."
        return
    code = MEASURED_RULES[measured.kind]
    yield from _unknown("clauses", measured.clauses.values(), schema.names)
    if not set(code.roles) <= set(measured.clauses) <= {*code.roles, *code.more}:
        yield f"it takes clauses for {', '.join(code.roles)}, and perhaps {', '.join(code.more) or 'nothing'}."
    if set(measured.parameters) != set(code.parameters):
        yield f"its parameters are {', '.join(code.parameters)}."
    for name, kind in code.parameters.items():
        if name in measured.parameters and not isinstance(
            measured.parameters[name], (kind, int) if kind is float else kind
        ):
            yield f"parameter {name} has to be a {'number' if kind is float else 'value'}."
    category, size = (schema.vocabulary.get(measured.clauses.get(role, ""), ()) for role in ("category", "size"))
    for name, sizes in measured.lengths_m.items():
        yield from _unknown("lengths_m", [name], category)
        yield from _unknown(f"lengths_m of {name}", sizes, size)
        if not sizes or any(not 0 < low < high for low, high in sizes.values()):
            yield f"lengths_m of {name} need a least length above 0 and a largest above that, for each size."


def _unknown(what: str, names: Iterable[str], known: Iterable[str]) -> Iterator[str]:
    known = tuple(known)
    for name in names:
        if name not in known:
            yield f"{what} name '{name}', which is none of: {', '.join(known)}."


def _repeated(what: str, names: Iterable[str]) -> Iterator[str]:
    for name, count in Counter(names).items():
        if count > 1:
            yield f"{what}: '{name}' stands there {count} times."


def _first_word(value: str) -> str:
    return first_piece(value).split("_")[0] or value


def _list(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
