"""JSON form of a whole annotation, for models that can place single targets: clauses, boxes, relations.

The clauses stand as in the compact answer (hcot_llm/schema/clauses.py), with `boxes` and `relations` beside them.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from hcot_llm.schema.clauses import (
    MOST_COUNTED,
    Annotation,
    AnswerError,
    Clause,
    SchemaError,
    answer_json_schema,
    answered_values,
    count_of,
    first_error,
    ordered,
    read_object,
)
from hcot_llm.schema.instances import MOST_BOXES, Box, Relation

PARTS: Final[dict[str, type[BaseModel]]] = {"boxes": Box, "relations": Relation}
MOST_RELATIONS: Final = 200
LONGEST_FULL_ANSWER: Final = 40_000  # characters; 100 boxes and 200 relations have about 30,000


def full_answer_json_schema(clauses: Sequence[Clause], tile_shape: tuple[int, int]) -> dict[str, Any]:
    """JSON schema of an answer to these clauses with boxes inside a tile of (rows, columns) pixels, and relations.

    Every box states its bounds and category; its length and heading are optional. That boxes and relations agree
    with each other and with the count is beyond a JSON schema: parse_full_answer checks it.
    """
    schema = answer_json_schema(clauses)
    rows, cols = tile_shape
    box, relation = Box.model_json_schema(), Relation.model_json_schema()
    for name, most in (("row_start", rows - 1), ("row_stop", rows), ("col_start", cols - 1), ("col_stop", cols)):
        box["properties"][name] |= {"minimum": int(name.endswith("stop")), "maximum": most}
    for key in ("length_m", "heading_deg"):
        # A number or nothing at all: null need not be written.
        [number] = [kind for kind in box["properties"][key].pop("anyOf") if kind["type"] == "number"]
        box["properties"][key] = {"description": box["properties"][key]["description"], **number}
    for key in ("subject", "object"):
        for kind in relation["properties"][key]["anyOf"]:
            if kind["type"] == "integer":
                kind |= {"minimum": 0, "maximum": MOST_BOXES - 1}
    schema["properties"] |= {
        "boxes": {"type": "array", "items": box, "maxItems": MOST_BOXES},
        "relations": {"type": "array", "items": relation, "maxItems": MOST_RELATIONS},
    }
    schema["required"] = [*schema["required"], *PARTS]
    return schema


def full_answer_text(annotation: Annotation, clauses: Sequence[Clause]) -> str:
    """The answer to these clauses with the annotation's boxes and relations.

    Raises SchemaError when a clause has no value, or the boxes do not agree with the count.
    """
    asked = ordered(clauses)
    if missing := [clause for clause in asked if clause not in annotation.values]:
        raise SchemaError(f"The annotation has no value of clause '{missing[0]}'.")
    values = {clause: annotation.values[clause] for clause in asked}
    if (wrong := _count_disagrees(values, len(annotation.boxes))) is not None:
        raise SchemaError(wrong)
    return json.dumps(
        {
            **values,
            "boxes": [box.model_dump(exclude_none=True) for box in annotation.boxes],
            "relations": [relation.model_dump() for relation in annotation.relations],
        }
    )


def parse_full_answer(text: str, clauses: Sequence[Clause], tile_shape: tuple[int, int]) -> Annotation:
    """The annotation in an answer's JSON; raises AnswerError, which says why and where.

    Reasons beyond those of parse_answer: inconsistent, for a box outside the tile, a count that is not that of the
    boxes, and a relation that names no box, or cannot be.
    """
    answer = read_object(text, LONGEST_FULL_ANSWER)
    asked = ordered(clauses)
    if extra := sorted(set(answer) - set(asked) - set(PARTS)):
        raise AnswerError("out_of_vocabulary", f"these clauses were not asked: {', '.join(extra)[:100]}.")
    values = answered_values(answer, asked)
    parts = {name: tuple(_read_part(answer, name, model)) for name, model in PARTS.items()}
    if len(parts["relations"]) > MOST_RELATIONS:
        raise AnswerError(
            "over_long", f"there are {len(parts['relations'])} relations, at most {MOST_RELATIONS} are read."
        )
    if (wrong := _count_disagrees(values, len(parts["boxes"]))) is not None:
        raise AnswerError("inconsistent", wrong)
    try:
        return Annotation(values=values, tile_shape=tile_shape, **parts)
    except ValidationError as error:
        raise AnswerError("inconsistent", first_error(error)) from error


def _read_part(answer: dict[str, Any], name: str, model: type[BaseModel]) -> list[BaseModel]:
    if name not in answer:
        raise AnswerError(
            "missing_clause", f"'{name}' was asked and is not in the answer; an empty list says that there are none."
        )
    if not isinstance(answer[name], list):
        raise AnswerError("wrong_type", f"'{name}' is a {type(answer[name]).__name__}, not a list.")
    read = []
    for index, content in enumerate(answer[name]):
        if not isinstance(content, dict):
            raise AnswerError("wrong_type", f"{name}[{index}] is a {type(content).__name__}, not an object.")
        try:
            read.append(model.model_validate(content))
        except ValidationError as error:
            raise AnswerError(_reason(error), f"{name}[{index}]: {first_error(error)}") from error
    return read


def _reason(error: ValidationError) -> str:
    kinds = {found["type"] for found in error.errors()}
    if "missing" in kinds:
        return "missing_clause"
    if kinds & {"literal_error", "extra_forbidden"}:
        return "out_of_vocabulary"
    return "wrong_type" if any(kind.endswith(("_type", "_parsing")) for kind in kinds) else "inconsistent"


def _count_disagrees(values: dict[Clause, str], boxes: int) -> str | None:
    count = values.get(Clause.TARGET_COUNT)
    if count in (None, count_of(boxes)):
        return None
    return f"target_count is {count}, but there are {boxes} boxes ({MOST_COUNTED} means {MOST_COUNTED} or more)."
