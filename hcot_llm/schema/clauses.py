"""The annotation schema: 16 clauses with closed vocabularies, the answer's JSON schema and its parser.

An annotation may also hold boxes and relations of single targets (hcot_llm/schema/instances.py). The compact answer
here, of clauses alone, is what the native captioner learns.

Inside a clause no two values start with the same word, so that the first token of an answer tells the value.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final

from pydantic import Field, PositiveInt, ValidationError, field_validator, model_validator

from corpus.storage.models import FrozenModel
from hcot_llm.schema.errors import AnswerError, SchemaError
from hcot_llm.schema.instances import CATEGORIES, TARGET_REGIONS, Box, Relation, check_instances
from hcot_llm.schema.repetition import repeated_unit

ABSENT: Final = "none"


class Clause(StrEnum):
    """The clauses of an annotation, in the order in which they are written and asked."""

    TERRAIN = "terrain"
    FUNCTIONALITY = "functionality"
    DISTRIBUTION = "distribution"
    LAYOUT = "layout"
    BOUNDARY = "boundary"
    BUILDING = "building"
    ROAD = "road"
    WATER = "water"
    TARGET_COUNT = "target_count"
    TARGET_LOCATION = "target_location"
    TARGET_FEATURE = "target_feature"
    TARGET_SIZE = "target_size"
    TARGET_CATEGORY = "target_category"
    TARGET_DISTRIBUTION = "target_distribution"
    TARGET_REGION = "target_region"
    TARGET_ENVIRONMENT = "target_environment"


CLAUSES: Final[tuple[Clause, ...]] = tuple(Clause)

VOCABULARY: Final[dict[Clause, tuple[str, ...]]] = {
    Clause.TERRAIN: ("plain", "hills", "mountain", "coast", "open_water"),
    Clause.FUNCTIONALITY: (
        "residential",
        "commercial_core",
        "industrial",
        "port",
        "airport",
        "cropland",
        "natural",
        "mixed_urban",
        "open_water",
    ),
    Clause.DISTRIBUTION: (ABSENT, "uniform", "central", "peripheral", "scattered", "linear"),
    Clause.LAYOUT: (ABSENT, "regular", "irregular"),
    Clause.BOUNDARY: (ABSENT, "sharp", "gradual"),
    Clause.BUILDING: (ABSENT, "sparse", "medium", "dense"),
    Clause.ROAD: (ABSENT, "sparse", "grid", "highway"),
    Clause.WATER: (ABSENT, "channel", "lake", "sea"),
    Clause.TARGET_COUNT: tuple("0123456789"),
    Clause.TARGET_LOCATION: (
        ABSENT,
        "center",
        "north",
        "northeast",
        "east",
        "southeast",
        "south",
        "southwest",
        "west",
        "northwest",
    ),
    Clause.TARGET_FEATURE: (ABSENT, "point", "extended", "sidelobes"),
    Clause.TARGET_SIZE: (ABSENT, "small", "medium", "large"),
    Clause.TARGET_CATEGORY: (ABSENT, *CATEGORIES),
    Clause.TARGET_DISTRIBUTION: (ABSENT, "single", "line", "cluster", "scattered"),
    Clause.TARGET_REGION: (ABSENT, *TARGET_REGIONS),
    Clause.TARGET_ENVIRONMENT: (ABSENT, "calm_water", "rough_water", "pavement"),
}

TARGET_CLAUSES: Final = tuple(clause for clause in CLAUSES if clause.startswith("target_"))
NO_TARGETS: Final[dict[Clause, str]] = {
    clause: "0" if clause is Clause.TARGET_COUNT else ABSENT for clause in TARGET_CLAUSES
}

_RELATIONS = (Clause.TARGET_LOCATION, Clause.TARGET_DISTRIBUTION, Clause.TARGET_REGION, Clause.TARGET_ENVIRONMENT)
GROUP: Final[dict[Clause, str]] = {
    clause: "function"
    if clause is Clause.FUNCTIONALITY
    else "relation"
    if clause in _RELATIONS
    else "target"
    if clause in TARGET_CLAUSES
    else "landform"
    for clause in CLAUSES
}

# HCoT levels: 1 geoscience, 2 social development, 3 SAR knowledge, 4 instances. Level 0 describes without
# clauses, level 5 checks the clauses of all others.
LEVEL: Final[dict[Clause, int]] = {
    Clause.TERRAIN: 1,
    Clause.WATER: 1,
    Clause.BOUNDARY: 1,
    Clause.FUNCTIONALITY: 2,
    Clause.DISTRIBUTION: 2,
    Clause.LAYOUT: 2,
    Clause.BUILDING: 2,
    Clause.ROAD: 2,
    Clause.TARGET_FEATURE: 3,
    Clause.TARGET_ENVIRONMENT: 3,
    Clause.TARGET_COUNT: 4,
    Clause.TARGET_LOCATION: 4,
    Clause.TARGET_SIZE: 4,
    Clause.TARGET_CATEGORY: 4,
    Clause.TARGET_DISTRIBUTION: 4,
    Clause.TARGET_REGION: 4,
}
LEVELS: Final[tuple[int, ...]] = (1, 2, 3, 4)

MOST_COUNTED: Final = 9  # the largest count a value can state; it means so many or more
LONGEST_ANSWER: Final = 2000  # characters; the longest valid answer to all 16 clauses has about 500


def check_value(clause: str, value: str) -> tuple[Clause, str]:
    """The clause and value as the schema has them; raises SchemaError naming what would be valid."""
    if clause not in VOCABULARY:
        raise SchemaError(f"There is no clause {clause!r}; there are: {', '.join(CLAUSES)}.")
    known = Clause(clause)
    if value not in VOCABULARY[known]:
        raise SchemaError(f"{value!r} is no value of clause '{known}'; it takes: {', '.join(VOCABULARY[known])}.")
    return known, value


class Annotation(FrozenModel):
    """What is said of one tile: values of some or all clauses, and optionally more.

    All mappings are in schema order. Boxes are optional: without any, a count above 0 stands for itself.
    """

    values: dict[Clause, str] = Field(
        default_factory=dict, description="clause -> value of its vocabulary; a clause may be missing"
    )
    boxes: tuple[Box, ...] = Field((), description="the targets one by one")
    relations: tuple[Relation, ...] = Field((), description="how targets lie to each other and to regions")
    tile_shape: tuple[PositiveInt, PositiveInt] | None = Field(
        None, description="rows and columns of the tile in pixels; needed with boxes"
    )
    hedged: tuple[Clause, ...] = Field((), description="clauses whose text is in doubt")
    text: dict[Clause, str] = Field(
        default_factory=dict,
        description="clause -> free text it was read from, as it came; also of clauses in which no value is stated",
    )

    @field_validator("values")
    @classmethod
    def _in_vocabulary(cls, values: dict[Clause, str]) -> dict[Clause, str]:
        for clause, value in values.items():
            check_value(clause, value)
        return in_order(values)

    @field_validator("text")
    @classmethod
    def _text_in_order(cls, text: dict[Clause, str]) -> dict[Clause, str]:
        return in_order(text)

    @field_validator("hedged")
    @classmethod
    def _hedged_in_order(cls, hedged: tuple[Clause, ...]) -> tuple[Clause, ...]:
        return ordered(hedged)

    @model_validator(mode="after")
    def _parts_agree(self) -> "Annotation":
        check_instances(self.boxes, self.relations, self.tile_shape)
        count = self.values.get(Clause.TARGET_COUNT)
        if self.boxes and count is not None and count != count_of(len(self.boxes)):
            raise ValueError(
                f"target_count is {count}, but there are {len(self.boxes)} boxes "
                f"({MOST_COUNTED} means {MOST_COUNTED} or more)."
            )
        if silent := [clause for clause in self.hedged if clause not in self.values and clause not in self.text]:
            raise ValueError(f"clause '{silent[0]}' is hedged, but has neither a value nor a text.")
        return self


def count_of(targets: int) -> str:
    """The value of target_count for so many targets."""
    return str(min(targets, MOST_COUNTED))


def first_error(error: ValidationError) -> str:
    """The first thing pydantic found wrong, as one sentence with its place."""
    found = error.errors()[0]
    place = ".".join(map(str, found["loc"]))
    message = found["msg"].removeprefix("Value error, ").rstrip(".")
    return f"{place}: {message}." if place else f"{message}."


def in_order(values: Mapping[Clause, Any]) -> dict[Clause, Any]:
    """The same entries in schema order, keys as Clause."""
    return {clause: values[clause] for clause in CLAUSES if clause in values}


def ordered(clauses: Iterable[str]) -> tuple[Clause, ...]:
    """The clauses once each in schema order; raises SchemaError on an unknown one."""
    wanted = set(clauses)
    if unknown := sorted(wanted - set(CLAUSES)):
        raise SchemaError(f"There is no clause {', '.join(map(repr, unknown))}; there are: {', '.join(CLAUSES)}.")
    return tuple(clause for clause in CLAUSES if clause in wanted)


def answer_json_schema(clauses: Sequence[Clause]) -> dict:
    """JSON schema of an answer to these clauses: one closed enum per clause, in schema order."""
    asked = [str(clause) for clause in ordered(clauses)]
    if not asked:
        raise SchemaError("An answer has to be asked for at least one clause.")
    return {
        "type": "object",
        "properties": {clause: {"type": "string", "enum": list(VOCABULARY[Clause(clause)])} for clause in asked},
        "required": asked,
        "additionalProperties": False,
    }


def parse_answer(text: str, clauses: Sequence[Clause]) -> dict[Clause, str]:
    """Values of the asked clauses from an answer's JSON, in schema order; raises AnswerError."""
    answer = read_object(text, LONGEST_ANSWER)
    asked = ordered(clauses)
    if extra := sorted(set(answer) - set(asked)):
        raise AnswerError("out_of_vocabulary", f"these clauses were not asked: {', '.join(extra)[:100]}.")
    return answered_values(answer, asked)


def answered_values(answer: Mapping[str, Any], asked: Sequence[Clause]) -> dict[Clause, str]:
    """Values of the asked clauses out of an answer's object, in the order asked; raises AnswerError."""
    for clause in asked:
        if clause not in answer:
            raise AnswerError("missing_clause", f"clause '{clause}' was asked and is not in the answer.")
        if not isinstance(answer[clause], str):
            raise AnswerError(
                "wrong_type", f"the value of '{clause}' is a {type(answer[clause]).__name__}, not a string."
            )
        if answer[clause] not in VOCABULARY[clause]:
            raise AnswerError("out_of_vocabulary", f"{answer[clause][:100]!r} is no value of '{clause}'.")
    return {clause: answer[clause] for clause in asked}


def read_object(text: str, longest: int) -> dict[str, Any]:
    """The JSON object that an answer is, of at most `longest` characters; raises AnswerError."""
    stripped = text.strip()
    if not stripped:
        raise AnswerError("empty", "the answer has no text.")
    try:
        answer = _load(stripped, longest)
    except AnswerError as error:
        # Of the text as it came: an answer may run out of tokens in line breaks.
        if (unit := repeated_unit(text)) is not None:
            raise AnswerError("repetition", f"the answer ends in {unit[:40]!r} over and over.") from error
        raise
    if not isinstance(answer, dict):
        raise AnswerError("wrong_type", f"a JSON object is expected, the answer is a {type(answer).__name__}.")
    if not answer:
        raise AnswerError("empty", "the answer is an empty object.")
    return answer


def _load(text: str, longest: int) -> Any:
    if len(text) > longest:
        raise AnswerError("over_long", f"the answer has {len(text)} characters, at most {longest} are read.")
    try:
        return json.loads(text, object_pairs_hook=_no_duplicates, parse_constant=_no_constants)
    except AnswerError:
        raise
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise AnswerError("over_long", f"text follows the JSON at character {error.pos}.") from error
        if text.startswith("{") and not text.endswith("}"):
            raise AnswerError("cut", f"the JSON ends unfinished after {len(text)} characters.") from error
        raise AnswerError("not_json", f"{error.msg} at character {error.pos}.") from error
    except ValueError as error:  # Python refuses whole numbers of thousands of digits
        raise AnswerError("not_json", "a number has too many digits.") from error
    except RecursionError as error:
        raise AnswerError("not_json", "the JSON is nested too deeply.") from error


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise AnswerError("wrong_type", "a name is given twice in one object.")
    return result


def _no_constants(name: str) -> Any:
    raise AnswerError("not_json", f"{name} is not JSON.")
